package upstream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/gateway"
	"millrace/internal/spool"
	"millrace/internal/testkit"
)

// logBuffer is a log that a test can look into.
type logBuffer struct{ testkit.Output }

func newLogger(l *logBuffer) *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// lines are the log's lines that hold every text.
func (l *logBuffer) lines(texts ...string) (found []string) {
	for line := range strings.Lines(l.String()) {
		all := true
		for _, text := range texts {
			all = all && strings.Contains(line, text)
		}
		if all {
			found = append(found, line)
		}
	}
	return found
}

// tripper is a back end in a function.
type tripper func(ctx context.Context, req *gateway.Request) (*gateway.Response, error)

func (f tripper) RoundTrip(ctx context.Context, req *gateway.Request) (*gateway.Response, error) {
	return f(ctx, req)
}

// says is a response.
func says(status int, body string) *gateway.Response {
	return &gateway.Response{
		Head: gateway.Head{Status: status, Header: http.Header{"Content-Type": {"text/plain"}}, ContentLength: -1},
		Body: io.NopCloser(strings.NewReader(body)),
	}
}

// front is a group with an HTTP server in front.
type front struct {
	*Group
	*httptest.Server
	t      *testing.T
	log    *logBuffer
	folder string
}

// serve makes a group of cfg's servers, with defaults for the rest. At the
// test's end nothing of it is left.
func serve(t *testing.T, cfg Config, redirect Redirect) *front {
	t.Helper()
	before := runtime.NumGoroutine()
	f := &front{t: t, log: &logBuffer{}, folder: t.TempDir()}
	cfg.Name = "api"
	cfg.Log = newLogger(f.log)
	cfg.Spool = spool.New(f.folder, 1<<30)
	if cfg.MaxBody == 0 {
		cfg.MaxBody = 64 << 20
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = 10 * time.Second
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.MaxFails == 0 {
		cfg.MaxFails, cfg.FailTimeout = 1, 5*time.Second
	}
	f.Group = New(cfg)
	f.Group.Start()
	f.Server = httptest.NewServer(f.Group.Handler("", redirect))
	t.Cleanup(func() {
		f.Server.Close()
		f.Group.Close()
		eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
		if used := cfg.Spool.Used(); used != 0 {
			t.Errorf("%d bytes are left in the spool", used)
		}
		eventually(t, "every server is given back", func() bool { // also by those whose connection is a tunnel
			return !slices.ContainsFunc(f.Group.Status().Servers, func(s ServerStatus) bool { return s.Active != 0 })
		})
	})
	return f
}

func (f *front) Close() { f.Server.Close() }

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			b := make([]byte, 1<<20)
			t.Fatalf("never: %s\n%s", what, b[:runtime.Stack(b, true)])
		}
		<-tick.C
	}
}

// ask sends a request over a connection of its own and returns the response
// with its body read.
func (f *front) ask(method, path, body string, header http.Header) (*http.Response, string) {
	f.t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, f.URL+path, r)
	if err != nil {
		f.t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	if host := header.Get("Host"); host != "" {
		req.Host = host
	}
	req.Close = true
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		f.t.Errorf("the response's body: %v", err)
	}
	return res, string(b)
}

func (f *front) want(path string, status int, body string) {
	f.t.Helper()
	if res, b := f.ask("GET", path, "", nil); res.StatusCode != status || b != body {
		f.t.Errorf("%s: %d %q, want %d %q", path, res.StatusCode, b, status, body)
	}
}

func TestParams(t *testing.T) {
	f := serve(t, Config{
		Servers: []Server{{Address: "a:1", RoundTripper: tripper(func(_ context.Context, req *gateway.Request) (*gateway.Response, error) {
			body, err := io.ReadAll(orEmpty(req.Body))
			names := map[string]int{}
			for _, p := range req.Params {
				names[p.Name]++
			}
			for name, n := range names {
				if n > 1 {
					t.Errorf("%s comes %d times", name, n)
				}
			}
			return says(200, fmt.Sprintf("%s|%s|%s|%s|%s|%d|%s", req.Param("SCRIPT_NAME"), req.Param("PATH_INFO"), req.Param("SCRIPT_FILENAME"),
				req.Param("HTTPS"), req.Param("CONTENT_LENGTH"), req.ContentLength, body)), err
		})}},
		Params: []gateway.Param{{Name: "SCRIPT_FILENAME", Value: "/x.php"}, {Name: "HTTPS", Value: "on"}, {Name: "PATH_INFO", Value: "/set"}},
	}, nil)
	if _, b := f.ask("GET", "/a%2Fb", "", nil); b != "|/set|/x.php|on||0|" {
		t.Errorf("GET: %q", b)
	}
	if _, b := f.ask("POST", "/", "12345", nil); b != "|/set|/x.php|on|5|5|12345" {
		t.Errorf("POST: %q", b)
	}
}

func orEmpty(r io.Reader) io.Reader {
	if r == nil {
		return strings.NewReader("")
	}
	return r
}

func TestMount(t *testing.T) {
	echo := tripper(func(_ context.Context, req *gateway.Request) (*gateway.Response, error) {
		return says(200, req.Param("SCRIPT_NAME")+" "+req.Param("PATH_INFO")), nil
	})
	f := serve(t, Config{Servers: []Server{{Address: "a:1", RoundTripper: echo}}}, nil)
	f.Server.Config.Handler = f.Group.Handler("/shop/", nil)
	f.want("/shop/x", 200, "/shop /x")
	f.want("/shop", 200, "/shop ")
	f.want("/shopping", 404, "Not Found\n")
}

// TestBodyIsCollected: a body of unknown length gets one, is here before the
// back end is asked, and can be had again.
func TestBodyIsCollected(t *testing.T) {
	sent := make(chan struct{})
	f := serve(t, Config{Servers: []Server{{Address: "a:1", RoundTripper: tripper(func(_ context.Context, req *gateway.Request) (*gateway.Response, error) {
		select {
		case <-sent:
		default:
			t.Error("the back end is asked before the body is here")
		}
		one, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		again, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		two, err := io.ReadAll(again)
		return says(200, fmt.Sprintf("%s %d %v", req.Param("CONTENT_LENGTH"), len(one), bytes.Equal(one, two))), err
	})}}}, nil)
	for _, size := range []int{1, 1 << 10, bodyMemory, bodyMemory + 1, 3 << 20} {
		sent = make(chan struct{})
		r, w := io.Pipe()
		go func() {
			half := bytes.Repeat([]byte("x"), size/2)
			w.Write(half)
			w.Write(bytes.Repeat([]byte("y"), size-len(half)-1))
			close(sent)
			w.Write([]byte("z"))
			w.Close()
		}()
		res, err := http.Post(f.URL, "", r)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if want := fmt.Sprintf("%d %d true", size, size); err != nil || string(b) != want {
			t.Errorf("%q, %v; want %q", b, err, want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestBodyTooLarge(t *testing.T) {
	f := serve(t, Config{MaxBody: 10, Servers: []Server{{Address: "a:1", RoundTripper: tripper(func(_ context.Context, req *gateway.Request) (*gateway.Response, error) {
		return says(200, req.Param("CONTENT_LENGTH")), nil
	})}}}, nil)
	for _, request := range []string{
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n12345678901", // by the head alone
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n12345678901\r\n0\r\n\r\n",
	} {
		if got := raw(t, f, request); !strings.HasPrefix(got, "HTTP/1.1 413 ") || !strings.Contains(got, "Connection: close") {
			t.Errorf("%.60q: %q", request, got)
		}
	}
	c, err := net.Dial("tcp", f.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n")
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 413 ") {
		t.Errorf("it is asked for a body that nobody takes: %q, %v", line, err)
	}
	c.Close()
	if got := raw(t, f, "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\na\r\n1234567890\r\n0\r\n\r\n"); !strings.Contains(got, "\r\nContent-Length: 2\r\n") || !strings.HasSuffix(got, "\r\n\r\n10") {
		t.Errorf("as large as may be: %q", got)
	}
	if got := raw(t, f, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
		t.Errorf("a broken one: %q", got)
	}
}

// raw sends bytes and returns all that comes back.
func raw(t *testing.T, f *front, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", f.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, request)
	b, err := io.ReadAll(c)
	if err != nil {
		t.Errorf("%.60q: %v", request, err)
	}
	return string(b)
}

// TestBodyAfterClose: a client that still reads when the response is complete
// gets an error, not somebody else's bytes.
func TestBodyAfterClose(t *testing.T) {
	bodies := make(chan io.Reader, 2)
	f := serve(t, Config{Servers: []Server{{Address: "a:1", RoundTripper: tripper(func(_ context.Context, req *gateway.Request) (*gateway.Response, error) {
		bodies <- req.Body
		return says(200, "early"), nil
	})}}}, nil)
	for _, size := range []int{100, bodyMemory + 1, 1 << 20} {
		f.ask("POST", "/", strings.Repeat("x", size), nil)
		body := <-bodies
		eventually(t, "the body is closed", func() bool {
			_, err := body.Read(make([]byte, 1))
			return errors.Is(err, os.ErrClosed)
		})
	}
}

func TestErrors(t *testing.T) {
	var fail error
	f := serve(t, Config{Servers: []Server{{Address: "a:1", RoundTripper: tripper(func(context.Context, *gateway.Request) (*gateway.Response, error) {
		return nil, fail
	})}}}, nil)
	for err, status := range map[error]int{
		gateway.ErrOverloaded: 503, gateway.ErrTimeout: 504, gateway.ErrBadResponse: 502, gateway.ErrNotAnswered: 502,
		gateway.ErrTooLarge: 431, gateway.ErrUnsupported: 502, errors.New("anything\nelse"): 502, gateway.ErrUnreachable: 502,
	} {
		fail = fmt.Errorf("scgi: %w", err)
		before := f.log.String()
		res, b := f.ask("GET", "/x?y", "", nil)
		if res.StatusCode != status || b != http.StatusText(status)+"\n" || res.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%v: %d %q %v; want %d", err, res.StatusCode, b, res.Header, status)
		}
		if said := strings.TrimPrefix(f.log.String(), before); strings.Count(said, "\n") != 1 || !strings.Contains(said, "server=a:1") ||
			!strings.Contains(said, "upstream=api") || !strings.Contains(said, "/x?y") || !strings.Contains(said, fmt.Sprintf("status=%d", status)) {
			t.Errorf("%v: the log says %q", err, said)
		}
	}
}

// TestRequestID: back ends are told the request's id, whatever Connection says,
// and so are the log and the client of an error page. What a back end answers
// gives way to what the site shows.
func TestRequestID(t *testing.T) {
	var told, fail error
	inner := serve(t, Config{Servers: []Server{{Address: "a:1", RoundTripper: tripper(func(_ context.Context, req *gateway.Request) (*gateway.Response, error) {
		told = errors.New(req.Param("HTTP_X_REQUEST_ID"))
		io.WriteString(req.Stderr, "a word\n")
		if fail != nil {
			return nil, fail
		}
		resp := says(200, "ok")
		resp.Header["X-Request-Id"] = []string{"theirs"}
		return resp, nil
	})}}}, nil)
	site := func(shows bool) *httptest.ResponseRecorder {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/x", nil)
		r.Header["X-Request-Id"] = []string{"id-1"}
		if shows {
			w.Header()["X-Request-Id"] = []string{"id-1"}
		}
		inner.Group.Handler("", nil).ServeHTTP(w, r)
		return w
	}
	for shows, want := range map[bool]string{true: "id-1", false: "theirs"} {
		if w := site(shows); w.Header().Get("X-Request-Id") != want || told.Error() != "id-1" {
			t.Errorf("shown is %q, the back end was told %q", w.Header().Get("X-Request-Id"), told)
		}
	}
	eventually(t, "the log says who printed", func() bool { return len(inner.log.lines("says: a word", "request=id-1")) == 2 })
	fail = gateway.ErrNotAnswered
	w := site(true)
	if b := w.Body.String(); b != "Bad Gateway\nrequest id: id-1\n" || w.Header().Get("X-Request-Id") != "id-1" {
		t.Errorf("the page is %q, its header %v", b, w.Header())
	}
	if len(inner.log.lines("cannot answer a request", "request=id-1")) != 1 {
		t.Errorf("the log: %s", inner.log)
	}
	h := toldHeader(&http.Request{Header: http.Header{"Connection": {"X-Request-Id"}, "X-Request-Id": {"id-1"}}}, "")
	if h.Get("X-Request-Id") != "id-1" {
		t.Error("a client's Connection header drops the id")
	}
}

func TestTwoContentTypes(t *testing.T) {
	f := serve(t, Config{Servers: []Server{{Address: "a:1", RoundTripper: tripper(func(context.Context, *gateway.Request) (*gateway.Response, error) {
		return says(200, "ok"), nil
	})}}}, nil)
	got := raw(t, f, "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 0\r\nContent-Type: a/b\r\nContent-Type: c/d\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 400 ") {
		t.Errorf("%q", got)
	}
}

func TestStderr(t *testing.T) {
	f := serve(t, Config{Servers: []Server{{Address: "a:1", RoundTripper: tripper(func(_ context.Context, req *gateway.Request) (*gateway.Response, error) {
		for _, piece := range []string{"one li", "ne\r\n\x1b[2Jtwo\x00\xff ü\n\nthree"} {
			if n, err := io.WriteString(req.Stderr, piece); n != len(piece) || err != nil {
				t.Errorf("Write: %d, %v", n, err)
			}
		}
		io.WriteString(req.Stderr, "\n"+strings.Repeat("l", 2*maxLine)+"\nlast")
		return says(200, "ok"), nil
	})}}}, nil)
	f.want("/u", 200, "ok")
	for want, n := range map[string]int{
		`says: one line"`: 1, `says: \\x1b[2Jtwo\\x00\\xff ü"`: 1, `says: three"`: 1, `says: ` + strings.Repeat("l", maxLine) + `"`: 2, `says: last"`: 1,
	} {
		eventually(t, want, func() bool { return len(f.log.lines(want, "upstream=api", "uri=/u")) == n })
	}
	if n := len(f.log.lines("says: ")); n != 6 {
		t.Errorf("%d lines, want 6:\n%s", n, f.log)
	}
}
