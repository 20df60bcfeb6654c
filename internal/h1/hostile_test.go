package h1

// This file: what hostile, unlucky or merely odd clients and handlers do at
// the seams: bodies that stall, connections that close with bytes unread,
// handlers that go on when they are over.

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestReadFromWhenOver: a file that a handler sends when it is over, or after
// it has given the connection away, is refused like every other write.
func TestReadFromWhenOver(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, []byte("file"), 0o600); err != nil {
		t.Fatal(err)
	}
	send := func(when string, w http.ResponseWriter) {
		defer func() {
			if p := recover(); p != nil {
				t.Errorf("%s: panic %v", when, p)
			}
		}()
		f, err := os.Open(name)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		if n, err := w.(io.ReaderFrom).ReadFrom(f); err == nil || n != 0 {
			t.Errorf("%s: %d, %v", when, n, err)
		}
	}
	writers := make(chan http.ResponseWriter, 2)
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = []string{"text/plain"}
		w.Header()["Content-Length"] = []string{"4"}
		if r.URL.Path != "/hijack" {
			_, _ = io.WriteString(w, "text")
			writers <- w
			return
		}
		w.WriteHeader(http.StatusOK)
		nc, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		send("hijacked", w)
		nc.Close()
	}, nil)
	c := s.dial()
	c.get("/")
	c.get("/") // the first one is over by then
	send("over", <-writers)
	c = s.dial()
	c.send("GET /hijack HTTP/1.1\r\nHost: h\r\n\r\n")
	c.rest()
}

// TestLongRequestUnseated: without the poller a request may run for longer
// than its connection would have waited for one.
func TestLongRequestUnseated(t *testing.T) {
	for _, wire := range []string{
		"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx",
	} {
		s := start(t, func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			_, _ = io.Copy(io.Discard, r.Body)
			select {
			case <-r.Context().Done():
				t.Errorf("%.4s: the context ended by a deadline of reading", wire)
			case <-time.After(time.Second):
			}
		}, func(s *Server) {
			s.ParkAfter, s.HeaderTimeout, s.IdleTimeout = -1, 500*time.Millisecond, 500*time.Millisecond
		})
		c := s.dial()
		c.send(wire)
		c.answer("GET")
	}
}

// TestEarlyResponse: the response to a request whose body does not come is not
// held back for it, and the connection ends.
func TestEarlyResponse(t *testing.T) {
	noLeaks(t)
	for _, flush := range []bool{false, true} {
		s := start(t, func(w http.ResponseWriter, r *http.Request) {
			hello(w, r)
			if flush {
				_ = http.NewResponseController(w).Flush()
			}
		}, nil)
		for _, wire := range []string{
			"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc",
			"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
		} {
			c := s.dial()
			c.Conn.SetDeadline(time.Now().Add(10 * time.Second))
			c.send(wire)
			resp, err := http.ReadResponse(c.r, nil)
			if err != nil {
				t.Errorf("flush %t: %v", flush, err)
				continue
			}
			if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "hello" || !resp.Close {
				t.Errorf("flush %t: %q, %v, %+v", flush, b, err, resp)
			}
			c.rest()
		}
	}
}

// TestBodyTakenAway: a handler that goes on reading a body that the server has
// read past, to send the response, is told so: it must not take a part for the
// whole.
func TestBodyTakenAway(t *testing.T) {
	for name, wire := range map[string]string{
		"short":   "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789",
		"chunked": "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n",
		"long":    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n80000\r\n" + strings.Repeat("x", 0x80000) + "\r\n0\r\n\r\n",
	} {
		s := start(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.CopyN(io.Discard, r.Body, 2)
			hello(w, r)
			_ = http.NewResponseController(w).Flush()
			if n, err := io.Copy(io.Discard, r.Body); err == nil {
				t.Errorf("%s: %d bytes more, and no error", name, n)
			}
		}, nil)
		c := s.dial()
		go io.WriteString(c, wire)
		if _, body := c.answer("POST"); body != "hello" {
			t.Errorf("%s: %q", name, body)
		}
	}
	// What was read before is over as ever.
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, 3)
		hello(w, r)
		_ = http.NewResponseController(w).Flush()
		if n, err := io.Copy(io.Discard, r.Body); err != nil || n != 0 {
			t.Errorf("a body that was read: %d, %v", n, err)
		}
	}, nil)
	c := s.dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")
	c.answer("POST")
	c.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
	c.answer("POST")
}

// TestAbandonedBody: a handler that ends, in whatever way, while another
// goroutine waits for the body ends that wait, and leaves no connection behind.
func TestAbandonedBody(t *testing.T) {
	noLeaks(t)
	for _, park := range []time.Duration{time.Millisecond, -1} {
		for how, end := range map[string]func(http.ResponseWriter){
			"panic":  func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
			"return": func(http.ResponseWriter) {},
			"duplex": func(w http.ResponseWriter) { _ = http.NewResponseController(w).EnableFullDuplex() },
		} {
			read := make(chan error, 1)
			s := start(t, func(w http.ResponseWriter, r *http.Request) {
				reads := make(chan struct{})
				go func() {
					close(reads)
					_, err := io.Copy(io.Discard, r.Body)
					read <- err
				}()
				<-reads
				time.Sleep(10 * time.Millisecond) // most of the time it waits by then; the outcome is the same
				end(w)
			}, func(s *Server) { s.ParkAfter = park })
			c := s.dial()
			c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc")
			select {
			case err := <-read:
				if err == nil {
					t.Errorf("%s: half a body was whole", how)
				}
			case <-time.After(10 * time.Second):
				t.Errorf("park after %v, %s: the read goes on", park, how)
			}
			c.SetDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.ReadAll(c.r); err != nil {
				t.Errorf("park after %v, %s: %v", park, how, err)
			}
		}
	}
}

// narrow is a connection that tells when two write to it at a time.
type narrow struct {
	net.Conn
	writing atomic.Int32
	both    *atomic.Bool
}

func (n *narrow) Write(b []byte) (int, error) {
	if n.writing.Add(1) > 1 {
		n.both.Store(true)
	}
	defer n.writing.Add(-1)
	time.Sleep(2 * time.Millisecond) // for the other one to come
	return n.Conn.Write(b)
}

// TestContinueBesideResponse: 100 Continue, which a goroutine that reads the
// body asks for, and the response are one after the other.
func TestContinueBesideResponse(t *testing.T) {
	both := &atomic.Bool{}
	s := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var reader sync.WaitGroup
		reads := make(chan struct{})
		reader.Go(func() { close(reads); _, _ = io.Copy(io.Discard, r.Body) })
		<-reads
		time.Sleep(time.Millisecond)
		if r.URL.Path == "/early" {
			w.WriteHeader(http.StatusEarlyHints)
		}
		hello(w, r)
		_ = http.NewResponseController(w).Flush()
		reader.Wait()
	})}
	defer s.Close()
	for i := range 40 {
		near, far := net.Pipe()
		done := make(chan struct{})
		go func() { defer close(done); s.ServeConn(&narrow{Conn: far, both: both}) }()
		go fmt.Fprintf(near, "POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nConnection: close\r\nExpect: 100-continue\r\n\r\nx", [...]string{"/", "/early"}[i%2])
		if b, err := io.ReadAll(near); err != nil || !strings.HasSuffix(string(b), "\r\n\r\nhello") && !strings.HasSuffix(string(b), "\r\n5\r\nhello\r\n0\r\n\r\n") {
			t.Fatalf("%q, %v", b, err)
		}
		near.Close()
		<-done
	}
	if both.Load() {
		t.Error("two wrote at a time")
	}
}

// TestCloseArrives: a large response that is its connection's last arrives
// whole, also when the client has sent more than was answered.
func TestCloseArrives(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	more := make(chan struct{})
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/big" {
			w.Header().Set("Connection", "close")
			<-more
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(big)))
		_, _ = w.Write(big)
	}, nil)
	for range 5 {
		c := s.dial()
		c.send("GET /big HTTP/1.1\r\nHost: h\r\n\r\n")
		time.Sleep(time.Millisecond) // so that it does not come with the first; the outcome is the same
		c.send("GET /more HTTP/1.1\r\nHost: h\r\n\r\n")
		more <- struct{}{}
		time.Sleep(20 * time.Millisecond) // as if the client were far away
		resp, err := http.ReadResponse(c.r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(resp.Body); err != nil || len(b) != len(big) {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
	}
}

// TestUnaskedClose: so it does when the next request comes after the server has
// decided to close, of which the client cannot know.
func TestUnaskedClose(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	written := make(chan struct{})
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		w.Header().Set("Content-Length", fmt.Sprint(len(big)))
		_, _ = w.Write(big)
		close(written)
	}, nil)
	c := s.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	<-written
	time.Sleep(50 * time.Millisecond) // the handler has returned; the outcome is the same
	c.send("GET /more HTTP/1.1\r\nHost: h\r\n\r\n")
	time.Sleep(20 * time.Millisecond)
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(resp.Body); err != nil || len(b) != len(big) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// TestBadBodyNobodyReads: the handler's answer stands, and is the connection's
// last: what comes behind a malformed body is no request.
func TestBadBodyNobodyReads(t *testing.T) {
	var requests atomic.Int64
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		w.WriteHeader(http.StatusAccepted)
	}, nil)
	for _, chunk := range []string{"xyz\r\n", "1\r\nab\r\n", "1\r\na\r\n0\r\nno colon\r\n\r\n", "ffffffffffffffff\r\n"} {
		requests.Store(0)
		c := s.dial()
		c.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk + "GET /behind HTTP/1.1\r\nHost: h\r\n\r\n")
		got := c.rest()
		if !strings.HasPrefix(got, "HTTP/1.1 202 ") || !strings.Contains(got, "\r\nConnection: close\r\n") || strings.Count(got, "HTTP/1.1") != 1 || requests.Load() != 1 {
			t.Errorf("%q: %d requests, %q", chunk, requests.Load(), got)
		}
	}
}

// TestReverseProxyCut: httputil.ReverseProxy must know that a server recovers
// its panic, else it ends a response that was cut short like a whole one.
func TestReverseProxyCut(t *testing.T) {
	back := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "part")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	defer back.Close()
	to, err := url.Parse(back.URL)
	if err != nil {
		t.Fatal(err)
	}
	p := httputil.NewSingleHostReverseProxy(to)
	s := start(t, p.ServeHTTP, nil)
	c := s.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("a part of a response was whole: %q", b)
	}
}

// TestSwitchedByNobody: behind a 101 whose connection nobody has taken over,
// what the client sends is no HTTP, and no request.
func TestSwitchedByNobody(t *testing.T) {
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/smuggled" {
			t.Error("a frame is taken for a request")
		}
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "own")
		w.WriteHeader(http.StatusSwitchingProtocols)
	}, nil)
	c := s.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: own\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
	if got := c.rest(); strings.Count(got, "HTTP/1.1 ") != 1 || !strings.HasPrefix(got, "HTTP/1.1 101 ") {
		t.Errorf("%q", got)
	}
}

// deaf is a TLS connection whose client takes nothing: saying that it ends
// takes as long as crypto/tls waits.
type deaf struct {
	net.Conn
	mu    sync.Mutex
	until time.Time
	full  bool
}

func (d *deaf) SetWriteDeadline(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.until = t
	return nil
}
func (d *deaf) SetDeadline(t time.Time) error {
	return errors.Join(d.SetReadDeadline(t), d.SetWriteDeadline(t))
}
func (d *deaf) NetConn() net.Conn { return d.Conn }
func (d *deaf) Write(b []byte) (int, error) {
	d.mu.Lock()
	full, until := d.full, d.until
	d.mu.Unlock()
	if full {
		time.Sleep(time.Until(until))
		return 0, os.ErrDeadlineExceeded
	}
	return d.Conn.Write(b)
}

// TestDeafTLSClients: idle connections of TLS clients that take nothing end
// without holding up the others.
func TestDeafTLSClients(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := &Server{ParkAfter: time.Millisecond, IdleTimeout: 300 * time.Millisecond, Handler: http.HandlerFunc(hello)}
	r := &running{s, t, l.Addr().String(), nil}
	config := &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
	var all []*deaf
	for range 3 {
		c := r.dial()
		rwc, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		d := &deaf{Conn: rwc}
		all = append(all, d)
		go s.ServeConn(tls.Server(d, config))
		tc := tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true})
		fmt.Fprint(tc, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		if _, err := io.ReadFull(tc, make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all are parked", func() bool { return r.count(func(c *conn) bool { return c.phase.Load() == parked }) == 3 })
	for _, d := range all {
		d.mu.Lock()
		d.full = true
		d.mu.Unlock()
	}
	time.Sleep(400 * time.Millisecond)
	c := r.dial()
	rwc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	go s.ServeConn(rwc)
	c.SetDeadline(time.Now().Add(10 * time.Second)) // each of them would take five
	for range 3 {
		c.get("/")
		eventually(t, "it is parked", func() bool {
			return r.count(func(c *conn) bool { return c.tls == nil && c.phase.Load() == parked }) == 1
		})
	}
	began := time.Now()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if d := time.Since(began); d > 10*time.Second { // each of them would take five
		t.Errorf("Close took %v", d)
	}
}
