package h1

// This file: what tests serve and ask with.

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"millrace/internal/testkit"
)

const limit = 20 * time.Second

// logBuffer is a log that may be read while it is written.
type logBuffer struct{ testkit.Output }

// running is a server at work.
type running struct {
	*Server
	t    *testing.T
	addr string
	said *logBuffer
}

// start serves h on a port of its own until the test ends.
func start(t *testing.T, h http.HandlerFunc, with func(*Server)) *running {
	t.Helper()
	said := &logBuffer{}
	s := &Server{Handler: h, Log: slog.New(slog.NewTextHandler(said, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	if with != nil {
		with(s)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return &running{s, t, l.Addr().String(), said}
}

// client is the other end of a connection.
type client struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
}

func (s *running) dial() *client {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
		s.t.Fatal(err)
	}
	return &client{c, s.t, bufio.NewReader(c)}
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

// answer reads one response with its body.
func (c *client) answer(method string) (*http.Response, string) {
	c.t.Helper()
	resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("response: %v", err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatalf("body: %v after %q", err, b)
	}
	return resp, string(b)
}

// rest reads until the connection ends.
func (c *client) rest() string {
	c.t.Helper()
	b, err := io.ReadAll(c.r)
	if err != nil {
		c.t.Fatalf("the connection's end: %v after %.200q", err, b)
	}
	return string(b)
}

// get is a whole exchange.
func (c *client) get(target string) string {
	c.t.Helper()
	c.send("GET " + target + " HTTP/1.1\r\nHost: h\r\n\r\n")
	resp, body := c.answer("GET")
	if resp.StatusCode != 200 {
		c.t.Errorf("%s: %s", target, resp.Status)
	}
	return body
}

// eventually polls for what needs a moment.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// noLeaks checks at the test's end that every goroutine of the package ends.
func noLeaks(t *testing.T) {
	t.Cleanup(func() {
		last := ""
		t.Cleanup(func() {
			if t.Failed() {
				t.Log(last)
			}
		})
		eventually(t, "all goroutines end", func() bool {
			b := make([]byte, 1<<20)
			b = b[:runtime.Stack(b, true)]
			for _, g := range strings.Split(string(b), "\n\n")[1:] {
				if strings.Contains(g, "internal/h1.(*") {
					last = g
					return false
				}
			}
			return true
		})
	})
}

func hello(w http.ResponseWriter, _ *http.Request) {
	w.Header()["Content-Type"] = []string{"text/plain"}
	_, _ = io.WriteString(w, "hello")
}

func TestHello(t *testing.T) {
	noLeaks(t)
	s := start(t, hello, nil)
	c := s.dial()
	for range 3 {
		c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		resp, body := c.answer("GET")
		if resp.StatusCode != 200 || body != "hello" || resp.ContentLength != 5 || resp.Header.Get("Content-Type") != "text/plain" || resp.Header.Get("Date") == "" {
			t.Errorf("%+v %q", resp, body)
		}
	}
}

// TestParked: a connection that idles has neither goroutine nor buffer, and
// serves on.
func TestParked(t *testing.T) {
	noLeaks(t)
	s := start(t, hello, func(s *Server) { s.ParkAfter = time.Millisecond })
	c := s.dial()
	only := func() (found *conn) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for c := range s.conns {
			found = c
		}
		return found
	}
	for range 3 {
		if got := c.get("/"); got != "hello" {
			t.Errorf("%q", got)
		}
		eventually(t, "the connection is parked", func() bool { c := only(); return c != nil && c.phase.Load() == parked })
	}
	c.Close()
	eventually(t, "it ends with its client", func() bool { return only() == nil })
}

func TestIdleTimeout(t *testing.T) {
	noLeaks(t)
	for _, park := range []time.Duration{time.Millisecond, time.Hour, -1} {
		s := start(t, hello, func(s *Server) {
			s.ParkAfter, s.IdleTimeout, s.HeaderTimeout = park, 50*time.Millisecond, 80*time.Millisecond
		})
		began := time.Now()
		c := s.dial()
		if got := c.rest(); got != "" || time.Since(began) < 75*time.Millisecond {
			t.Errorf("park after %v: a silent connection got %q after %v", park, got, time.Since(began))
		}
		c = s.dial()
		began = time.Now()
		c.get("/")
		if got := c.rest(); got != "" || time.Since(began) < 45*time.Millisecond {
			t.Errorf("park after %v: an idle connection got %q after %v", park, got, time.Since(began))
		}
		c = s.dial()
		c.send("GET / HTTP/1.1\r\n")
		if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 408 ") {
			t.Errorf("park after %v: half a head got %q", park, got)
		}
	}
}

func TestShutdown(t *testing.T) {
	noLeaks(t)
	for _, park := range []time.Duration{time.Millisecond, 50 * time.Millisecond, -1} {
		release, runs := make(chan struct{}), make(chan struct{})
		s := start(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/wait" {
				close(runs)
				<-release
			}
			hello(w, r)
		}, func(s *Server) { s.ParkAfter = park })
		idle, works, fresh := s.dial(), s.dial(), s.dial()
		idle.get("/")
		works.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n")
		<-runs
		eventually(t, "all are accepted", func() bool { return s.count(func(*conn) bool { return true }) == 3 })
		done := make(chan error, 1)
		go func() { done <- s.Shutdown(t.Context()) }()
		if got := idle.rest(); got != "" {
			t.Errorf("idle: %q", got)
		}
		if got := fresh.rest(); got != "" {
			t.Errorf("fresh: %q", got)
		}
		select {
		case err := <-done:
			t.Errorf("park after %v: it ended before the request: %v", park, err)
		default:
		}
		close(release)
		if resp, body := works.answer("GET"); !resp.Close || body != "hello" {
			t.Errorf("the last response: %+v %q", resp, body)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestShutdownGivesUp(t *testing.T) {
	noLeaks(t)
	release := make(chan struct{})
	s := start(t, func(http.ResponseWriter, *http.Request) { <-release }, nil)
	c := s.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	eventually(t, "the request runs", func() bool { return s.count(func(c *conn) bool { return c.ex.Load() != nil }) == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if got := c.rest(); got != "" {
		t.Errorf("%q", got)
	}
	close(release)
}

// count is how many connections are so.
func (s *running) count(is func(*conn) bool) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if is(c) {
			n++
		}
	}
	return n
}
