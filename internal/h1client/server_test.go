package h1client

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"millrace/gateway"
)

// server says what is answered on each connection.
type server struct {
	t       *testing.T
	l       net.Listener
	opened  atomic.Int32
	handles sync.WaitGroup
}

// line is one connection of a server.
type line struct {
	net.Conn
	in *bufio.Reader
	n  int // its number, from 1 on
}

// request reads one; nil: the connection has ended.
func (c *line) request() *http.Request {
	r, err := http.ReadRequest(c.in)
	if err != nil {
		return nil
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil
	}
	r.Body = io.NopCloser(strings.NewReader(string(b)))
	return r
}

func (c *line) say(text string) { _, _ = io.WriteString(c, text) }

// listen starts a server that handles each connection by f, and closes it.
func listen(t *testing.T, f func(c *line)) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, l: l}
	s.handles.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			c := &line{nc, bufio.NewReader(nc), int(s.opened.Add(1))}
			s.handles.Go(func() {
				defer nc.Close()
				f(c)
			})
		}
	})
	return s
}

// client makes a Client of the server, and closes both at the test's end.
func (s *server) client(c *Client) *Client {
	c.Dial = func(ctx context.Context) (net.Conn, error) { return gateway.Dial(ctx, s.l.Addr().String(), 0) }
	s.t.Cleanup(func() {
		c.Close()
		s.l.Close()
		s.handles.Wait()
	})
	return c
}

// says is a server that answers every request with the same.
func says(t *testing.T, text string) *server {
	return listen(t, func(c *line) {
		for c.request() != nil {
			c.say(text)
		}
	})
}

func get() *Request { return &Request{Method: "GET", Target: "/", Host: "h"} }

func put(body string) *Request {
	again := func() (io.Reader, error) { return strings.NewReader(body), nil }
	r := &Request{Method: "PUT", Target: "/", Host: "h", ContentLength: int64(len(body)), GetBody: again}
	r.Body, _ = again()
	return r
}

func post(body string) *Request {
	r := put(body)
	r.Method = "POST"
	return r
}

// fetch is a round trip and all of its body.
func fetch(t *testing.T, c *Client, r *Request) (*gateway.Response, string, error) {
	t.Helper()
	resp, err := c.RoundTrip(t.Context(), r)
	if err != nil {
		return nil, "", err
	}
	b, err := io.ReadAll(resp.Body)
	if closing := resp.Body.Close(); closing != nil && err == nil {
		err = closing
	}
	return resp, string(b), err
}

// gets wants a body.
func gets(t *testing.T, c *Client, r *Request, want string) *gateway.Response {
	t.Helper()
	resp, b, err := fetch(t, c, r)
	if err != nil || b != want {
		t.Fatalf("%q, %v; want %q", b, err, want)
	}
	return resp
}

// eventually polls.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}
