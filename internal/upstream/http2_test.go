package upstream

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// clear2 starts an HTTP/2 server without TLS.
func clear2(t *testing.T, h http.HandlerFunc) (address string) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Config.ErrorLog = quiet()
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestHTTP2(t *testing.T) {
	tell := func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/early" {
			w.Header().Set("Link", "</a.css>")
			w.WriteHeader(http.StatusEarlyHints)
		}
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
		w.Header().Set(http.TrailerPrefix+"Set-Cookie", "no=1")
		fmt.Fprintf(w, "%s %s %s %s %d %q %q", r.Proto, r.Method, r.RequestURI, r.Host, len(b), r.Header["Te"], r.Header["User-Agent"])
	}
	secured, roots := secure(t, "app.example", &tls.Config{NextProtos: []string{"h2"}}, tell)
	for name, c := range map[string]Config{
		"h2":  {HTTP2: true, TLS: &tls.Config{RootCAs: roots, ServerName: "app.example"}, Servers: []Server{{Address: secured}}},
		"h2c": {HTTP2: true, Servers: []Server{{Address: clear2(t, tell)}}},
	} {
		t.Run(name, func(t *testing.T) {
			f := serve(t, c, nil)
			h := http.Header{"Host": {"h.example"}, "Te": {"trailers"}, "User-Agent": {""}, "Connection": {"X-Named"}, "X-Named": {"x"}}
			for _, size := range []int{0, 1, 200 << 10} {
				res, b := f.ask("PUT", "/a%2Fb?q", strings.Repeat("x", size), h)
				if want := fmt.Sprintf(`HTTP/2.0 PUT /a%%2Fb?q h.example %d ["trailers"] []`, size); res.StatusCode != 200 || b != want {
					t.Errorf("%d %s, want %s", res.StatusCode, b, want)
				}
			}
		})
	}
}

// TestHTTP2Timeout: a silent server is a 504, and a cut one no proper end.
func TestHTTP2Timeout(t *testing.T) {
	release := make(chan struct{})
	servers := []Server{{Address: clear2(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/cut":
			io.WriteString(w, "half")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		default:
			<-release
		}
	})}}
	defer close(release)
	f := serve(t, Config{HTTP2: true, Timeout: 50 * time.Millisecond, Servers: servers}, nil)
	f.want("/silent", 504, "Gateway Timeout\n")
	f = serve(t, Config{HTTP2: true, Servers: servers}, nil)
	res, err := http.Get(f.URL + "/cut")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("%q, and no error", b)
	}
}
