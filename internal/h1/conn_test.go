package h1

// This file: connections over real sockets: clients that leave, wait, half
// close, pipeline and flood; hijacking; TLS; files.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestLeaves: a request's context ends when its client leaves, whatever that
// had sent, and however the connection is watched; a client that stays keeps
// it.
func TestLeaves(t *testing.T) {
	noLeaks(t)
	for _, park := range []time.Duration{time.Millisecond, -1} {
		for name, wire := range map[string]string{
			"GET":     "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
			"POST":    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
			"chunked": "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		} {
			for how, leave := range map[string]func(*net.TCPConn) error{
				"close":      func(c *net.TCPConn) error { return c.Close() },
				"half close": func(c *net.TCPConn) error { return c.CloseWrite() },
				"reset":      func(c *net.TCPConn) error { return errors.Join(c.SetLinger(0), c.Close()) },
			} {
				runs, left := make(chan context.Context), make(chan struct{}, 2)
				s := start(t, func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					context.AfterFunc(r.Context(), func() { left <- struct{}{} })
					runs <- r.Context()
					<-r.Context().Done()
					left <- struct{}{}
				}, func(s *Server) { s.ParkAfter = park })
				c := s.dial()
				c.send(wire)
				ctx := <-runs
				if ctx.Err() != nil {
					t.Errorf("%s, %s: the context has ended while the client is there", name, how)
				}
				if err := leave(c.Conn.(*net.TCPConn)); err != nil {
					t.Fatal(err)
				}
				for range 2 {
					select {
					case <-left:
					case <-time.After(limit):
						t.Fatalf("%s, %s, park after %v: nobody hears of it", name, how, park)
					}
				}
				if !errors.Is(ctx.Err(), context.Canceled) {
					t.Errorf("%s, %s: %v", name, how, ctx.Err())
				}
			}
		}
	}
}

// TestLeftBefore: a client that is gone before its request runs.
func TestLeftBefore(t *testing.T) {
	noLeaks(t)
	for _, park := range []time.Duration{time.Millisecond, -1} {
		done := make(chan struct{})
		s := start(t, func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			close(done)
		}, func(s *Server) { s.ParkAfter = park })
		c := s.dial()
		c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		c.Close()
		select {
		case <-done:
		case <-time.After(limit):
			t.Fatalf("park after %v: nobody hears of it", park)
		}
	}
}

// TestHalfClosedPipeline: a client that sends several requests and then its
// end gets all answers but the last for which it could still be waiting.
func TestHalfClosedPipeline(t *testing.T) {
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/3" && r.Context().Err() != nil {
			t.Errorf("%s: its client has left, it is said", r.URL.Path)
		}
		io.WriteString(w, r.URL.Path)
	}, nil)
	c := s.dial()
	c.send("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\nGET /3 HTTP/1.1\r\nHost: h\r\n\r\n")
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := c.rest(); strings.Count(got, "HTTP/1.1 200 OK") != 3 {
		t.Errorf("%q", got)
	}
}

// TestContextEnds: with the handler, and for those who hold it.
func TestContextEnds(t *testing.T) {
	got := make(chan context.Context, 1)
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(http.LocalAddrContextKey).(net.Addr).String() == "" {
			t.Error("no local address")
		}
		stop := context.AfterFunc(r.Context(), func() { t.Error("a function that was stopped runs") })
		if !stop() || stop() {
			t.Error("stop reports the wrong thing")
		}
		child, cancel := context.WithTimeout(r.Context(), time.Hour)
		t.Cleanup(cancel)
		got <- child
	}, nil)
	c := s.dial()
	c.get("/")
	child := <-got
	select {
	case <-child.Done():
	case <-time.After(limit):
		t.Error("a context that was made of the request's lives on")
	}
}

// TestExpect: 100 Continue comes when the body is asked for, and never
// otherwise.
func TestExpect(t *testing.T) {
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/read" {
			b, err := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %v", b, err)
		}
	}, nil)
	const head = " HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
	c := s.dial()
	for range 2 {
		c.send("POST /read" + head)
		if line, _ := c.r.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
			t.Errorf("%q", line)
		}
		_, _ = c.r.ReadString('\n')
		c.send("abc")
		if _, body := c.answer("POST"); body != "abc <nil>" {
			t.Errorf("%q", body)
		}
	}
	c.send("POST /refuse" + head)
	if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 200") || !strings.Contains(got, "Connection: close") {
		t.Errorf("%q", got)
	}
}

// TestRefusalArrives: who is refused in the middle of what it sends reads why,
// and is not reset before.
func TestRefusalArrives(t *testing.T) {
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
	}, nil)
	for name, wire := range map[string]string{
		"HTTP/1.1 431": "GET / HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("x", 1<<20),
		"HTTP/1.1 400": "GET / HTTP/1.1\nHost: h\r\n" + strings.Repeat("x", 1<<20),
		"HTTP/1.1 413": "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 1000000),
	} {
		for range 5 {
			c := s.dial()
			c.send(wire)
			if got := c.rest(); !strings.HasPrefix(got, name+" ") {
				t.Errorf("%q: %.100q", name, got)
			}
		}
	}
}

// TestLastAnswerArrives: a response that closes the connection is not reset
// away when the client has sent more.
func TestLastAnswerArrives(t *testing.T) {
	large := strings.Repeat("x", 200<<10)
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		io.WriteString(w, large)
	}, nil)
	for _, more := range []string{"GET /2 HTTP/1.1\r\nHost: h\r\n\r\n", large} {
		for range 5 {
			c := s.dial()
			c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n" + more)
			if _, body := c.answer("GET"); body != large {
				t.Errorf("%d bytes", len(body))
			}
			if got := c.rest(); got != "" {
				t.Errorf("behind the last response: %.100q", got)
			}
		}
	}
}

// TestHijack: the connection is the handler's, with what was read too far.
func TestHijack(t *testing.T) {
	noLeaks(t)
	for _, park := range []time.Duration{time.Millisecond, -1} {
		s := start(t, func(w http.ResponseWriter, r *http.Request) {
			c, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			if n := rw.Reader.Buffered(); n > 0 && park > 0 && n != 5 {
				t.Errorf("%d bytes buffered", n)
			}
			line, err := rw.ReadString('\n')
			if err != nil {
				t.Error(err)
			}
			fmt.Fprintf(rw, "got %q", line)
			rw.Flush()
			if _, err := io.WriteString(w, "x"); !errors.Is(err, http.ErrHijacked) {
				t.Errorf("the response is still to be written: %v", err)
			}
		}, func(s *Server) { s.ParkAfter = park })
		for _, early := range []bool{true, false} {
			c := s.dial()
			if early {
				c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\nmore\n")
			} else {
				c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
				c.send("more\n")
			}
			if got := c.rest(); got != `got "more\n"` {
				t.Errorf("%q", got)
			}
		}
		if n := s.count(func(*conn) bool { return true }); n != 0 {
			t.Errorf("%d connections are still the server's", n)
		}
	}
}

// TestSwitches: 101 with the handler's own Connection and Upgrade.
func TestSwitches(t *testing.T) {
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "echo")
		w.WriteHeader(http.StatusSwitchingProtocols)
		c, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		b, _ := rw.ReadString('\n')
		io.WriteString(c, b)
	}, nil)
	c := s.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil || resp.StatusCode != 101 || resp.Header.Get("Upgrade") != "echo" || resp.Header.Get("Connection") != "Upgrade" {
		t.Fatalf("%+v %v", resp, err)
	}
	c.send("hello\n")
	if got := c.rest(); got != "hello\n" {
		t.Errorf("%q", got)
	}
}

// TestSendfile: a file of which the handler tells type and length passes by
// this process.
func TestSendfile(t *testing.T) {
	content := strings.Repeat("0123456789", 1<<19) // 5 MiB
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	var read atomic.Int64
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(path)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		w.Header().Set("Content-Type", "a/b")
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		var n int64
		if r.URL.Path == "/limited" {
			n, err = io.CopyN(w, f, int64(len(content)))
		} else {
			n, err = w.(io.ReaderFrom).ReadFrom(&spy{f, &read})
		}
		if err != nil || n != int64(len(content)) {
			t.Errorf("sent %d, %v", n, err)
		}
	}, nil)
	c := s.dial()
	for _, target := range []string{"/limited", "/spied", "/limited"} {
		if got := c.get(target); got != content {
			t.Errorf("%s: %d bytes, want %d", target, len(got), len(content))
		}
	}
	if n := read.Load(); n > 1 {
		t.Errorf("%d bytes passed through this process", n)
	}
}

// spy counts what is read of a file in this process.
type spy struct {
	*os.File
	read *atomic.Int64
}

func (s *spy) Read(b []byte) (int, error) {
	n, err := s.File.Read(b)
	s.read.Add(int64(n))
	return n, err
}

// TestFileTooLong: no more of a file goes out than was declared.
func TestFileTooLong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(path)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		w.Header().Set("Content-Type", "a/b")
		w.Header().Set("Content-Length", "4")
		if n, err := w.(io.ReaderFrom).ReadFrom(f); n != 4 || !errors.Is(err, http.ErrContentLength) {
			t.Errorf("%d, %v", n, err)
		}
	}, nil)
	c := s.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if got := c.rest(); !strings.HasSuffix(got, "\r\n\r\n0123") {
		t.Errorf("%q", got)
	}
}

// TestPanic: it is told in the log, and its client sees a cut.
func TestPanic(t *testing.T) {
	noLeaks(t)
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/abort" {
			panic(http.ErrAbortHandler)
		}
		panic("on purpose")
	}, nil)
	for _, path := range []string{"/abort", "/panic"} {
		c := s.dial()
		c.send("GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n")
		if got := c.rest(); got != "" {
			t.Errorf("%q", got)
		}
	}
	eventually(t, "the log has it", func() bool { return strings.Contains(s.said.String(), "on purpose") })
	if strings.Contains(s.said.String(), "abort") {
		t.Errorf("the log: %s", s.said)
	}
}

// TestFullDuplex: a handler may answer while it reads.
func TestFullDuplex(t *testing.T) {
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if err := rc.EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		in := bufio.NewReader(r.Body)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			io.WriteString(w, "got "+line)
			if err := rc.Flush(); err != nil {
				t.Error(err)
			}
		}
	}, nil)
	c := s.dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
	c.send("2\r\na\n\r\n")
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	body := bufio.NewReader(resp.Body)
	for _, letter := range []string{"a", "b", "c"} {
		if line, err := body.ReadString('\n'); line != "got "+letter+"\n" {
			t.Errorf("%q, %v", line, err)
		}
		if letter != "c" {
			c.send("2\r\n" + string(letter[0]+1) + "\n\r\n")
		}
	}
	c.send("0\r\n\r\n")
	if b, err := io.ReadAll(body); err != nil || len(b) > 0 {
		t.Errorf("%q, %v", b, err)
	}
	c.get("/") // the connection goes on
}

// TestReadDeadline: a handler's deadline ends a body that does not come, and
// is forgotten with its request.
func TestReadDeadline(t *testing.T) {
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if r.Method == "GET" {
			_ = rc.SetReadDeadline(time.Now().Add(-time.Second))
			_ = rc.SetWriteDeadline(time.Now().Add(time.Hour))
			return
		}
		if err := rc.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadAll(r.Body); !errors.Is(err, os.ErrDeadlineExceeded) || r.Context().Err() == nil {
			t.Errorf("%v, %v", err, r.Context().Err())
		}
		w.WriteHeader(http.StatusRequestTimeout)
	}, nil)
	c := s.dial()
	c.get("/")
	c.get("/")
	c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\na")
	if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 408 ") || !strings.Contains(got, "Connection: close") {
		t.Errorf("%q", got)
	}
}

// TestWriteTimeout: a client that reads nothing is given up.
func TestWriteTimeout(t *testing.T) {
	ended := make(chan error, 1)
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		var err error
		for err == nil {
			_, err = w.Write(make([]byte, 1<<20))
		}
		if r.Context().Err() == nil {
			t.Error("the context lives on")
		}
		ended <- err
	}, func(s *Server) { s.WriteTimeout = 50 * time.Millisecond })
	c := s.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

// TestByteByByte: requests may come in any pieces.
func TestByteByByte(t *testing.T) {
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %v", b, err)
	}, func(s *Server) { s.ParkAfter = time.Millisecond })
	c := s.dial()
	wire := "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n"
	for _, before := range []string{"\r\n\r\n", "\r\n"} { // at first, and behind a POST
		wire := before + wire
		for i := range len(wire) {
			c.send(wire[i : i+1])
		}
		if _, body := c.answer("POST"); body != "abc <nil>" {
			t.Errorf("%q", body)
		}
	}
}

// TestDrainUnderLoad: while a server shuts down, no request that a client has
// begun to send on a connection that was not told to close goes unanswered;
// and each connection ends with a response that says so, or idle.
func TestDrainUnderLoad(t *testing.T) {
	noLeaks(t)
	for range 10 {
		s := start(t, hello, func(s *Server) { s.ParkAfter = time.Millisecond })
		var group sync.WaitGroup
		var lost, told atomic.Int64
		warm := make(chan struct{}, 16)
		for range 16 {
			c := s.dial()
			group.Go(func() {
				for n := 0; ; n++ {
					if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
						lost.Add(1)
						return
					}
					resp, err := http.ReadResponse(c.r, nil)
					if err != nil {
						lost.Add(1)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					if n == 0 {
						warm <- struct{}{}
					}
					if resp.Close {
						told.Add(1)
						return
					}
				}
			})
		}
		for range 16 {
			<-warm
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		group.Wait()
		if lost.Load() > 0 || told.Load() != 16 {
			t.Errorf("%d requests were lost, %d connections were told", lost.Load(), told.Load())
		}
	}
}
