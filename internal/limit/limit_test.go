package limit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// listener hands out one connection; both ends are in a synctest bubble.
type listener struct{ conns chan net.Conn }

func (l *listener) Accept() (net.Conn, error) {
	c, ok := <-l.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (l *listener) Close() error   { return nil }
func (l *listener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// exchange serves h on one connection, in fake time, and gives client the
// other end of it.
func exchange(t *testing.T, h http.Handler, client func(c net.Conn, r *bufio.Reader)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &listener{make(chan net.Conn, 1)}
		server, c := net.Pipe()
		srv := &http.Server{Handler: h, IdleTimeout: time.Hour}
		done := make(chan struct{})
		go func() { defer close(done); srv.Serve(l) }()
		l.conns <- server
		client(c, bufio.NewReader(c))
		c.Close()
		time.Sleep(time.Minute) // of the bubble's clock: the client's goroutines see it
		close(l.conns)
		srv.Close()
		<-done
	})
}

type outcome struct {
	n    int
	err  error
	took time.Duration
	ctx  error
}

// reader reads the whole body and reports.
func reader(out *[]outcome) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		b, err := io.ReadAll(r.Body)
		*out = append(*out, outcome{len(b), err, time.Since(start), r.Context().Err()})
		if err != nil {
			w.WriteHeader(http.StatusRequestTimeout)
		}
		fmt.Fprintf(w, "%d", len(b))
	})
}

func head(length int) string {
	return fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", length)
}

func status(t *testing.T, r *bufio.Reader) (int, *http.Response) {
	t.Helper()
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Errorf("response: %v", err)
		return 0, nil
	}
	io.Copy(io.Discard, res.Body)
	return res.StatusCode, res
}

func TestStall(t *testing.T) {
	var out []outcome
	h := Body(reader(&out), Limits{Timeout: time.Minute, MinRate: 1})
	exchange(t, h, func(c net.Conn, r *bufio.Reader) {
		io.WriteString(c, head(1000))
		io.WriteString(c, strings.Repeat("x", 500))
		code, res := status(t, r)
		if code != http.StatusRequestTimeout || !res.Close {
			t.Errorf("status %d, close %v; want 408 and a closed connection", code, res.Close)
		}
		if _, err := r.ReadByte(); err == nil {
			t.Error("the connection is still open")
		}
	})
	if o := out[0]; o.n != 500 || !errors.Is(o.err, os.ErrDeadlineExceeded) || o.took < time.Minute || o.took > 90*time.Second {
		t.Errorf("%+v; want 500 bytes and a time-out after 60 to 90 s", o)
	}
}

func TestSlowButSteady(t *testing.T) {
	var out []outcome
	h := Body(reader(&out), Limits{Timeout: time.Minute, MinRate: 4})
	exchange(t, h, func(c net.Conn, r *bufio.Reader) {
		io.WriteString(c, head(60*600))
		for range 60 { // an hour: 600 bytes every 59 s
			time.Sleep(59 * time.Second)
			io.WriteString(c, strings.Repeat("x", 600))
		}
		if code, _ := status(t, r); code != 200 {
			t.Errorf("status %d", code)
		}
		// The same connection goes on, long after the deadlines of the first.
		time.Sleep(30 * time.Minute)
		io.WriteString(c, head(3)+"abc")
		if code, _ := status(t, r); code != 200 {
			t.Errorf("the second request: status %d", code)
		}
	})
	if len(out) != 2 || out[0].n != 36000 || out[0].err != nil || out[1].n != 3 {
		t.Errorf("%+v", out)
	}
}

func TestTooSlow(t *testing.T) {
	var out []outcome
	h := Body(reader(&out), Limits{Timeout: time.Minute, MinRate: 10})
	exchange(t, h, func(c net.Conn, r *bufio.Reader) {
		io.WriteString(c, head(1000))
		go func() {
			for range 1000 { // a byte every 5 s: never silent for a minute
				if _, err := io.WriteString(c, "x"); err != nil {
					return
				}
				time.Sleep(5 * time.Second)
			}
		}()
		if code, _ := status(t, r); code != http.StatusRequestTimeout {
			t.Errorf("status %d, want 408", code)
		}
	})
	o := out[0]
	if !errors.Is(o.err, os.ErrDeadlineExceeded) || !strings.Contains(o.err.Error(), "too slowly") || o.took < time.Minute || o.took > 66*time.Second {
		t.Errorf("%+v; want an error as soon as the first minute is over", o)
	}
}

// TestSlowHandler: the time that the handler takes is not the client's.
func TestSlowHandler(t *testing.T) {
	var err error
	n := 0
	h := Body(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		buf := make([]byte, 10)
		for {
			var step int
			step, err = io.ReadFull(r.Body, buf)
			n += step
			if err != nil {
				return
			}
			time.Sleep(10 * time.Minute)
		}
	}), Limits{Timeout: time.Minute, MinRate: 1000})
	exchange(t, h, func(c net.Conn, r *bufio.Reader) {
		go io.WriteString(c, head(100)+strings.Repeat("x", 100))
		if code, _ := status(t, r); code != 200 {
			t.Errorf("status %d", code)
		}
	})
	if n != 100 || err != io.EOF {
		t.Errorf("read %d, %v", n, err)
	}
}

// TestLongHandler: once the body is read, a handler may take longer than any
// deadline; a deadline left behind would look like a client that left.
func TestLongHandler(t *testing.T) {
	var ctx error
	h := Body(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		time.Sleep(time.Hour)
		ctx = r.Context().Err()
	}), Limits{Timeout: time.Minute})
	exchange(t, h, func(c net.Conn, r *bufio.Reader) {
		io.WriteString(c, head(3)+"abc")
		if code, _ := status(t, r); code != 200 {
			t.Errorf("status %d", code)
		}
	})
	if ctx != nil {
		t.Errorf("the request's context: %v", ctx)
	}
}

// TestUnreadBody: what the handler leaves, net/http reads, but not for ever.
func TestUnreadBody(t *testing.T) {
	h := Body(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}), Limits{Timeout: time.Minute})
	exchange(t, h, func(c net.Conn, r *bufio.Reader) {
		io.WriteString(c, head(1000)+"x")
		start := time.Now()
		if code, _ := status(t, r); code != 200 {
			t.Errorf("status %d", code)
		}
		if _, err := r.ReadByte(); err == nil || time.Since(start) > 2*time.Minute {
			t.Errorf("%v after %v; want the connection closed in about a minute", err, time.Since(start))
		}
	})
}

func TestChunkedAndContinue(t *testing.T) {
	var out []outcome
	h := Body(reader(&out), Limits{Timeout: time.Minute, MinRate: 1})
	exchange(t, h, func(c net.Conn, r *bufio.Reader) {
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
		if line, _ := r.ReadString('\n'); !strings.HasPrefix(line, "HTTP/1.1 100 ") {
			t.Errorf("%q, want 100", line)
		}
		r.ReadString('\n')
		io.WriteString(c, "3\r\nabc\r\n")
		time.Sleep(50 * time.Second)
		io.WriteString(c, "2\r\nde\r\n0\r\n\r\n")
		if code, _ := status(t, r); code != 200 {
			t.Errorf("status %d", code)
		}
	})
	if out[0].n != 5 {
		t.Errorf("%+v", out)
	}
}

// untouchable fails when it is asked for anything.
type untouchable struct{ http.ResponseWriter }

func TestNoBodyCostsNothing(t *testing.T) {
	same := false
	r := httptest.NewRequest("GET", "/", nil)
	before := r.Body
	h := Body(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { same = r.Body == before }), Limits{Timeout: time.Minute})
	if n := testing.AllocsPerRun(10, func() { h.ServeHTTP(untouchable{}, r) }); n != 0 || !same {
		t.Errorf("%v allocations, the body is the same: %v", n, same)
	}
}

// conn counts deadlines.
type conn struct {
	http.ResponseWriter
	moves int
	err   error
}

func (c *conn) SetReadDeadline(time.Time) error { c.moves++; return c.err }

func TestDeadlineMovesSeldom(t *testing.T) {
	c := &conn{}
	r := httptest.NewRequest("POST", "/", bytes.NewReader(make([]byte, 1<<20)))
	Body(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r.Body}, make([]byte, 1024))
	}), Limits{Timeout: time.Minute}).ServeHTTP(c, r)
	if c.moves != 2 {
		t.Errorf("the deadline moved %d times over 1024 reads, want 2: set and cleared", c.moves)
	}
}

// TestNoDeadlines: a writer that can't set deadlines is an error, not a body
// without limits.
func TestNoDeadlines(t *testing.T) {
	c := &conn{err: http.ErrNotSupported}
	r := httptest.NewRequest("POST", "/", strings.NewReader("abc"))
	var err error
	Body(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err = io.ReadAll(r.Body)
	}), Limits{Timeout: time.Minute}).ServeHTTP(c, r)
	if !errors.Is(err, http.ErrNotSupported) {
		t.Errorf("error %v", err)
	}
}

func TestZeroLimits(t *testing.T) {
	h := http.NotFoundHandler()
	if got := Body(h, Limits{}); fmt.Sprintf("%p", got) != fmt.Sprintf("%p", h) {
		t.Error("no limits, and a wrapper all the same")
	}
}
