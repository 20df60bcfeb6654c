package upstream

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
)

// speaker2 is a client of HTTP/2 without TLS, and a front that speaks it too.
func speaker2(t *testing.T, f *front) (client *http.Client, url string) {
	t.Helper()
	s := httptest.NewUnstartedServer(f.Server.Config.Handler)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Config.ErrorLog = quiet()
	s.Start()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		s.Close()
	})
	return &http.Client{Transport: transport}, s.URL
}

// TestRPC: as gRPC has it, both sides speak in turn on one request, and how it
// ended stands in the trailers.
func TestRPC(t *testing.T) {
	for name, frontOf := range map[string]func(h http.HandlerFunc) *front{
		"h2c": func(h http.HandlerFunc) *front {
			return serve(t, Config{HTTP2: true, Servers: []Server{{Address: clear2(t, h)}}}, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := frontOf(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/grpc+proto")
				w.WriteHeader(200)
				w.(http.Flusher).Flush()
				b := make([]byte, 100)
				for {
					n, err := r.Body.Read(b)
					fmt.Fprintf(w, "<%s>", b[:n])
					w.(http.Flusher).Flush()
					if err != nil {
						break
					}
				}
				w.Header().Set(http.TrailerPrefix+"Grpc-Status", "5")
				w.Header().Set(http.TrailerPrefix+"Grpc-Message", "not "+r.Header.Get("Te"))
			})
			client, url := speaker2(t, f)
			in, out := io.Pipe()
			req, _ := http.NewRequest("POST", url+"/pkg.Service/Method", in)
			req.Header.Set("Content-Type", "application/grpc+proto")
			req.Header.Set("Te", "trailers")
			res, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			b := make([]byte, 100)
			for i := range 5 {
				word := fmt.Sprint("word", i)
				io.WriteString(out, word)
				want := "<" + word + ">"
				if _, err := io.ReadFull(res.Body, b[:len(want)]); err != nil || string(b[:len(want)]) != want {
					t.Fatalf("%q, %v; want %q", b[:len(want)], err, want)
				}
			}
			out.Close()
			if rest, err := io.ReadAll(res.Body); string(rest) != "<>" || err != nil {
				t.Errorf("%q, %v", rest, err)
			}
			if s, m := res.Trailer.Get("Grpc-Status"), res.Trailer.Get("Grpc-Message"); s != "5" || m != "not trailers" {
				t.Errorf("the trailers are %v", res.Trailer)
			}
		})
	}
}

// TestTrailers: over HTTP/1.1 those that were announced, and none of those that
// change what came before.
func TestTrailers(t *testing.T) {
	f := serve(t, Config{Servers: []Server{{Address: behind(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum, Set-Cookie")
		if r.URL.Path == "/large" {
			io.WriteString(w, strings.Repeat("x", 100<<10))
			w.(http.Flusher).Flush()
		}
		io.WriteString(w, "hello")
		w.Header().Set("X-Sum", "1")
		w.Header().Set("Set-Cookie", "a=b")
		w.Header().Set(http.TrailerPrefix+"X-Unsaid", "2")
	})}}}, nil)
	client, url := speaker2(t, f)
	for _, path := range []string{"/", "/large"} {
		res, err := client.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if !strings.HasSuffix(string(b), "hello") || err != nil || fmt.Sprint(res.Trailer) != "map[X-Sum:[1]]" {
			t.Errorf("%s: %d bytes, %v, trailers %v", path, len(b), err, res.Trailer)
		}
	}
}

// TestEarlyHints: interim responses are passed on, and leave nothing in the
// response.
func TestEarlyHints(t *testing.T) {
	hint := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		io.WriteString(w, "hello")
	}
	for name, c := range map[string]Config{
		"http": {Servers: []Server{{Address: behind(t, hint)}}},
		"h2c":  {HTTP2: true, Servers: []Server{{Address: clear2(t, hint)}}},
	} {
		f := serve(t, c, nil)
		var got []string
		req, _ := http.NewRequest("GET", f.URL, nil)
		req = req.WithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(status int, h textproto.MIMEHeader) error {
			got = append(got, fmt.Sprint(status, h.Get("Link")))
			return nil
		}}))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if string(b) != "hello" || res.Header["Link"] != nil || fmt.Sprint(got) != "[103</a.css>; rel=preload]" {
			t.Errorf("%s: %q, %v, early %v", name, b, res.Header, got)
		}
	}
}
