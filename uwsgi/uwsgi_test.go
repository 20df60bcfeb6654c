package uwsgi_test

// This file is both sides of the protocol against each other.

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"millrace/gateway"
	"millrace/uwsgi"
)

// logBuffer is what a server has logged.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start serves h on network and returns the address for a Client. Its end is
// the test's.
func start(t testing.TB, network string, srv *uwsgi.Server) (address string, logged *logBuffer) {
	t.Helper()
	at := "127.0.0.1:0"
	if network == "unix" {
		at = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, at)
	if err != nil {
		t.Fatal(err)
	}
	logged = &logBuffer{}
	srv.Log = slog.New(slog.NewTextHandler(logged, nil))
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v; want http.ErrServerClosed", err)
		}
	})
	if network == "unix" {
		return "unix:" + at, logged
	}
	return l.Addr().String(), logged
}

// request makes a request for a handler that looks at the path.
func request(method, path string, body []byte, more ...gateway.Param) *gateway.Request {
	req := &gateway.Request{Params: append([]gateway.Param{
		{Name: "REQUEST_METHOD", Value: method},
		{Name: "SCRIPT_NAME", Value: ""},
		{Name: "PATH_INFO", Value: path},
		{Name: "SERVER_PROTOCOL", Value: "HTTP/1.1"},
		{Name: "SERVER_NAME", Value: "example.org"},
		{Name: "SERVER_PORT", Value: "80"},
		{Name: "REMOTE_ADDR", Value: "192.0.2.1"},
	}, more...)}
	if body != nil {
		req.Body, req.ContentLength = bytes.NewReader(body), int64(len(body))
		req.Params = append(req.Params, gateway.Param{Name: "CONTENT_LENGTH", Value: strconv.Itoa(len(body))})
	}
	return req
}

func testMux(t testing.TB) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("X-Method", r.Method)
		if _, err := io.Copy(w, r.Body); err != nil {
			t.Errorf("echo: %v", err)
		}
	})
	mux.HandleFunc("/sum", func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		n, err := io.Copy(sum, r.Body)
		fmt.Fprintf(w, "%d %x %v", n, sum.Sum(nil), err)
	})
	mux.HandleFunc("/big", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(big)))
		_, _ = w.Write(big)
	})
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.PathValue("code"))
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(code)
		if code == 200 {
			_, _ = io.WriteString(w, "hello")
		}
	})
	mux.HandleFunc("/panic", func(w http.ResponseWriter, r *http.Request) { panic("on purpose") })
	mux.HandleFunc("/front", func(w http.ResponseWriter, r *http.Request) {
		front := gateway.FrontOf(r.Context())
		value, _ := gateway.Lookup(front.Params, "REMOTE_USER")
		fmt.Fprintf(w, "%s %s %s %s", front.Protocol, r.RemoteAddr, r.Header.Get("X-Long")[:1], value)
	})
	return mux
}

var big = bytes.Repeat([]byte("0123456789abcdef"), 10<<20/16)

func TestBothSides(t *testing.T) {
	sum := fmt.Sprintf("%d %x <nil>", len(big), sha256.Sum256(big))
	long := gateway.Param{Name: "HTTP_X_LONG", Value: strings.Repeat("v", 60<<10)}
	tests := []struct {
		name   string
		req    func() *gateway.Request
		status int
		body   string
	}{
		{"GET", func() *gateway.Request { return request("GET", "/status/200", nil) }, 200, "hello"},
		{"HEAD", func() *gateway.Request { return request("HEAD", "/status/200", nil) }, 200, ""},
		{"204", func() *gateway.Request { return request("GET", "/status/204", nil) }, 204, ""},
		{"304", func() *gateway.Request { return request("GET", "/status/304", nil) }, 304, ""},
		{"404", func() *gateway.Request { return request("GET", "/none", nil) }, 404, "404 page not found\n"},
		{"empty body", func() *gateway.Request { return request("POST", "/echo", []byte{}) }, 200, ""},
		{"small body", func() *gateway.Request { return request("POST", "/echo", []byte("x=1")) }, 200, "x=1"},
		{"10 MB up", func() *gateway.Request { return request("PUT", "/sum", big) }, 200, sum},
		{"10 MB down", func() *gateway.Request { return request("GET", "/big", nil) }, 200, string(big)},
		{"10 MB down, HEAD", func() *gateway.Request { return request("HEAD", "/big", nil) }, 200, ""},
		{"10 MB both ways", func() *gateway.Request { return request("POST", "/echo", big) }, 200, string(big)},
		{"10 MB that nobody reads", func() *gateway.Request { return request("POST", "/status/200", big) }, 200, "hello"},
		{"panic", func() *gateway.Request { return request("GET", "/panic", nil) }, 500, "Internal Server Error\n"},
		{"a long header", func() *gateway.Request {
			return request("GET", "/front", nil, long, gateway.Param{Name: "REMOTE_USER", Value: "jo"})
		}, 200, "uwsgi 192.0.2.1:0 v jo"},
		{"no method", func() *gateway.Request { return request("", "/echo", nil) }, 400, "Bad Request\n"},
	}
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			address, _ := start(t, network, &uwsgi.Server{Handler: testMux(t)})
			client := &uwsgi.Client{Address: address}
			for _, test := range tests {
				t.Run(test.name, func(t *testing.T) {
					resp, err := client.RoundTrip(t.Context(), test.req())
					if err != nil {
						t.Fatal(err)
					}
					defer resp.Body.Close()
					body, err := io.ReadAll(resp.Body)
					if err != nil {
						t.Fatal(err)
					}
					if resp.Status != test.status || string(body) != test.body {
						t.Errorf("%d, %d bytes: %.80q; want %d, %d bytes: %.80q",
							resp.Status, len(body), body, test.status, len(test.body), test.body)
					}
				})
			}
		})
	}
}

// raw sends bytes to a server and returns what it answers, the connection's
// reset included.
func raw(t *testing.T, address, send string, end bool) (answer, local string) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, send); err != nil {
		t.Fatal(err)
	}
	if end {
		_ = c.(*net.TCPConn).CloseWrite()
	}
	b, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%.40q: neither answered nor closed", send)
	}
	return string(b), c.LocalAddr().String()
}

// whole is a request without a body.
func whole(t *testing.T, path string) string {
	t.Helper()
	b, err := uwsgi.AppendRequest(nil, 0, 0, request("GET", path, nil).Params)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestServerRefuses has every file of testdata/invalid, and what the Server's
// fields say: no answer, one line in the log with the peer's address.
func TestServerRefuses(t *testing.T) {
	type refusal struct {
		name, send, logged string
		srv                *uwsgi.Server
		end                bool
	}
	tests := []refusal{
		{name: "MaxParams", srv: &uwsgi.Server{MaxParams: 50}, send: whole(t, "/status/200"), logged: "at most 50 are taken"},
		{name: "HeadTimeout", srv: &uwsgi.Server{HeadTimeout: time.Millisecond}, send: "\x00\x46\x00\x00\x0e\x00REQU", logged: "no whole request within 1ms"},
		{name: "Allow", srv: &uwsgi.Server{Allow: func(net.Addr) bool { return false }}, logged: "not among those that may connect"},
		{name: "a part", srv: &uwsgi.Server{}, send: "\x00\x46\x00\x00\x0e\x00REQU", end: true, logged: "after 10 bytes"},
		{name: "bytes behind", srv: &uwsgi.Server{}, send: whole(t, "/status/200") + "x", logged: "1 bytes follow"},
	}
	paths, err := filepath.Glob("testdata/invalid/*.wire")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		tests = append(tests, refusal{name: filepath.Base(path), send: string(b), logged: "connection refused", srv: &uwsgi.Server{}})
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			srv := test.srv
			srv.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler is called") })
			address, logged := start(t, "tcp", srv)
			answer, local := raw(t, address, test.send, test.end)
			if err := srv.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			log := logged.String()
			if answer != "" || strings.Count(log, "\n") != 1 || !strings.Contains(log, test.logged) || !strings.Contains(log, "peer="+local) {
				t.Errorf("answered %q, logged %s; want nothing, and one line with %q and the peer", answer, log, test.logged)
			}
		})
	}
}

// TestServerDefaults is a Server without a handler: the mux of net/http, which
// has nothing here.
func TestServerDefaults(t *testing.T) {
	address, _ := start(t, "tcp", &uwsgi.Server{})
	if answer, _ := raw(t, address, whole(t, "/none"), false); !strings.HasPrefix(answer, "HTTP/1.1 404 Not Found\r\n") {
		t.Errorf("%q", answer)
	}
}

// TestHalfClose is what the end of the peer's direction means.
func TestHalfClose(t *testing.T) {
	for _, half := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			closed := make(chan struct{})
			aborted := false
			srv := &uwsgi.Server{HalfClose: half, Log: slog.New(slog.DiscardHandler), Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				<-closed
				synctest.Wait() // the end has been seen
				aborted = r.Context().Err() != nil
			})}
			srv.ServeConn(far)
			if _, err := io.WriteString(near, whole(t, "/")); err != nil {
				t.Fatal(err)
			}
			near.Close()
			close(closed)
			_ = srv.Shutdown(t.Context())
			if aborted == half {
				t.Errorf("HalfClose %v: the context is done: %v", half, aborted)
			}
		})
	}
}

// TestServeConn is a connection that somebody else accepted, and Close.
func TestServeConn(t *testing.T) {
	near, far := net.Pipe()
	started, done := make(chan struct{}), make(chan struct{})
	srv := &uwsgi.Server{Log: slog.New(slog.DiscardHandler), Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(started)
		<-r.Context().Done()
		close(done)
	})}
	srv.ServeConn(far)
	if _, err := io.WriteString(near, whole(t, "/")); err != nil {
		t.Fatal(err)
	}
	<-started
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
	<-done
	if b, err := io.ReadAll(near); len(b) != 0 || err != nil {
		t.Errorf("%q %v", b, err)
	}
}

// TestStreaming is a response whose parts arrive as they are made.
func TestStreaming(t *testing.T) {
	next := make(chan string)
	address, _ := start(t, "unix", &uwsgi.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for part := range next {
			_, _ = io.WriteString(w, part)
			w.(http.Flusher).Flush()
		}
	})})
	client := &uwsgi.Client{Address: address}
	go func() { next <- "first" }()
	resp, err := client.RoundTrip(t.Context(), request("GET", "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b := make([]byte, 64)
	for i, part := range []string{"first", "second", "third"} {
		if i > 0 {
			next <- part
		}
		if n, err := io.ReadFull(resp.Body, b[:len(part)]); string(b[:n]) != part || err != nil {
			t.Fatalf("%q %v; want %q", b[:n], err, part)
		}
	}
	close(next)
	if n, err := resp.Body.Read(b); n != 0 || err != io.EOF {
		t.Errorf("%d %v; want the end", n, err)
	}
}

// TestClientGivesUp is a client whose context ends: the handler sees it.
func TestClientGivesUp(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			seen := make(chan struct{})
			address, _ := start(t, network, &uwsgi.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				cancel()
				<-r.Context().Done()
				close(seen)
			})})
			client := &uwsgi.Client{Address: address}
			if _, err := client.RoundTrip(ctx, request("POST", "/", []byte("hello"))); !errors.Is(err, context.Canceled) {
				t.Errorf("%v; want context.Canceled", err)
			}
			<-seen
		})
	}
}

// TestClientFields is that the Client's fields are used.
func TestClientFields(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // nobody accepts
	address, _ := start(t, "tcp", &uwsgi.Server{Handler: testMux(t)})
	tests := []struct {
		name   string
		client uwsgi.Client
		want   error
	}{
		{"Timeout", uwsgi.Client{Address: l.Addr().String(), Timeout: time.Millisecond}, gateway.ErrTimeout},
		{"MaxHead", uwsgi.Client{Address: address, MaxHead: 10}, gateway.ErrBadResponse},
		{"ConnectTimeout", uwsgi.Client{Address: address, ConnectTimeout: 1}, gateway.ErrUnreachable},
		{"Dial", uwsgi.Client{Address: address, Dial: func(context.Context) (net.Conn, error) { return nil, io.ErrNoProgress }}, io.ErrNoProgress},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := test.client.RoundTrip(t.Context(), request("GET", "/status/200", nil))
			if !errors.Is(err, test.want) || !strings.HasPrefix(err.Error(), "uwsgi: ") {
				t.Errorf("%v; want %v", err, test.want)
			}
		})
	}
}

func benchmark(b *testing.B, network string, body []byte) {
	address, _ := start(b, network, &uwsgi.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Length", "5")
		_, _ = io.WriteString(w, "hello")
	})})
	client := &uwsgi.Client{Address: address}
	params := request("POST", "/", body).Params
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		req := &gateway.Request{Params: params, ContentLength: int64(len(body))}
		if len(body) > 0 {
			req.Body = bytes.NewReader(body)
		}
		resp, err := client.RoundTrip(b.Context(), req)
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, resp.Body); n != 5 || err != nil {
			b.Fatal(n, err)
		}
		resp.Body.Close()
	}
}

// BenchmarkRoundTrip is both sides together, a connection each request.
func BenchmarkRoundTrip(b *testing.B) {
	b.Run("tcp", func(b *testing.B) { benchmark(b, "tcp", nil) })
	b.Run("unix", func(b *testing.B) { benchmark(b, "unix", nil) })
	b.Run("unix, 1 KB up", func(b *testing.B) { benchmark(b, "unix", big[:1<<10]) })
	b.Run("unix, 10 MB up", func(b *testing.B) { benchmark(b, "unix", big) })
}

// BenchmarkServer is the server alone, under a client that does the least.
func BenchmarkServer(b *testing.B) {
	address, _ := start(b, "unix", &uwsgi.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello")
	})})
	wire, err := uwsgi.AppendRequest(nil, 0, 0, request("GET", "/", nil).Params)
	if err != nil {
		b.Fatal(err)
	}
	path := strings.TrimPrefix(address, "unix:")
	buf := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		c, err := net.Dial("unix", path)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = c.Write(wire)
		for err == nil {
			_, err = c.Read(buf)
		}
		c.Close()
	}
}
