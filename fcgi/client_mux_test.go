package fcgi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"millrace/gateway"
)

var shared = []string{nameMpxsConns, "1"}

func TestCantMpx(t *testing.T) {
	proceed := make(chan struct{})
	p := runProgram(t, func(p *line) {
		var mu sync.Mutex
		var running atomic.Int32
		for r := p.request(shared...); r != nil; r = p.request() {
			if running.Add(1) > 1 {
				running.Add(-1)
				mu.Lock()
				p.write((&front{}).record(EndRequest, r.id, "\x00\x00\x00\x00\x01\x00\x00\x00"))
				mu.Unlock()
				continue
			}
			go func() {
				<-proceed
				mu.Lock()
				defer mu.Unlock()
				running.Add(-1) // before the next can come
				p.write(says(r.id, "Status: 200\n\n"+r.stdin))
			}()
		}
	})
	c := p.client(&Client{})
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() { gets(t, c, post(fmt.Sprint(i)), fmt.Sprint(i)) })
	}
	eventually(t, "a connection each", func() bool { return p.opened.Load() == 9 })
	close(proceed)
	group.Wait()
	gets(t, c, get(), "")
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	if c.pool.limits.share() {
		t.Error("connections are still shared")
	}
}

// TestAbortedForEver has a program that does not end what was aborted.
func TestAbortedForEver(t *testing.T) {
	ended := make(chan struct{}, 4)
	p := runProgram(t, func(p *line) {
		for {
			h, content, ok := p.next(shared...)
			if !ok {
				ended <- struct{}{}
				return
			}
			if h.Type == Stdin && content == "" {
				p.write((&front{}).record(Stdout, h.ID, "Status: 200\n\npart"))
			}
		}
	})
	c := p.client(&Client{Timeout: time.Second, MaxConns: 1, MaxRequests: 2})
	for range 2 {
		resp, err := c.RoundTrip(t.Context(), get())
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	receive(t, "the one that asked", ended)
	// Both places are taken by what was aborted, until the connection is given up.
	resp, err := c.RoundTrip(t.Context(), get())
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	receive(t, "the first", ended)
}

// TestSlowReader has a response of 50 MB that nobody reads, while others of its
// connection go on.
func TestSlowReader(t *testing.T) {
	const size = 50 << 20
	address := serveUnix(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "POST" {
			_, _ = io.WriteString(w, "quick")
			return
		}
		b := bytes.Repeat([]byte("0123456789abcdef"), 1<<10)
		for range size / len(b) {
			_, _ = w.Write(b)
		}
	})})
	c := &Client{Address: address, MaxConns: 1}
	defer c.Close()
	resp, err := c.RoundTrip(t.Context(), post(""))
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		gets(t, c, get(), "quick")
	}
	n, err := io.Copy(io.Discard, resp.Body)
	if n != size || err != nil {
		t.Errorf("%d bytes of %d, %v", n, size, err)
	}
	resp.Body.Close()
	resp, err = c.RoundTrip(t.Context(), post("")) // and one that nobody ever reads
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	gets(t, c, get(), "quick")
}

// TestSharedDies has a connection that ends with 20 streams open.
func TestSharedDies(t *testing.T) {
	p := runProgram(t, func(p *line) {
		for n := 0; ; n++ {
			r := p.request(shared...)
			switch {
			case r == nil:
				return
			case p.n == 2 && n > 0: // the first that is not for the question: it answers once, and begins one
				if n == 1 {
					p.write((&front{}).record(Stdout, r.id, "Status: 200\n\npart"))
				}
				if n == 20 {
					return
				}
			default:
				p.write(says(r.id, "Status: 200\n\n"+r.stdin))
			}
		}
	})
	c := p.client(&Client{MaxConns: 1})
	gets(t, c, get(), "")
	begun, err := c.RoundTrip(t.Context(), get())
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for i := range 19 {
		group.Go(func() {
			switch {
			case i%2 == 0:
				gets(t, c, get(), "")
			default:
				fails(t, c, post("seen"), gateway.ErrNotAnswered, "")
			}
		})
	}
	group.Wait()
	if b, err := io.ReadAll(begun.Body); string(b) != "part" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%q, %v", b, err)
	}
	begun.Body.Close()
	gets(t, c, post("on a new one"), "on a new one")
}

func TestIDsWrapAround(t *testing.T) {
	hold, held := make(chan struct{}), make(chan struct{})
	address := serveUnix(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "hold" {
			close(held)
			<-hold
		}
		echo(w, r)
	})})
	c := &Client{Address: address, MaxConns: 1}
	defer c.Close()
	gets(t, c, post("first"), "first")
	m := c.pool.muxes[0]
	last := func(id uint16) {
		m.mu.Lock()
		m.lastID = id
		m.mu.Unlock()
	}
	last(1<<16 - 3)
	slow := make(chan struct{})
	go func() {
		defer close(slow)
		req := get("QUERY_STRING", "hold")
		gets(t, c, req, "")
	}()
	receive(t, "the request with the id 65534", held)
	for i := range 5 {
		gets(t, c, post(fmt.Sprint(i)), fmt.Sprint(i))
	}
	last(1<<16 - 3) // its id is not another's
	gets(t, c, post("again"), "again")
	if m.lastID != 1<<16-1 {
		t.Errorf("the id is %d, want 65535", m.lastID)
	}
	close(hold)
	<-slow
	if n := len(c.pool.muxes); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TestSharedViolations has a program that breaks the rules on a shared
// connection: it is of no use any more, and no response passes for whole.
func TestSharedViolations(t *testing.T) {
	for text, answer := range map[string]func(id uint16) *front{
		"STDOUT for request 99, which was not begun": func(uint16) *front { return says(99, "Status: 200\n\n") },
		"PARAMS from a program":                      func(id uint16) *front { return (&front{}).record(Params, id, "") },
		"END_REQUEST of 3 bytes":                     func(id uint16) *front { return (&front{}).record(EndRequest, id, "abc") },
		"version 9":                                  func(uint16) *front { return &front{b: []byte("\x09234567890")} },
		"status 77 in END_REQUEST":                   func(id uint16) *front { return (&front{}).record(EndRequest, id, "\x00\x00\x00\x00\x4d\x00\x00\x00") },
		"it ends before its head":                    func(id uint16) *front { return says(id, "Status: 200") },
	} {
		p := runProgram(t, func(p *line) {
			for r := p.request(shared...); r != nil; r = p.request() {
				p.write(answer(r.id))
			}
		})
		c := p.client(&Client{})
		fails(t, c, onceOnly(post("")), nil, text)
		c.Close()
	}
}

// TestStderrIsTheCallers: once a response is closed, nothing is written to the
// request's Stderr any more.
func TestStderrIsTheCallers(t *testing.T) {
	closed := make(chan struct{})
	p := runProgram(t, func(p *line) {
		first := p.request(shared...)
		if first == nil {
			return // it has asked
		}
		p.write((&front{}).record(Stderr, first.id, "early").record(Stdout, first.id, "Status: 200\n\n"))
		<-closed
		p.write((&front{}).record(Stderr, first.id, "late"))
		p.write(says(first.id, ""))
		for r := p.request(); r != nil; r = p.request() {
			if !r.aborted { // its response shows that what was said before it was read
				p.write(says(r.id, "Status: 200\n\n"))
			}
		}
	})
	c := p.client(&Client{})
	var stderr strings.Builder
	req := get()
	req.Stderr = &stderr
	resp, err := c.RoundTrip(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	close(closed)
	gets(t, c, get(), "")
	if stderr.String() != "early" {
		t.Errorf("%q", stderr.String())
	}
}

// TestStuckProgram has one that stops reading: the connection is given up,
// instead of taking one request after the other.
func TestStuckProgram(t *testing.T) {
	proceed := make(chan struct{})
	p := runProgram(t, func(p *line) {
		if p.n != 2 {
			for r := p.request(shared...); r != nil; r = p.request() {
				p.write(says(r.id, "Status: 200\n\n"))
			}
			return
		}
		<-proceed
	})
	defer close(proceed)
	c := p.client(&Client{Timeout: time.Second, MaxConns: 1})
	if _, err := fetch(t, c, onceOnly(post(strings.Repeat("x", 8<<20)))); err == nil {
		t.Error("a request that was not read is answered")
	}
	gets(t, c, get(), "")
}
