package gateway

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
	"strings"
	"sync"
	"testing"
	"time"
)

// roundTripper is a RoundTripper that is a function.
type roundTripper func(ctx context.Context, req *Request) (*Response, error)

func (f roundTripper) RoundTrip(ctx context.Context, req *Request) (*Response, error) {
	return f(ctx, req)
}

// testLog is a log in memory.
type testLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *testLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *testLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *testLog) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// serveOnce has a net/http server answer one request, and returns what came
// over the wire. A response that is cut short has a body that says so.
func serveOnce(t testing.TB, h *Handler, wire string) (*http.Response, string) {
	t.Helper()
	if h.Log == nil {
		h.Log = slog.New(slog.DiscardHandler)
	}
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.Start()
	defer server.Close()
	c, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, wire); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(wire, " ")
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		b = append(b, " ("+err.Error()+")"...)
	}
	return resp, string(b)
}

// echo answers by what it got.
var echo = roundTripper(func(_ context.Context, req *Request) (*Response, error) {
	body := "no body"
	if req.Body != nil {
		b, err := io.ReadAll(req.Body)
		body = fmt.Sprintf("%d bytes, %v", len(b), err)
	}
	text := fmt.Sprintf("%s %s %s, %d: %s", req.Param("REQUEST_METHOD"), req.Param("SCRIPT_NAME"), req.Param("PATH_INFO"), req.ContentLength, body)
	return textResponse(text), nil
})

func textResponse(text string) *Response {
	return &Response{Head: Head{Status: 200, Header: http.Header{}, ContentLength: -1}, Body: io.NopCloser(strings.NewReader(text))}
}

func TestHandlerRequests(t *testing.T) {
	chunked := func(n int) string {
		return fmt.Sprintf("POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", n, strings.Repeat("x", n))
	}
	for _, tt := range []struct {
		name   string
		h      *Handler
		wire   string
		status int
		body   string
	}{
		{"GET", &Handler{}, "GET /a%20b?q HTTP/1.1\r\nHost: h\r\n\r\n", 200, "GET  /a b, 0: no body"},
		{"HEAD", &Handler{}, "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", 200, ""},
		{"a mount", &Handler{Mount: "/app"}, "GET /app/x HTTP/1.1\r\nHost: h\r\n\r\n", 200, "GET /app /x, 0: no body"},
		{"the mount itself", &Handler{Mount: "/app"}, "GET /app HTTP/1.1\r\nHost: h\r\n\r\n", 200, "GET /app , 0: no body"},
		{"outside of the mount", &Handler{Mount: "/app"}, "GET /apple HTTP/1.1\r\nHost: h\r\n\r\n", 404, "Not Found\n"},
		{"a body", &Handler{}, "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", 200, "POST  /p, 5: 5 bytes, <nil>"},
		{"an empty body", &Handler{}, "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", 200, "POST  /p, 0: no body"},
		{"chunks", &Handler{}, chunked(5), 200, "POST  /p, 5: 5 bytes, <nil>"},
		{"many chunks", &Handler{}, chunked(bodyMemory + 1), 200, fmt.Sprintf("POST  /p, %d: %[1]d bytes, <nil>", bodyMemory+1)},
		{"chunks, just in memory", &Handler{}, chunked(bodyMemory), 200, fmt.Sprintf("POST  /p, %d: %[1]d bytes, <nil>", bodyMemory)},
		{"as much as may be", &Handler{MaxBody: 5}, "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", 200, "POST  /p, 5: 5 bytes, <nil>"},
		{"too much", &Handler{MaxBody: 4}, "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", 413, "Request Entity Too Large\n"},
		{"as many chunks as may be", &Handler{MaxBody: 5}, chunked(5), 200, "POST  /p, 5: 5 bytes, <nil>"},
		{"too many chunks", &Handler{MaxBody: 4}, chunked(5), 413, "Request Entity Too Large\n"},
		{"too many chunks for memory", &Handler{MaxBody: bodyMemory + 1}, chunked(bodyMemory + 2), 413, "Request Entity Too Large\n"},
		{"bad chunks", &Handler{}, "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "Bad Request\n"},
		{"no limit", &Handler{MaxBody: -1}, chunked(5), 200, "POST  /p, 5: 5 bytes, <nil>"},
		{"two content types", &Handler{}, "GET / HTTP/1.1\r\nHost: h\r\nContent-Type: a/b\r\nContent-Type: c/d\r\n\r\n", 400, "Bad Request\n"},
		{"a control character", &Handler{}, "GET /a%00b HTTP/1.1\r\nHost: h\r\n\r\n", 400, "Bad Request\n"},
		{"Complete refuses", &Handler{Complete: func(*http.Request, *Request) error { return errors.New("no") }}, chunked(bodyMemory + 1), 400, "Bad Request\n"},
		{"Complete changes", &Handler{Complete: func(_ *http.Request, req *Request) error {
			req.Params = Set(req.Params, "SCRIPT_NAME", "changed")
			return nil
		}}, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 200, "GET changed /, 0: no body"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.h.RoundTripper = echo
			resp, body := serveOnce(t, tt.h, tt.wire)
			if resp.StatusCode != tt.status || body != tt.body {
				t.Errorf("got %d %q, want %d %q", resp.StatusCode, body, tt.status, tt.body)
			}
		})
	}
}

// A body that had to go to a file leaves no descriptor behind, whatever
// becomes of the request.
func TestHandlerClosesBodies(t *testing.T) {
	for name, h := range map[string]*Handler{
		"answered": {RoundTripper: echo},
		"failed": {RoundTripper: roundTripper(func(context.Context, *Request) (*Response, error) {
			return nil, ErrUnreachable
		})},
		"cut short": {RoundTripper: roundTripper(func(_ context.Context, req *Request) (*Response, error) {
			resp := textResponse("")
			resp.Body = io.NopCloser(io.MultiReader(strings.NewReader("some"), failingReader{errors.New("cut")}))
			return resp, nil
		})},
		"redirected": {Redirect: http.NotFoundHandler(), RoundTripper: wireBackEnd("Location: /x\n\n")},
	} {
		t.Run(name, func(t *testing.T) {
			var file *os.File
			h.Complete = func(_ *http.Request, req *Request) error { return nil }
			inner := h.RoundTripper
			h.RoundTripper = roundTripper(func(ctx context.Context, req *Request) (*Response, error) {
				file, _ = req.Body.(*os.File)
				return inner.RoundTrip(ctx, req)
			})
			n := bodyMemory + 1
			serveOnce(t, h, fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", n, strings.Repeat("x", n)))
			if file == nil {
				t.Fatal("the body was no file")
			}
			if _, err := file.Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
				t.Errorf("the file is open: %v", err)
			}
			if _, err := os.Stat(file.Name()); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s is still there: %v", file.Name(), err)
			}
		})
	}
}

func TestHandlerErrors(t *testing.T) {
	for _, tt := range []struct {
		err    error
		status int
	}{
		{ErrOverloaded, 503}, {ErrUnreachable, 502}, {ErrTimeout, 504}, {ErrBadResponse, 502}, {ErrBody, 400},
		{ErrNotAnswered, 502}, {ErrTooLarge, 431}, {ErrUnsupported, 502}, {context.DeadlineExceeded, 504}, {errors.New("any other"), 502},
	} {
		var log testLog
		h := &Handler{Log: log.logger(), RoundTripper: roundTripper(func(context.Context, *Request) (*Response, error) {
			return nil, fmt.Errorf("wrapped: %w", tt.err)
		})}
		resp, body := serveOnce(t, h, "GET /uri HTTP/1.1\r\nHost: h\r\n\r\n")
		if resp.StatusCode != tt.status || body != http.StatusText(tt.status)+"\n" {
			t.Errorf("%v: got %d %q, want %d", tt.err, resp.StatusCode, body, tt.status)
		}
		if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, tt.err.Error()) || !strings.Contains(got, "uri=/uri") {
			t.Errorf("%v: the log says\n%s", tt.err, got)
		}
	}
}

func TestHandlerCutResponseIsSeenAsCut(t *testing.T) {
	h := &Handler{RoundTripper: roundTripper(func(context.Context, *Request) (*Response, error) {
		resp := textResponse("")
		resp.Body = io.NopCloser(io.MultiReader(strings.NewReader("some"), failingReader{errors.New("cut")}))
		return resp, nil
	})}
	var log testLog
	h.Log = log.logger()
	resp, body := serveOnce(t, h, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if resp.StatusCode != 200 || body != "some (unexpected EOF)" {
		t.Errorf("got %d %q", resp.StatusCode, body)
	}
	if !strings.Contains(log.String(), "error=cut") {
		t.Errorf("the log says\n%s", log.String())
	}
}

// A part of a response is passed on when it comes.
func TestHandlerStreams(t *testing.T) {
	r, w := io.Pipe()
	h := &Handler{RoundTripper: roundTripper(func(context.Context, *Request) (*Response, error) {
		resp := textResponse("")
		resp.Body = r
		return resp, nil
	})}
	server := httptest.NewServer(h)
	defer server.Close()
	go io.WriteString(w, "one")
	resp, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for _, want := range []string{"one", "two"} {
		b := make([]byte, 3)
		if _, err := io.ReadFull(resp.Body, b); err != nil || string(b) != want {
			t.Fatalf("got %q, %v", b, err)
		}
		if want == "one" {
			go func() { io.WriteString(w, "two"); w.Close() }()
		}
	}
	if b, err := io.ReadAll(resp.Body); len(b) != 0 || err != nil {
		t.Errorf("got %q, %v at the end", b, err)
	}
}

// redirects is a back end that answers "/N" by a local redirect to "/N-1".
var redirects = roundTripper(func(_ context.Context, req *Request) (*Response, error) {
	var n int
	fmt.Sscanf(req.Param("PATH_INFO"), "/%d", &n)
	if n == 0 {
		return textResponse(fmt.Sprintf("%s %s ?%s %s %q %q %v", req.Param("REQUEST_METHOD"), req.Param("REQUEST_URI"), req.Param("QUERY_STRING"), req.Param("SCRIPT_NAME"), req.Param("CONTENT_TYPE"), req.Param("CONTENT_LENGTH"), req.Body)), nil
	}
	resp := textResponse("nobody reads this")
	resp.LocalRedirect = fmt.Sprintf("%s/%d?from=%d", req.Param("SCRIPT_NAME"), n-1, n)
	return resp, nil
})

func TestHandlerRedirects(t *testing.T) {
	h := &Handler{RoundTripper: redirects}
	post := "POST /%d HTTP/1.1\r\nHost: h\r\nContent-Type: a/b\r\nContent-Length: 5\r\n\r\nhello"
	const want = `GET /0?from=1 ?from=1  "" "" <nil>`
	for _, n := range []int{1, maxRedirects} {
		if resp, body := serveOnce(t, h, fmt.Sprintf(post, n)); resp.StatusCode != 200 || body != want {
			t.Errorf("%d redirects: %d %q", n, resp.StatusCode, body)
		}
	}
	if resp, _ := serveOnce(t, h, fmt.Sprintf(post, maxRedirects+1)); resp.StatusCode != 502 {
		t.Errorf("too many redirects: %d", resp.StatusCode)
	}
	h.Redirect = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(w, r) }) // a server's every check
	if resp, _ := serveOnce(t, h, fmt.Sprintf(post, maxRedirects+1)); resp.StatusCode != 502 {
		t.Errorf("too many redirects by way of the server: %d", resp.StatusCode)
	}
	if resp, body := serveOnce(t, h, fmt.Sprintf(post, maxRedirects)); resp.StatusCode != 200 || body != want {
		t.Errorf("by way of the server: %d %q", resp.StatusCode, body)
	}
	h = &Handler{RoundTripper: wireBackEnd("Location: /a%zz\n\n")}
	if resp, _ := serveOnce(t, h, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"); resp.StatusCode != 502 {
		t.Errorf("a redirect to nowhere: %d", resp.StatusCode)
	}
	h = &Handler{RoundTripper: redirects, Mount: "/app"}
	h.Complete = func(_ *http.Request, req *Request) error {
		if req.Param("PATH_INFO") == "/5" {
			return errors.New("the check of a redirect")
		}
		return nil
	}
	if resp, _ := serveOnce(t, h, "GET /app/6 HTTP/1.1\r\nHost: h\r\n\r\n"); resp.StatusCode != 400 {
		t.Errorf("a redirect to what is refused: %d", resp.StatusCode)
	}
}

// What a front server said of the first request does not hold for the one that
// it is redirected to.
func TestHandlerRedirectsBehindAFrontServer(t *testing.T) {
	for _, scriptName := range []string{"", "/app"} {
		r, err := ToHTTP(context.Background(), Incoming{Params: p("REQUEST_METHOD=POST", "REQUEST_URI="+scriptName+"/1?q", "QUERY_STRING=q", "SCRIPT_NAME="+scriptName, "PATH_INFO=/1",
			"DOCUMENT_URI=/1", "CONTENT_LENGTH=5", "CONTENT_TYPE=a/b", "SCRIPT_FILENAME=/x", "REMOTE_USER=me"), Body: strings.NewReader("hello")})
		if err != nil {
			t.Fatal(err)
		}
		var last *Request
		h := &Handler{Log: slog.New(slog.DiscardHandler), RoundTripper: roundTripper(func(ctx context.Context, req *Request) (*Response, error) {
			last = req
			return redirects(ctx, req)
		})}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if want := fmt.Sprintf(`GET %s/0?from=1 ?from=1 %[1]s "" "" <nil>`, scriptName); w.Code != 200 || w.Body.String() != want {
			t.Errorf("got %d %q, want %q", w.Code, w.Body, want)
		}
		if last.Param("REMOTE_USER") != "me" || last.Param("SCRIPT_FILENAME") != "" || last.Param("DOCUMENT_URI") != "" {
			t.Errorf("the parameters are %v", last.Params)
		}
	}
}

// A back end that writes more than its Content-Length is cut there.
func TestHandlerSurplus(t *testing.T) {
	h := &Handler{RoundTripper: wireBackEnd("Content-Length: 4\n\nbody and more")}
	if resp, body := serveOnce(t, h, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"); resp.ContentLength != 4 || body != "body" {
		t.Errorf("got %q of %d bytes", body, resp.ContentLength)
	}
	h = &Handler{RoundTripper: wireBackEnd("Content-Length: 9\n\nbody")}
	if resp, body := serveOnce(t, h, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"); resp.ContentLength != 9 || body != "body (unexpected EOF)" {
		t.Errorf("got %q of %d bytes", body, resp.ContentLength)
	}
}

// A back end may answer before it has read the request.
func TestHandlerAnswersEarly(t *testing.T) {
	const size = 100 << 10 // net/http leaves a larger one alone, and one whose connection closes
	h := &Handler{RoundTripper: roundTripper(func(_ context.Context, req *Request) (*Response, error) {
		r, w := io.Pipe()
		go func() {
			io.WriteString(w, "early, ")
			io.WriteString(w, "and ") // the first part has been passed on
			n, err := io.Copy(io.Discard, req.Body)
			fmt.Fprintf(w, "%d bytes, %v", n, err)
			w.Close()
		}()
		resp := textResponse("")
		resp.Body = r
		return resp, nil
	})}
	_, body := serveOnce(t, h, fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size)))
	if want := fmt.Sprintf("early, and %d bytes, <nil>", size); body != want {
		t.Errorf("got %q, want %q", body, want)
	}
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// A back end that does not stop at its Content-Length is not listened to.
func TestHandlerEndlessSurplus(t *testing.T) {
	h := &Handler{RoundTripper: roundTripper(func(context.Context, *Request) (*Response, error) {
		resp := textResponse("")
		resp.ContentLength, resp.Header = 4, http.Header{"Content-Length": {"4"}}
		resp.Body = io.NopCloser(io.MultiReader(strings.NewReader("body"), zeros{}))
		return resp, nil
	})}
	if _, body := serveOnce(t, h, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"); body != "body" {
		t.Errorf("got %q", body)
	}
}

func TestStderrLog(t *testing.T) {
	var log testLog
	s := &stderrLog{log: log.logger(), uri: "/u"}
	for _, part := range []string{"on", "e\ntw", "o\r\n\n", strings.Repeat("x", maxLine+10), "\nthree"} {
		if n, err := s.Write([]byte(part)); n != len(part) || err != nil {
			t.Errorf("Write gives %d, %v for %d bytes", n, err, len(part))
		}
	}
	s.flush()
	got := log.String()
	for _, want := range []string{`\"one\"`, `\"two\"`, `\"three\"`, strings.Repeat("x", maxLine), `\"` + strings.Repeat("x", 10) + `\"`} {
		if !strings.Contains(got, want) {
			t.Errorf("%.20s is missing", want)
		}
	}
	if n := strings.Count(got, "\n"); n != 5 {
		t.Errorf("%d records, want 5", n)
	}
}
