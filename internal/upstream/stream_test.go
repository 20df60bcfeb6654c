package upstream

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"millrace/gateway"
)

// TestStreamRequest: a body goes up while it comes, and what is answered comes
// down while it goes.
func TestStreamRequest(t *testing.T) {
	for _, length := range []string{"Content-Length: 10", "Transfer-Encoding: chunked"} {
		got := make(chan string, 10)
		f := serve(t, Config{StreamRequest: true, Servers: []Server{{Address: behind(t, func(w http.ResponseWriter, r *http.Request) {
			http.NewResponseController(w).EnableFullDuplex()
			b := make([]byte, 5)
			for range 2 {
				io.ReadFull(r.Body, b)
				got <- string(b)
				w.Write(b)
				http.NewResponseController(w).Flush()
			}
			_, err := r.Body.Read(b)
			got <- fmt.Sprint(r.ContentLength, err)
		})}}}, nil)
		c := f.dial("POST / HTTP/1.1\r\nHost: a\r\n" + length + "\r\n\r\n")
		chunk := func(s string) string {
			if length[0] == 'C' {
				return s
			}
			return fmt.Sprintf("%x\r\n%s\r\n", len(s), s)
		}
		io.WriteString(c, chunk("first"))
		if b := <-got; b != "first" {
			t.Fatalf("%s: the back end got %q", length, b)
		}
		res := c.response()
		gets(t, res.Body, "first")
		io.WriteString(c, chunk("again"))
		if b := <-got; b != "again" {
			t.Fatalf("%s: the back end got %q", length, b)
		}
		gets(t, res.Body, "again")
		want := "10 EOF"
		if length[0] == 'T' {
			io.WriteString(c, "0\r\n\r\n")
			want = "-1 EOF"
		}
		if b := <-got; b != want {
			t.Errorf("%s: the body ends with %s, want %s", length, b, want)
		}
		ends(t, res.Body)
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n") // the connection is kept
		c.response()
	}
}

// TestStreamGateway: over a gateway protocol, a body of known length goes up as
// it comes; any other is collected, as its length has to be told first.
func TestStreamGateway(t *testing.T) {
	begun := make(chan string)
	f := serve(t, Config{StreamRequest: true, Servers: []Server{{Address: "a:1", RoundTripper: tripper(func(_ context.Context, req *gateway.Request) (*gateway.Response, error) {
		b := make([]byte, 5)
		io.ReadFull(req.Body, b)
		begun <- fmt.Sprintf("%s %v %d %s", b, req.GetBody == nil, req.ContentLength, req.Param("CONTENT_LENGTH"))
		rest, err := io.ReadAll(req.Body)
		return says(200, string(rest)), err
	})}}}, nil)
	c := f.dial("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nfirst")
	if s := <-begun; s != "first true 10 10" {
		t.Errorf("%s", s)
	}
	io.WriteString(c, "again")
	gets(t, c.response().Body, "again")

	c = f.dial("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n5\r\nagain\r\n0\r\n\r\n")
	if s := <-begun; s != "first false 10 10" {
		t.Errorf("%s", s)
	}
	gets(t, c.response().Body, "again")
}

// TestStreamAnsweredEarly: a back end may answer before the body is here; the
// rest is not waited for, and nobody reads it any more.
func TestStreamAnsweredEarly(t *testing.T) {
	f := serve(t, Config{StreamRequest: true, Servers: []Server{{Address: behind(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(413)
	})}}}, nil)
	c := f.dial("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nfirst")
	if res := c.response(); res.StatusCode != 413 {
		t.Errorf("%d", res.StatusCode)
	}
	ends(t, c.in)
}

// TestStreamFailures: what fails on the client's side is the client's fault.
func TestStreamFailures(t *testing.T) {
	address, heads, conns := switcher(t, "")
	f := serve(t, Config{StreamRequest: true, MaxBody: 100, Servers: []Server{{Address: address}}}, nil)
	long := "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n" + strings.Repeat("x", 100) + "\r\n"
	for _, test := range []struct {
		body   string
		status int
	}{
		{long + "1\r\nx\r\n", 413},
		{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\nbroken\r\n", 400},
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n", 413},
	} {
		c := f.dial(test.body)
		if res := c.response(); res.StatusCode != test.status {
			t.Errorf("%.70q: %d, want %d", test.body, res.StatusCode, test.status)
		} else {
			io.Copy(io.Discard, res.Body)
		}
		c.Close()
		if !strings.Contains(test.body, "101") {
			<-heads
			back := <-conns
			back.SetReadDeadline(time.Now().Add(20 * time.Second))
			if _, err := io.Copy(io.Discard, back); isTimeout(err) {
				t.Error("the back end's connection stays")
			}
		}
	}
	c := f.dial(long)
	<-heads
	c.Close() // in the middle
	back := <-conns
	back.SetReadDeadline(time.Now().Add(20 * time.Second))
	if b, err := io.ReadAll(back); isTimeout(err) || strings.Contains(string(b), "\r\n0\r\n") {
		t.Errorf("the back end has %q, %v: not a cut", b, err)
	}
	if f.log.String() != "" {
		t.Errorf("the log has\n%s", f.log)
	}
}

// TestStreamOnce: nothing is sent twice once something of the body was read.
func TestStreamOnce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	seen := make(chan string, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			in := bufio.NewReader(c)
			r, err := http.ReadRequest(in)
			if err == nil {
				io.ReadFull(r.Body, make([]byte, 5))
				seen <- r.Method
			}
			c.Close()
		}
	}()
	f := serve(t, Config{StreamRequest: true, Servers: []Server{{Address: l.Addr().String()}}}, nil)
	c := f.dial("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nfirst")
	if res := c.response(); res.StatusCode != 502 {
		t.Errorf("%d", res.StatusCode)
	}
	<-seen
	select {
	case <-seen:
		t.Error("it was sent again")
	default:
	}
}

// TestStreamResponse: without buffering a back end waits for its client.
func TestStreamResponse(t *testing.T) {
	for name, test := range map[string]struct {
		cfg    bool
		header string
		waits  bool
	}{
		"by default":  {false, "", false},
		"key":         {true, "", true},
		"app":         {false, "X-Accel-Buffering: no\r\n", true},
		"app, louder": {true, "X-Accel-Buffering: yes\r\n", false},
		"events":      {false, "Content-Type: text/event-stream\r\n", true},
	} {
		const size = 64 << 20
		done := make(chan int, 1)
		address := script(t, func(c net.Conn, _ *http.Request) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\n"+test.header+"\r\n")
			n := 0
			for b := make([]byte, 1<<20); n < size; {
				c.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
				k, err := c.Write(b)
				if n += k; err != nil {
					break
				}
			}
			done <- n
			c.Close()
		})
		f := serve(t, Config{StreamResponse: test.cfg, Servers: []Server{{Address: address}}}, nil)
		c := f.dial("GET / HTTP/1.1\r\nHost: a\r\n\r\n") // which reads nothing
		if n := <-done; (n < size) != test.waits {
			t.Errorf("%s: the back end could send %d of %d bytes to a client that takes none", name, n, size)
		}
		c.Close()
	}
}
