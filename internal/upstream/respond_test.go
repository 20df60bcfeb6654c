package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"millrace/gateway"
)

// streaming is a back end whose response's body comes out of a pipe, one for
// each request.
func streaming(head gateway.Head) (tripper, chan *io.PipeWriter) {
	bodies := make(chan *io.PipeWriter, 1)
	return func(ctx context.Context, _ *gateway.Request) (*gateway.Response, error) {
		r, w := io.Pipe()
		context.AfterFunc(ctx, func() { w.CloseWithError(ctx.Err()) })
		bodies <- w
		h := head
		h.Header = head.Header.Clone()
		return &gateway.Response{Head: h, Body: r}, nil
	}, bodies
}

func headOf(length int64, kind string) gateway.Head {
	h := gateway.Head{Status: 200, Header: http.Header{"Content-Type": {kind}}, ContentLength: length}
	if length >= 0 {
		h.Header.Set("Content-Length", fmt.Sprint(length))
	}
	return h
}

// TestHead: what a response says reaches the client, and nothing that it does
// not say.
func TestHead(t *testing.T) {
	var resp *gateway.Response
	f := serve(t, Config{Servers: []Server{{Address: "a:1", RoundTripper: tripper(func(context.Context, *gateway.Request) (*gateway.Response, error) {
		return resp, nil
	})}}}, nil)
	resp = says(404, "none")
	resp.Header = http.Header{"Set-Cookie": {"a=1", "b=2"}}
	res, b := f.ask("GET", "/", "", nil)
	if res.StatusCode != 404 || b != "none" || len(res.Header["Set-Cookie"]) != 2 || res.Header["Content-Type"] != nil || res.ContentLength >= 0 && res.ContentLength != 4 {
		t.Errorf("%d %q %v", res.StatusCode, b, res.Header)
	}
	for _, status := range []int{204, 304} {
		resp = says(status, "not a body")
		if res, b := f.ask("GET", "/", "", nil); res.StatusCode != status || b != "" {
			t.Errorf("%d %q", res.StatusCode, b)
		}
	}
	resp = says(200, "not a body either")
	resp.Header.Set("Content-Length", "17")
	resp.ContentLength = 17
	if res, b := f.ask("HEAD", "/", "", nil); res.ContentLength != 17 || b != "" {
		t.Errorf("HEAD: %v %q", res.Header, b)
	}
	resp = says(200, "")
	if res, b := f.ask("GET", "/", "", nil); res.ContentLength != 0 || b != "" {
		t.Errorf("an empty body: %d %q", res.ContentLength, b)
	}
	resp = says(200, "longer than it says")
	resp.Header.Set("Content-Length", "6")
	resp.ContentLength = 6
	if res, b := f.ask("GET", "/", "", nil); b != "longer" || res.StatusCode != 200 {
		t.Errorf("a surplus: %q", b)
	}
	eventually(t, "the surplus is logged", func() bool { return len(f.log.lines("longer than its Content-Length", "server=a:1")) == 1 })
}

// TestSlowClient: a client that reads nothing does not hold the back end, also
// when the response is far more than what sockets take.
func TestSlowClient(t *testing.T) {
	const size = 32 << 20
	tripper, bodies := streaming(headOf(size, "a/b"))
	f := serve(t, Config{Servers: []Server{{Address: "a:1", RoundTripper: tripper}}}, nil)
	c, err := net.Dial("tcp", f.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	w := <-bodies
	piece := make([]byte, 1<<20)
	for i := range size / len(piece) {
		for j := range piece {
			piece[j] = byte(i)
		}
		if _, err := w.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	eventually(t, "the back end is free", func() bool {
		s := f.Group.Status().Servers[0]
		return s.Active == 0 && s.Answered == 1
	})
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range size / len(piece) {
		if _, err := io.ReadFull(res.Body, piece); err != nil || piece[0] != byte(i) || piece[len(piece)-1] != byte(i) {
			t.Fatalf("piece %d: %v, begins with %d and ends with %d", i, err, piece[0], piece[len(piece)-1])
		}
	}
	if n, err := res.Body.Read(piece); n != 0 || err != io.EOF {
		t.Errorf("then %d bytes, %v", n, err)
	}
}

// TestFlush: what the app has sent reaches the client before there is more.
func TestFlush(t *testing.T) {
	for name, head := range map[string]gateway.Head{
		"events": headOf(-1, "Text/Event-Stream; charset=utf-8"), "text": headOf(-1, "text/plain"), "sized": headOf(6, "text/plain"),
	} {
		tripper, bodies := streaming(head)
		f := serve(t, Config{Servers: []Server{{Address: "a:1", RoundTripper: tripper}}}, nil)
		got := make(chan *http.Response)
		go func() {
			res, err := http.Get(f.URL)
			if err != nil {
				t.Error(err)
			}
			got <- res
		}()
		w := <-bodies
		res := <-got // the head, while there is no body at all
		b := make([]byte, 10)
		for _, piece := range []string{"ab", "cd", "ef"} {
			if _, err := io.WriteString(w, piece); err != nil {
				t.Fatal(err)
			}
			if n, err := io.ReadFull(res.Body, b[:2]); err != nil || string(b[:n]) != piece {
				t.Errorf("%s: %q, %v; want %q", name, b[:n], err, piece)
			}
		}
		w.Close()
		if n, err := res.Body.Read(b); n != 0 || err != io.EOF {
			t.Errorf("%s: then %q, %v", name, b[:n], err)
		}
		res.Body.Close()
		http.DefaultClient.CloseIdleConnections()
	}
}

// TestCut: a response that breaks off is no whole one for the client, and is
// logged once.
func TestCut(t *testing.T) {
	for name, tt := range map[string]struct {
		length int64
		err    error
	}{
		"reset":         {-1, errors.New("connection reset")},
		"reset, sized":  {10, errors.New("connection reset")},
		"ends too soon": {10, nil},
		"late":          {-1, gateway.ErrTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			tripper, bodies := streaming(headOf(tt.length, "text/plain"))
			f := serve(t, Config{Servers: []Server{{Address: "a:1", RoundTripper: tripper}}}, nil)
			go func() {
				w := <-bodies
				io.WriteString(w, "half")
				w.CloseWithError(tt.err)
			}()
			res, err := http.Get(f.URL + "/u")
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if b, err := io.ReadAll(res.Body); string(b) != "half" || err == nil {
				t.Errorf("%q, %v; want half of it and an error", b, err)
			}
			eventually(t, "it is logged", func() bool { return f.log.String() != "" })
			if n := len(f.log.lines("cut short", "server=a:1", "uri=/u", "upstream=api")); n != 1 || strings.Count(f.log.String(), "\n") != 1 {
				t.Errorf("the log:\n%s", f.log)
			}
			if s := f.Group.Status().Servers[0]; s.Failed != 1 || s.Answered != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestCutBeforeBody: as long as nothing was sent the client gets an answer.
func TestCutBeforeBody(t *testing.T) {
	f := serve(t, Config{Servers: []Server{{Address: "a:1", RoundTripper: tripper(func(context.Context, *gateway.Request) (*gateway.Response, error) {
		resp := says(200, "")
		resp.Header.Set("Set-Cookie", "a=1")
		resp.Body = io.NopCloser(io.MultiReader(failing{gateway.ErrTimeout}))
		return resp, nil
	})}}}, nil)
	if res, b := f.ask("GET", "/", "", nil); res.StatusCode != 504 || b != "Gateway Timeout\n" || res.Header["Set-Cookie"] != nil {
		t.Errorf("%d %q %v", res.StatusCode, b, res.Header)
	}
	if n := strings.Count(f.log.String(), "\n"); n != 1 {
		t.Errorf("the log:\n%s", f.log)
	}
}

type failing struct{ err error }

func (r failing) Read([]byte) (int, error) { return 0, r.err }

// TestClientLeaves: the back end is told, nothing is left, and nothing logged.
func TestClientLeaves(t *testing.T) {
	for name, begun := range map[string]bool{"before the body": false, "in the body": true} {
		t.Run(name, func(t *testing.T) {
			tripper, bodies := streaming(headOf(-1, "text/event-stream"))
			f := serve(t, Config{Servers: []Server{{Address: "a:1", RoundTripper: tripper}}}, nil)
			c, err := net.Dial("tcp", f.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
			w := <-bodies
			if begun {
				io.WriteString(w, "data: x\n\n")
			}
			if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
				t.Errorf("%q, %v", line, err)
			}
			c.Close()
			eventually(t, "the back end is told", func() bool {
				_, err := w.Write(nil)
				return err != nil
			})
			eventually(t, "it is free", func() bool { return f.Group.Status().Servers[0].Active == 0 })
			if text := f.log.String(); text != "" {
				t.Errorf("the log:\n%s", text)
			}
		})
	}
}

// TestWriteFails: also when nothing else tells that the client is gone, a
// silent back end is not waited for.
func TestWriteFails(t *testing.T) {
	tripper, bodies := streaming(headOf(-1, "text/event-stream"))
	f := serve(t, Config{Servers: []Server{{Address: "a:1", RoundTripper: tripper}}}, nil)
	ended := make(chan any, 1)
	go func() {
		defer func() { ended <- recover() }()
		f.Group.Handler("", nil).ServeHTTP(&brokenWriter{httptest.NewRecorder()}, httptest.NewRequest("GET", "/", nil))
	}()
	io.WriteString(<-bodies, "data: x\n\n")
	select {
	case p := <-ended:
		if p != http.ErrAbortHandler {
			t.Errorf("it ended with %v", p)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the handler waits for the back end")
	}
}

type brokenWriter struct{ *httptest.ResponseRecorder }

func (w *brokenWriter) Write([]byte) (int, error) { return 0, errors.New("broken") }

// TestConnectionIsKept: a body is read to its end, beyond its Content-Length,
// before it is closed.
func TestConnectionIsKept(t *testing.T) {
	read := make(chan bool, 1)
	f := serve(t, Config{Servers: []Server{{Address: "a:1", RoundTripper: tripper(func(context.Context, *gateway.Request) (*gateway.Response, error) {
		resp := says(200, "")
		resp.ContentLength = 4
		resp.Body = &toEnd{r: strings.NewReader("four"), read: read}
		return resp, nil
	})}}}, nil)
	f.want("/", 200, "four")
	select {
	case end := <-read:
		if !end {
			t.Error("closed before its end was read")
		}
	case <-time.After(10 * time.Second):
		t.Error("never closed")
	}
}

// toEnd tells when it is closed whether its end was read.
type toEnd struct {
	r    io.Reader
	end  bool
	read chan bool
}

func (b *toEnd) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.end = b.end || err == io.EOF
	return n, err
}

func (b *toEnd) Close() error {
	b.read <- b.end
	return nil
}

func TestLocalRedirect(t *testing.T) {
	f := serve(t, Config{MaxConns: 1, Servers: []Server{{Address: "a:1", RoundTripper: tripper(func(_ context.Context, req *gateway.Request) (*gateway.Response, error) {
		resp := says(200, "not for the client")
		resp.Header.Set("Set-Cookie", "no")
		resp.LocalRedirect = req.Param("PATH_INFO") + "/there?q"
		return resp, nil
	})}}}, func(w http.ResponseWriter, _ *http.Request, location string) error {
		if strings.HasPrefix(location, "/bad") {
			return errors.New("no such place")
		}
		fmt.Fprintf(w, "at %s, %d headers", location, len(w.Header()))
		return nil
	})
	f.want("/go", 200, "at /go/there?q, 0 headers")
	f.want("/bad", 502, "Bad Gateway\n")
	if n := len(f.log.lines("no such place", "server=a:1")); n != 1 {
		t.Errorf("the log:\n%s", f.log)
	}
}
