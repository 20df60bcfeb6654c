package h1client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"millrace/gateway"
)

// TestKeeps: what leaves a connection at the end of a message, and what does
// not.
func TestKeeps(t *testing.T) {
	for _, test := range []struct {
		answer, method, body string
		keeps                bool
	}{
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "GET", "ok", true},
		{"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", "GET", "ok", true},
		{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "GET", "", true},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "GET", "ok", true},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1;a=b\r\no\r\n001 \r\nk\r\n00\r\nX: y\r\n\r\n", "GET", "ok", true},
		{"HTTP/1.1 204 No Content\r\n\r\n", "GET", "", true},
		{"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "GET", "", true},
		{"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", "", true},
		{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "GET", "ok", true},

		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", "GET", "ok", false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: x, Close\r\n\r\nok", "GET", "ok", false},
		{"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok", "GET", "ok", false},
		{"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "GET", "ok", false},
		{"HTTP/1.1 103 Early\n\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "GET", "ok", false},
		{"HTTP/1.1 200 OK\r\nX : y\r\nContent-Length: 2\r\n\r\nok", "GET", "ok", false},
		{"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", "GET", "", false},
		{"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", "", false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "HEAD", "", false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HEAD", "", false},
	} {
		c := says(t, test.answer).client(&Client{})
		r := get()
		r.Method = test.method
		resp, b, err := fetch(t, c, r)
		if err != nil || b != test.body || resp.Header["Connection"] != nil || resp.Header["Transfer-Encoding"] != nil {
			t.Errorf("%q: %q, %v, %v", test.answer, b, resp, err)
		}
		if got := c.Idle() == 1; got != test.keeps {
			t.Errorf("%q: kept is %v, want %v", test.answer, got, test.keeps)
		}
	}
}

// TestHostile: what can be read in two ways is no response.
func TestHostile(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, answer := range []string{
		"hello\r\n\r\n", "\r\nHTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1\r\n\r\n", "HTTP/1.1 20\r\n\r\n", "HTTP/1.1 2000\r\n\r\n", "HTTP/1.1 20x OK\r\n\r\n",
		"HTTP/1.1 099 OK\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n", "HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.2 200 OK\r\n\r\n", "http/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 O\x00K\r\n\r\n", "HTTP/1.1\t200 OK\r\n\r\n",
		"ICY 200 OK\r\n\r\n", ok + "no colon\r\n\r\n", ok + ": empty\r\n\r\n", ok + "a b: c\r\n\r\n", ok + "X: a\x00b\r\n\r\n", ok + "X: a\rb\r\n\r\n",
		ok + "X: y\r\n folded\r\n\r\n", ok + " X: y\r\n\r\n", ok + "Content-Length: x\r\n\r\n", ok + "Content-Length: -1\r\n\r\n", ok + "Content-Length: +1\r\n\r\nx",
		ok + "Content-Length: 1, 1\r\n\r\nx", ok + "Content-Length: \r\n\r\n", ok + "Content-Length: 99999999999999999999\r\n\r\n",
		ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", ok + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		ok + "Transfer-Encoding: gzip, chunked\r\n\r\n", ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ok + "Transfer-Encoding: \r\n\r\n",
		ok + "Transfer-Encoding: identity\r\n\r\n", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
		strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 40) + ok + "Content-Length: 0\r\n\r\n",
		ok + strings.Repeat("X: y\r\n", 600) + "\r\n", ok + "X: " + strings.Repeat("x", 300<<10) + "\r\n\r\n", ok + "X: y\r\n",
	} {
		s := listen(t, func(c *line) {
			c.request()
			c.say(answer)
		})
		c := s.client(&Client{})
		if _, b, err := fetch(t, c, get()); !errors.Is(err, gateway.ErrBadResponse) {
			t.Errorf("%.80q: %q, %v", answer, b, err)
		}
		if c.Idle() != 0 || s.opened.Load() != 1 {
			t.Errorf("%.80q: %d kept, %d opened", answer, c.Idle(), s.opened.Load())
		}
	}
}

// TestCut: a body that is not whole never looks so, and what was here before is
// given.
func TestCut(t *testing.T) {
	const chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf"
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", chunks, chunks + "\r\n", chunks + "\r\n3\r\n", chunks + "\r\n0\r\n", chunks + "\r\n0\r\nX: y\r\n",
		chunks + "\r\nx\r\n", chunks + "\r\n\r\n", chunks + "\n0\r\n\r\n", chunks + "xx0\r\n\r\n", chunks + "\r\n0\n\r\n", chunks + "\r\n-1\r\n", chunks + "\r\n0x1\r\n", chunks + "\r\n 1\r\nx\r\n0\r\n\r\n",
		chunks + "\r\nfffffffffffffffff\r\n", chunks + "\r\n7fffffffffffffff\r\n", chunks + "\r\n1;\x00\r\n", chunks + "\r\n1;" + strings.Repeat("x", 2000) + "\r\n",
		chunks + "\r\n0\r\nno colon\r\n\r\n", chunks + "\r\n0\r\n X: y\r\n\r\n", chunks + "\r\n0\r\nX: \x00\r\n\r\n", chunks + "\r\n0\r\nX: " + strings.Repeat("x", 20<<10) + "\r\n\r\n",
	} {
		c := listen(t, func(c *line) {
			c.request()
			c.say(answer)
		}).client(&Client{})
		_, b, err := fetch(t, c, get())
		if b != "half" || err == nil || c.Idle() != 0 {
			t.Errorf("%.120q: %q, %v, %d kept", answer, b, err, c.Idle())
		}
	}
}

// TestPieces: a response that comes byte by byte is the same.
func TestPieces(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello",
		"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTrailer: X-Sum, Content-Length\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\nX-Sum: 1\r\nX-Other: 2\r\nContent-Length: 3\r\nX-Sum: 3\r\n\r\n",
	} {
		c := listen(t, func(c *line) {
			c.request()
			for i := range len(answer) {
				c.say(answer[i : i+1])
			}
		}).client(&Client{})
		resp := gets(t, c, get(), "hello")
		if strings.Contains(answer, "Trailer") && fmt.Sprint(resp.Trailer) != "map[X-Sum:[1 3]]" {
			t.Errorf("trailers %v", resp.Trailer)
		}
	}
}

// TestLarge: bodies of many reads, both ways and both framings.
func TestLarge(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 3<<20/16)
	s := listen(t, func(c *line) {
		for r := c.request(); r != nil; r = c.request() {
			b, _ := io.ReadAll(r.Body)
			if r.URL.Path == "/chunks" {
				c.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
				for n := 1; len(b) > 0; n = n*3%50021 + 1 {
					part := b[:min(n, len(b))]
					b = b[len(part):]
					c.say(fmt.Sprintf("%x\r\n%s\r\n", len(part), part))
				}
				c.say("0\r\n\r\n")
				continue
			}
			c.say(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(b), b))
		}
	})
	c := s.client(&Client{})
	for _, target := range []string{"/", "/chunks"} {
		for range 3 {
			r := put(big)
			r.Target = target
			gets(t, c, r, big)
		}
		r := put(big)
		r.Target, r.ContentLength, r.GetBody = target, -1, nil
		gets(t, c, r, big)
	}
	if n := s.opened.Load(); n != 3 {
		t.Errorf("%d connections, want one, and one for each body that cannot be had again", n)
	}
}

// TestFreed: the connection is another's before the first body is closed.
func TestFreed(t *testing.T) {
	s := says(t, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
	c := s.client(&Client{})
	one, err := c.RoundTrip(t.Context(), get())
	if err != nil {
		t.Fatal(err)
	}
	whole, ok := one.Body.(interface{ Whole() ([]byte, bool) }).Whole()
	if string(whole) != "hello" || !ok || c.Idle() != 1 {
		t.Errorf("%q, %v, %d kept", whole, ok, c.Idle())
	}
	gets(t, c, get(), "hello")
	if string(whole) != "hello" {
		t.Errorf("the body has become %q", whole)
	}
	one.Body.Close()
	if _, err := one.Body.Read(make([]byte, 1)); err != http.ErrBodyReadAfterClose {
		t.Error(err)
	}
	if n := s.opened.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TestStray: what comes behind a response, at once or later, is nobody's.
func TestStray(t *testing.T) {
	const whole = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	const stray = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
	s := says(t, whole+stray)
	c := s.client(&Client{})
	for range 3 {
		if _, b, err := fetch(t, c, get()); b != "ok" || err != errSurplus {
			t.Errorf("%q, %v", b, err)
		}
	}
	if n := s.opened.Load(); n != 3 {
		t.Errorf("%d connections", n)
	}

	later, done := make(chan bool), make(chan bool)
	s = listen(t, func(c *line) {
		c.request()
		c.say(whole)
		if c.n == 1 {
			<-later
			c.say(stray)
			close(done)
		}
		for c.request() != nil {
			c.say(whole)
		}
	})
	c = s.client(&Client{})
	gets(t, c, get(), "ok")
	close(later)
	<-done
	for range 3 {
		gets(t, c, get(), "ok")
	}
}

// TestDies: a kept connection that ends before a response is no failure for
// what may be repeated; a new one is.
func TestDies(t *testing.T) {
	const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	var seen atomic.Int32
	s := listen(t, func(c *line) {
		if c.request() == nil {
			return
		}
		c.say(answer)
		if c.request() != nil { // and hangs up, as if it had been about to
			seen.Add(1)
		}
	})
	c := s.client(&Client{})
	gets(t, c, get(), "ok")
	gets(t, c, get(), "ok")
	gets(t, c, put("body"), "ok")
	gets(t, c, put(strings.Repeat("x", 1<<20)), "ok")
	if n := seen.Load(); n != 3 {
		t.Errorf("%d requests died, want 3", n)
	}
	gets(t, c, post("x"), "ok") // on a new one
	if n := seen.Load(); n != 3 {
		t.Errorf("a POST was lost")
	}

	c = listen(t, func(c *line) { c.request() }).client(&Client{})
	if _, _, err := fetch(t, c, get()); !errors.Is(err, gateway.ErrNotAnswered) {
		t.Error(err)
	}

	// Part of a response, an interim one too, is an answer: nothing is repeated.
	for _, part := range []string{"HTTP/1.1 2", "HTTP/1.1 103 Early Hints\r\n\r\n"} {
		s = listen(t, func(c *line) {
			c.request()
			c.say(answer)
			c.request()
			c.say(part)
		})
		c = s.client(&Client{})
		gets(t, c, get(), "ok")
		if _, _, err := fetch(t, c, get()); !errors.Is(err, gateway.ErrBadResponse) || s.opened.Load() != 1 {
			t.Errorf("%v, %d connections", err, s.opened.Load())
		}
	}
}

// piped makes c a Client of a server that handles each connection by f, in a
// bubble.
func piped(t *testing.T, c *Client, f func(c *line)) *Client {
	c.Dial = func(context.Context) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			f(&line{Conn: far, in: bufio.NewReader(far)})
		}()
		return near, nil
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestTimeouts(t *testing.T) {
	const timeout = 30 * time.Second
	late := func(t *testing.T, c *Client, r *Request) {
		t.Helper()
		began := time.Now()
		_, _, err := fetch(t, c, r)
		if took := time.Since(began); !errors.Is(err, gateway.ErrTimeout) || took < timeout || took > 2*timeout {
			t.Errorf("after %v: %v", took, err)
		}
	}
	for name, says := range map[string]string{"no head": "", "no body": "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				late(t, piped(t, &Client{Timeout: timeout}, func(c *line) {
					c.request()
					c.say(says)
					<-t.Context().Done()
				}), get())
			})
		})
	}
	t.Run("the request is not taken", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			late(t, piped(t, &Client{Timeout: timeout}, func(*line) { <-t.Context().Done() }), put(strings.Repeat("x", 16<<20)))
		})
	})
	t.Run("who waits for a body is not late", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := piped(t, &Client{Timeout: timeout}, func(c *line) {
				for c.request() != nil {
					c.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				}
			})
			in, out := io.Pipe()
			go func() {
				for range 5 {
					io.WriteString(out, "x")
					time.Sleep(2 * timeout)
				}
				out.Close()
			}()
			gets(t, c, &Request{Method: "POST", Target: "/", Host: "h", Body: in, ContentLength: -1}, "ok")
		})
	})
	t.Run("what was switched has no deadline", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := piped(t, &Client{Timeout: timeout}, func(c *line) {
				c.request()
				c.say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
				io.Copy(c, c.in)
			})
			r := get()
			r.Upgrade = "echo"
			resp, err := c.RoundTrip(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			u := resp.Body.(*Upgraded)
			defer u.Close()
			time.Sleep(4 * timeout)
			io.WriteString(u, "hello")
			b := make([]byte, 5)
			if _, err := io.ReadFull(u, b); err != nil || string(b) != "hello" {
				t.Errorf("%q, %v", b, err)
			}
		})
	})
}

// TestCancel: the end of the context closes the connection, at any time.
func TestCancel(t *testing.T) {
	begun, left := make(chan bool, 4), make(chan bool, 4)
	c := listen(t, func(c *line) {
		r := c.request()
		if r.URL.Path == "/body" {
			c.say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
		}
		begun <- true
		c.request()
		left <- true
	}).client(&Client{})
	why := errors.New("the client left")
	for _, target := range []string{"/head", "/body"} {
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() { <-begun; cancel(why) }()
		r := get()
		r.Target = target
		resp, err := c.RoundTrip(ctx, r)
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		if err != why {
			t.Errorf("%s: %v", target, err)
		}
		<-left
	}
	// Close does it too, also while another reads.
	r := get()
	r.Target = "/body"
	resp, err := c.RoundTrip(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	<-begun
	ended := make(chan error)
	go func() { _, err := io.ReadAll(resp.Body); ended <- err }()
	resp.Body.Close()
	if err := <-ended; err == nil {
		t.Error("the body was whole")
	}
	<-left
}

// TestBodies: half a body never passes for a whole one.
func TestBodies(t *testing.T) {
	var whole atomic.Int32
	c := listen(t, func(c *line) {
		if c.request() != nil {
			whole.Add(1)
			c.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	}).client(&Client{})
	failed := errors.New("no more")
	for name, test := range map[string]struct {
		body   io.Reader
		length int64
	}{
		"shorter": {strings.NewReader("1234"), 5}, "longer": {strings.NewReader("1234"), 3}, "none": {nil, 3}, "unsaid": {strings.NewReader("1"), 0},
		"fails":           {io.MultiReader(strings.NewReader("123"), failing{failed}), 5},
		"fails in chunks": {io.MultiReader(strings.NewReader("123"), failing{failed}), -1},
	} {
		for _, again := range []bool{false, true} {
			r := &Request{Method: "POST", Target: "/", Host: "h", Body: test.body, ContentLength: test.length}
			if again {
				if name == "fails" || name == "shorter" || name == "longer" {
					r.Body = nil
					r.Body = io.MultiReader(test.body)
				}
				r.GetBody = func() (io.Reader, error) { return nil, failed }
			}
			if _, _, err := fetch(t, c, r); !errors.Is(err, gateway.ErrBody) {
				t.Errorf("%s, %v: %v", name, again, err)
			}
		}
	}
	if n := whole.Load(); n != 0 {
		t.Errorf("%d bodies looked whole", n)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestRefused: a request that would be two is not sent.
func TestRefused(t *testing.T) {
	s := says(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	c := s.client(&Client{})
	for what, change := range map[string]func(*Request){
		"method": func(r *Request) { r.Method = "G T" }, "no method": func(r *Request) { r.Method = "" },
		"target": func(r *Request) { r.Target = "/ HTTP/1.1\r\nX: y" }, "no target": func(r *Request) { r.Target = "" },
		"host":    func(r *Request) { r.Host = "h\r\nX: y" },
		"name":    func(r *Request) { r.Fields = func(f *Fields) { f.Add("X: y\r\nZ", "") } },
		"value":   func(r *Request) { r.Fields = func(f *Fields) { f.Add("X", "a\nb") } },
		"upgrade": func(r *Request) { r.Upgrade = "a\r\nb: c" },
	} {
		r := get()
		change(r)
		if _, _, err := fetch(t, c, r); !errors.Is(err, gateway.ErrUnsupported) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestUpgrade(t *testing.T) {
	c := listen(t, func(c *line) {
		r := c.request()
		c.say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + r.Header.Get("Upgrade") + "\r\n\r\nearly ")
		io.Copy(c, c.in)
		c.say(" late")
	}).client(&Client{})
	r := get()
	r.Upgrade = "echo"
	ctx, cancel := context.WithCancel(t.Context())
	resp, err := c.RoundTrip(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	cancel() // the connection is the caller's
	if resp.Status != 101 || resp.Header.Get("Upgrade") != "echo" {
		t.Errorf("%d %v", resp.Status, resp.Header)
	}
	u := resp.Body.(*Upgraded)
	io.WriteString(u, "hello")
	u.CloseWrite()
	if b, err := io.ReadAll(u); string(b) != "early hello late" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	u.Close()
}

func TestEarly(t *testing.T) {
	c := says(t, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").client(&Client{})
	var got []string
	r := get()
	r.Early = func(status int, h http.Header) { got = append(got, fmt.Sprint(status, h)) }
	gets(t, c, r, "ok")
	if text := strings.Join(got, " "); text != "103 map[Link:[</a>]] 102 map[]" {
		t.Errorf("%s", text)
	}
}

// TestIdle: no more are kept than may be, and none for too long.
func TestIdle(t *testing.T) {
	var wait sync.WaitGroup
	wait.Add(5)
	c := listen(t, func(c *line) {
		c.request()
		wait.Done()
		wait.Wait() // so that there are five
		c.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		c.request()
	}).client(&Client{MaxIdle: 3, IdleTimeout: 50 * time.Millisecond})
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() { gets(t, c, get(), "ok") })
	}
	group.Wait()
	if n := c.Idle(); n > 3 || n == 0 {
		t.Errorf("%d are kept", n)
	}
	eventually(t, "they are closed", func() bool { return c.Idle() == 0 })
	c.Close()
	if _, _, err := fetch(t, c, get()); err != errClosed {
		t.Error(err)
	}
}

// TestRoom: requests that need a new connection leave no more of them than ran
// at a time.
func TestRoom(t *testing.T) {
	s := says(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	c := s.client(&Client{})
	for range 5 {
		gets(t, c, get(), "ok")
		gets(t, c, post("x"), "ok")
	}
	if c.Idle() != 1 || s.opened.Load() != 6 {
		t.Errorf("%d are kept of %d", c.Idle(), s.opened.Load())
	}
}

// TestAnsweredEarly: a server may answer before it has the body, and the
// connection is not used again.
func TestAnsweredEarly(t *testing.T) {
	s := listen(t, func(c *line) {
		if _, err := http.ReadRequest(c.in); err == nil {
			c.say("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
			io.Copy(io.Discard, c.in)
		}
	})
	c := s.client(&Client{})
	in, out := io.Pipe()
	resp := gets(t, c, &Request{Method: "POST", Target: "/", Host: "h", Body: in, ContentLength: 100}, "no")
	if resp.Status != 413 || c.Idle() != 0 {
		t.Errorf("%d, %d kept", resp.Status, c.Idle())
	}
	out.Close()
}
