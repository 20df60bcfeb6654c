package upstream

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"millrace/internal/forwarded"
)

// behind starts an HTTP server of h and returns its address.
func behind(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// script answers every connection with what say writes after a request's head.
func script(t *testing.T, say func(net.Conn, *http.Request)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					io.Copy(io.Discard, r.Body)
					say(c, r)
				}
			}()
		}
	}()
	return l.Addr().String()
}

func TestHTTPRequest(t *testing.T) {
	f := serve(t, Config{Servers: []Server{{Address: behind(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s len=%d/%d\n", r.Method, r.RequestURI, r.Host, r.ContentLength, len(body))
		var names []string
		for name := range r.Header {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			fmt.Fprintf(w, "%s: %s\n", name, strings.Join(r.Header[name], " & "))
		}
	})}}}, nil)
	hostile := http.Header{
		"Host": {"site.example:81"}, "X-Forwarded-For": {"6.6.6.6"}, "X-Forwarded-Host": {"evil"}, "X-Forwarded-Proto": {"https"},
		"X-Forwarded-Port": {"666"}, "X-Accel-Mapping": {"/=/"}, "X-Sendfile-Type": {"X-Sendfile"}, "Forwarded": {"for=6.6.6.6"}, "X-Real-Ip": {"6.6.6.6"}, "Proxy": {"http://evil"}, "X_forwarded_for": {"6.6.6.6"},
		"Connection": {"X-Forwarded-For, X-Named", "Keep-Alive"}, "X-Named": {"x"}, "Keep-Alive": {"1"}, "Te": {"trailers"}, "Upgrade": {"h2c"},
		"Cookie": {"a=1; b=2"}, "X-Twice": {"1", "2"},
	}
	want := `GET /a%2Fb//c;d?q=%20&;x site.example:81 len=0/0
Accept-Encoding: gzip
Cookie: a=1; b=2
X-Forwarded-For: 127.0.0.1
X-Forwarded-Host: site.example:81
X-Forwarded-Proto: http
X-Twice: 1 & 2
`
	hostile["User-Agent"] = []string{""} // sends none
	if _, b := f.ask("GET", "/a%2Fb//c;d?q=%20&;x", "", hostile); b != want {
		t.Errorf("got\n%s\nwant\n%s", b, want)
	}
	for _, size := range []int{1, bodyMemory + 1, 1 << 20} {
		_, b := f.ask("POST", "/", strings.Repeat("x", size), nil)
		if line := fmt.Sprintf(" len=%d/%d\n", size, size); !strings.Contains(b, line) || strings.Contains(b, "Transfer-Encoding") {
			t.Errorf("got\n%s\nwant %q", b, line)
		}
	}
	f.Server.Config.Handler = f.Group.Handler("/shop", nil)
	for path, target := range map[string]string{"/shop/a%2Fb?": "/a%2Fb?", "/shop": "/", "/sh%6Fp/x%2Fy": "/x/y", "//x": ""} {
		res, b := f.ask("GET", path, "", nil)
		if target == "" {
			if res.StatusCode != 404 {
				t.Errorf("%s: %d", path, res.StatusCode)
			}
		} else if !strings.HasPrefix(b, "GET "+target+" ") || !strings.Contains(b, "X-Forwarded-Prefix: /shop\n") {
			t.Errorf("%s: got\n%s\nwant %s", path, b, target)
		}
	}
}

func TestHTTPResponse(t *testing.T) {
	f := serve(t, Config{Servers: []Server{{Address: behind(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Connection", "X-Named")
		h.Set("X-Named", "x")
		h.Set("Keep-Alive", "x")
		h.Set("X-Kept", "x")
		h["Set-Cookie"] = []string{"a=1", "b=2"}
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/large":
			for range 100 {
				w.Write(make([]byte, 100<<10))
			}
		default:
			io.WriteString(w, "hello")
		}
	})}}}, nil)
	res, b := f.ask("GET", "/", "", nil)
	if b != "hello" || res.ContentLength != 5 || res.Header.Get("X-Kept") != "x" || len(res.Header["Set-Cookie"]) != 2 || res.Header["X-Named"] != nil || res.Header["Keep-Alive"] != nil {
		t.Errorf("%q %v", b, res.Header)
	}
	if res, _ := f.ask("GET", "/redirect", "", nil); res.StatusCode != 302 || res.Header.Get("Location") != "/elsewhere" {
		t.Errorf("a redirect is the client's: %d %v", res.StatusCode, res.Header)
	}
	if res, b := f.ask("GET", "/none", "", nil); res.StatusCode != 204 || b != "" {
		t.Errorf("%d %q", res.StatusCode, b)
	}
	if res, b := f.ask("HEAD", "/", "", nil); res.ContentLength != 5 || b != "" {
		t.Errorf("HEAD: %d %q", res.ContentLength, b)
	}
	if _, b := f.ask("GET", "/large", "", nil); len(b) != 100*100<<10 {
		t.Errorf("%d bytes", len(b))
	}
}

// TestHTTPBadResponses: what is no response is a 502, what breaks off a cut.
func TestHTTPBadResponses(t *testing.T) {
	var text atomic.Value
	f := serve(t, Config{Servers: []Server{{Address: script(t, func(c net.Conn, _ *http.Request) {
		io.WriteString(c, text.Load().(string))
		c.Close()
	})}}}, nil)
	for _, bad := range []string{
		"", "HTTP/1.1", "hello\r\n\r\n", "HTTP/1.1 099 x\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 300<<10) + "\r\n\r\n",
	} {
		text.Store(bad)
		before := strings.Count(f.log.String(), "\n")
		if res, b := f.ask("POST", "/", "x", nil); res.StatusCode != 502 || b != "Bad Gateway\n" {
			t.Errorf("%.60q: %d %q", bad, res.StatusCode, b)
		}
		if n := strings.Count(f.log.String(), "\n") - before; n != 1 {
			t.Errorf("%.60q: %d lines in the log:\n%s", bad, n, f.log)
		}
	}
	for _, cut := range []string{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"} {
		text.Store(cut)
		res, err := http.Get(f.URL)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(res.Body); string(b) != "half" || err == nil {
			t.Errorf("%.60q: %q, %v; want an error", cut, b, err)
		}
		res.Body.Close()
	}
}

func TestHTTPTimeout(t *testing.T) {
	release := make(chan struct{})
	address := script(t, func(c net.Conn, r *http.Request) {
		if r.URL.Path == "/body" {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
		}
		<-release
	})
	defer close(release)
	f := serve(t, Config{Timeout: 50 * time.Millisecond, Servers: []Server{{Address: address}}}, nil)
	f.want("/head", 504, "Gateway Timeout\n")
	eventually(t, "it is logged", func() bool { return len(f.log.lines("nothing from the back end for 50ms", address)) == 1 })
	f = serve(t, Config{Timeout: headTime, Servers: []Server{{Address: address}}}, nil)
	res, err := http.Get(f.URL + "/body")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); string(b) != "half" || err == nil {
		t.Errorf("%q, %v", b, err)
	}
	eventually(t, "it is logged", func() bool { return len(f.log.lines("nothing from the back end for 1s", address)) == 1 })
}

// headTime is a time-out in which a head comes on a busy machine, too.
const headTime = time.Second

// TestHTTPFailover: over TCP and Unix sockets, and with a body.
func TestHTTPFailover(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.Host, b)
	})}
	go s.Serve(l)
	defer s.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	f := serve(t, Config{Servers: []Server{{Address: gone.Addr().String()}, {Address: "unix:" + path + ".not"}, {Address: "unix:" + path}}}, nil)
	for range 4 {
		if res, b := f.ask("POST", "/", "body", http.Header{"Host": {"h.example"}}); res.StatusCode != 200 || b != "h.example body" {
			t.Errorf("%d %q", res.StatusCode, b)
		}
	}
	if st := f.Group.Status().Servers; st[0].Failed != 1 || st[1].Failed != 1 || st[2].Answered != 4 {
		t.Errorf("%+v", st)
	}
	if n := len(f.log.lines("cannot be reached")); n != 2 {
		t.Errorf("the log:\n%s", f.log)
	}
}

// TestHTTPConnections: what may be repeated takes a kept connection; a POST is
// not lost on one that its server has just closed, and an answer to HEAD may
// have a body that it must not have.
func TestHTTPConnections(t *testing.T) {
	var conns atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	f := serve(t, Config{Servers: []Server{{Address: s.Listener.Addr().String()}}}, nil)
	for range 5 {
		f.want("/", 200, "ok")
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections for five GETs", n)
	}
	for range 5 {
		if res, _ := f.ask("POST", "/", "x", nil); res.StatusCode != 200 {
			t.Errorf("POST: %d", res.StatusCode)
		}
	}
	for range 5 {
		if res, _ := f.ask("PUT", "/", "x", nil); res.StatusCode != 200 {
			t.Errorf("PUT: %d", res.StatusCode)
		}
	}
	for range 5 {
		if res, _ := f.ask("HEAD", "/", "", nil); res.StatusCode != 200 {
			t.Errorf("HEAD: %d", res.StatusCode)
		}
	}
	if n := conns.Load(); n != 11 {
		t.Errorf("%d connections, want one for all GETs and PUTs, and a fresh one for each POST and HEAD", n)
	}
}

// toldHeader is what a server is told of r.
func toldHeader(r *http.Request, mount string) http.Header {
	h := make(http.Header)
	requestFields(r, mount, h.Add)
	return h
}

// Behind trusted proxies a back end is told the whole way.
func TestChain(t *testing.T) {
	trust := &forwarded.Trust{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Unix: true, For: true}
	for _, test := range []struct{ remote, said, want string }{
		{"192.0.2.1:5", "", "192.0.2.1"},
		{"192.0.2.1:5", "6.6.6.6", "192.0.2.1"},
		{"10.0.0.1:5", "", "10.0.0.1"},
		{"10.0.0.1:5", "192.0.2.1", "192.0.2.1, 10.0.0.1"},
		{"10.0.0.1:5", "6.6.6.6, 192.0.2.1, 10.0.0.2", "192.0.2.1, 10.0.0.2, 10.0.0.1"},
		{"10.0.0.1:5", "unknown", "10.0.0.1"},
		{"@", "192.0.2.1", "192.0.2.1"},
		{"@", "", ""},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = test.remote
		if test.said != "" {
			r.Header.Set("X-Forwarded-For", test.said)
		}
		r.Header.Set("Connection", "X-Forwarded-For")
		r, err := trust.Apply(r)
		if err != nil {
			t.Fatal(err)
		}
		if got := toldHeader(r, "").Get("X-Forwarded-For"); got != test.want {
			t.Errorf("from %s, which says %q: %q, want %q", test.remote, test.said, got, test.want)
		}
	}
}
