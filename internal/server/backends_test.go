package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"millrace/gateway"
	"millrace/internal/config"
	"millrace/scgi"
)

// behind starts a back end of a protocol and returns its address.
func behind(t *testing.T, protocol string, h http.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(protocol, serverOptions{handler: h, log: newLogger(&logBuffer{}), server: &config.Server{}})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l) // says that it was closed
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	return l.Addr().String()
}

// behindRaw is a back end that answers each SCGI request with a text.
func behindRaw(t *testing.T, answer func(r *http.Request) string) string {
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
				params, r := readSCGI(c)
				req, err := gateway.ToHTTP(t.Context(), gateway.Incoming{Params: params, Body: r})
				if err != nil {
					return
				}
				io.CopyN(io.Discard, req.Body, req.ContentLength)
				io.WriteString(c, answer(req))
			}()
		}
	}()
	return l.Addr().String()
}

func readSCGI(c net.Conn) ([]gateway.Param, io.Reader) {
	in := bufio.NewReaderSize(c, 64<<10)
	for size := 1; ; size++ {
		b, err := in.Peek(size)
		if err != nil {
			return nil, in
		}
		if all, err := in.Peek(in.Buffered()); err == nil {
			b = all
		}
		params, n, err := scgi.ParseRequest(b, 1<<20)
		if err != nil {
			return nil, in
		}
		if n > 0 {
			in.Discard(n)
			return params, in
		}
		size = len(b)
	}
}

const before = `
[[site]]
listen = "127.0.0.1:0"
access_log = "{dir}/access.log"

[[site.route]]
path = "/media/*"
files = { root = "{dir}/media", strip = "/media" }

[[site.route]]
path = "/shop/*"
mount = "/shop"
upstream = "api"

[[site.route]]
upstream = "api"

[upstream.api]
protocol = "%s"
servers = ["%s"]
`

func TestUpstreams(t *testing.T) {
	for _, protocol := range config.Protocols() {
		t.Run(protocol, func(t *testing.T) {
			address := behind(t, protocol, func(w http.ResponseWriter, r *http.Request) {
				script := r.Header.Get("X-Forwarded-Prefix")
				if front := gateway.FrontOf(r.Context()); front != nil {
					script = front.ScriptName
				}
				if r.URL.Path == "/cut" {
					w.Header().Set("Content-Length", "10")
					io.WriteString(w, "half")
					w.(http.Flusher).Flush()
					panic(http.ErrAbortHandler)
				}
				b, err := io.ReadAll(r.Body)
				fmt.Fprintf(w, "%s %s %s %s %d %v", r.Method, script, strings.TrimPrefix(r.URL.Path, script), r.Host, len(b), err)
			})
			gone, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			gone.Close()
			dir := wholeSite(t)
			s := launch(t, parse(t, dir, fmt.Sprintf(before, protocol, gone.Addr().String()+`", "`+address)), newFakeApps())
			url := s.url("127.0.0.1:0")
			host := strings.TrimPrefix(url, "http://")
			wantGet(t, url+"/media/a.txt", 200, "media")
			wantGet(t, url+"/a%20b", 200, "GET  /a b "+host+" 0 <nil>")
			mounted := "/shop /x"
			if protocol == "ajp" { // which knows no SCRIPT_NAME
				mounted = " /shop/x"
			}
			wantGet(t, url+"/shop/x", 200, "GET "+mounted+" "+host+" 0 <nil>")
			for _, size := range []int{1, 200 << 10} {
				r, w := io.Pipe() // of no length
				go func() {
					io.WriteString(w, strings.Repeat("x", size))
					w.Close()
				}()
				res, err := http.Post(url+"/p", "a/b", r)
				if err != nil {
					t.Fatal(err)
				}
				b, err := io.ReadAll(res.Body)
				res.Body.Close()
				if want := fmt.Sprintf("POST  /p %s %d <nil>", host, size); string(b) != want || err != nil {
					t.Errorf("%q, %v; want %q", b, err, want)
				}
			}
			res, err := http.Get(url + "/cut")
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(res.Body); err == nil {
				t.Errorf("a cut response was whole for the client: %q", b)
			}
			res.Body.Close()
			http.DefaultClient.CloseIdleConnections()
			u := s.Snapshot().Upstreams
			if len(u) != 1 || u[0].Name != "api" || u[0].Protocol != protocol || u[0].Servers[0].Reached || !u[0].Servers[1].Reached || u[0].Servers[1].Answered < 4 {
				t.Errorf("%+v", u)
			}
		})
	}
}

// TestLocalRedirects begin anew at the routes: what a client may not have, a
// back end cannot hand out.
func TestLocalRedirects(t *testing.T) {
	var last atomic.Value
	address := behindRaw(t, func(r *http.Request) string {
		last.Store(fmt.Sprintf("%s %s?%s %d %s %s", r.Method, r.URL.Path, r.URL.RawQuery, r.ContentLength, r.Header.Get("Content-Type"), r.Header.Get("X-Kept")))
		if to := r.URL.Query().Get("to"); to != "" {
			return "Location: " + to + "\nSet-Cookie: lost=1\n\n"
		}
		return "Content-Type: text/plain\n\nend"
	})
	dir := wholeSite(t)
	s := launch(t, parse(t, dir, fmt.Sprintf(before, "scgi", address)), newFakeApps())
	url := s.url("127.0.0.1:0")
	wantGet(t, url+"/x?to=/media/a.txt", 200, "media")
	wantGet(t, url+"/x?to=/y%3Fto=/media/a.txt", 200, "media")
	for to, code := range map[string]int{"/media/../a": 400, "/media/%252e%252e/a": 400, "/media/.hidden": 404, "/%2500": 400, "/media/none": 404, "/bad%25zz": 502} {
		if got, body := get(t, url+"/x?to="+to); got != code {
			t.Errorf("to %s: %d %q, want %d", to, got, body, code)
		}
	}
	req, err := http.NewRequest("POST", url+"/x?to=/shop/y%3Fq", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Kept", "kept")
	req.Header.Set("Content-Type", "a/b")
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if got := last.Load(); got != "GET /shop/y?q 0  kept" || res.Header.Get("Set-Cookie") != "" {
		t.Errorf("asked for %q, answered with %v", got, res.Header)
	}
	http.DefaultClient.CloseIdleConnections()

	var asked atomic.Int64
	loop := behindRaw(t, func(r *http.Request) string {
		asked.Add(1)
		return "Location: /again\n\n"
	})
	if err := s.reloadTo(parse(t, dir, fmt.Sprintf(before, "scgi", loop))); err != nil {
		t.Fatal(err)
	}
	if code, _ := get(t, url+"/x"); code != 502 {
		t.Errorf("without end: %d", code)
	}
	if n := asked.Load(); n != 11 {
		t.Errorf("the back end was asked %d times, want once and 10 times again", n)
	}
	eventually(t, "that is logged", func() bool { return strings.Count(s.log.String(), "after 10 others") == 1 })
	s.Stop()
	<-s.ended
	log, err := os.ReadFile(dir + "/access.log")
	if n := strings.Count(string(log), "\n"); n != 10 || strings.Contains(string(log), "/again") {
		t.Errorf("%d lines in the access log, want one a request, %v:\n%s", n, err, log)
	}
}

// TestReloadUpstreams: a group that has not changed stays, with what it knows;
// one that has answers what it began.
func TestReloadUpstreams(t *testing.T) {
	inside, release := make(chan struct{}, 1), make(chan struct{})
	one := behind(t, "scgi", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			inside <- struct{}{}
			<-release
		}
		io.WriteString(w, "one")
	})
	two := behind(t, "http", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "two") })
	dir := wholeSite(t)
	s := launch(t, parse(t, dir, fmt.Sprintf(before, "scgi", one)), newFakeApps())
	url := s.url("127.0.0.1:0")
	group := s.upstreams["api"]
	if err := s.reloadTo(parse(t, dir, fmt.Sprintf(before, "scgi", one))); err != nil {
		t.Fatal(err)
	}
	if s.upstreams["api"] != group {
		t.Error("a group that is the same was made anew")
	}
	held := make(chan struct{})
	go func() {
		defer close(held)
		wantGet(t, url+"/hold", 200, "one")
	}()
	<-inside
	if err := s.reloadTo(parse(t, dir, fmt.Sprintf(before, "http", two))); err != nil {
		t.Fatal(err)
	}
	wantGet(t, url+"/", 200, "two")
	close(release)
	<-held
	text := strings.Replace(fmt.Sprintf(before, "http", two), "[[site.route]]\nupstream = \"api\"\n", "", 1)
	if err := s.reloadTo(parse(t, dir, text)); err != nil {
		t.Fatal(err)
	}
	if code, _ := get(t, url+"/"); code != 404 {
		t.Errorf("a route that is gone: %d", code)
	}
}

// TestUpstreamSlowClient: through the whole server, a client that reads
// nothing holds no back end.
func TestUpstreamSlowClient(t *testing.T) {
	done := make(chan struct{})
	address := behind(t, "scgi", func(w http.ResponseWriter, _ *http.Request) {
		piece := make([]byte, 1<<20)
		for range 24 {
			w.Write(piece)
		}
		close(done)
	})
	s := launch(t, parse(t, wholeSite(t), fmt.Sprintf(before, "scgi", address)), newFakeApps())
	c, err := net.Dial("tcp", strings.TrimPrefix(s.url("127.0.0.1:0"), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("the back end still waits for the client")
	}
	if n, err := io.Copy(io.Discard, c); err != nil || n < 24<<20 {
		t.Errorf("%d bytes, %v", n, err)
	}
}
