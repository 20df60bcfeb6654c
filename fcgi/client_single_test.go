package fcgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"millrace/gateway"
)

func TestSplitResponses(t *testing.T) {
	for _, file := range wireFiles(t, "valid/client_*.hex") {
		c := scripted(iotest.OneByteReader(strings.NewReader(string(file.bytes))))
		resp, err := c.RoundTrip(t.Context(), get())
		if err != nil {
			t.Fatal(file.name, err)
		}
		b, err := io.ReadAll(resp.Body)
		if got := fmt.Sprintf("%d %q", resp.Status, b); got != file.says || err != nil {
			t.Errorf("%s: %s, %v", file.name, got, err)
		}
		c.Close()
	}
	// Each byte in a record of its own, with another of STDERR.
	f := &front{}
	for _, b := range []byte("Status: 404\r\nX-A: b\r\n\r\nbody") {
		f.record(Stdout, 1, string(b)).record(Stderr, 1, "e")
	}
	f.b = append(f.b, says(1, "").b[HeaderLen:]...)
	var stderr strings.Builder
	c := scripted(strings.NewReader(string(f.b)))
	req := get()
	req.Stderr = &stderr
	if gets(t, c, req, "body"); stderr.String() != strings.Repeat("e", 27) {
		t.Errorf("STDERR %q", stderr.String())
	}
	c.Close()
}

func TestHeadTooLarge(t *testing.T) {
	for name, reuse := range map[string]Reuse{"single": ReuseAlways, "mux": ReuseAuto} {
		t.Run(name, func(t *testing.T) {
			p := runProgram(t, func(p *line) {
				for r := p.request(nameMpxsConns, "1"); r != nil && !r.aborted; r = p.request() {
					n := 999 - len("X: ")
					if r.stdin == "more" {
						n++
					}
					if r.stdin == "endless" {
						n = 100_000
					}
					f := (&front{}).record(Stdout, r.id, "X: ") // 1000 and 1001 bytes
					for range n - 1 {
						f.record(Stdout, r.id, "x")
					}
					if r.stdin != "endless" {
						f.b = append(f.b, says(r.id, "\n\n").b...)
					}
					p.write(f)
				}
			})
			// A client for each: the program hangs up on one that aborts.
			client := func() *Client { return p.client(&Client{MaxHead: 1000, Reuse: reuse, Timeout: 5 * time.Second}) }
			gets(t, client(), post(""), "")
			fails(t, client(), post("more"), gateway.ErrBadResponse, "a head of more than 1000 bytes")
			fails(t, client(), post("endless"), gateway.ErrBadResponse, "a head of more than 1000 bytes")
		})
	}
}

func TestSurplus(t *testing.T) {
	for name, reuse := range map[string]Reuse{"single": ReuseAlways, "mux": ReuseAuto} {
		t.Run(name, func(t *testing.T) {
			p := runProgram(t, func(p *line) {
				for r := p.request(nameMpxsConns, "1"); r != nil; r = p.request() {
					head := "Status: 200\nContent-Length: 4\n\n"
					switch r.stdin {
					case "long":
						p.write(says(r.id, head+"123456"))
					case "short":
						p.write(says(r.id, head+"12"))
					default:
						p.write(says(r.id, head))
					}
				}
			})
			c := p.client(&Client{Reuse: reuse})
			var stderr strings.Builder
			req := post("long")
			req.Stderr = &stderr
			gets(t, c, req, "1234")
			if !strings.Contains(stderr.String(), "longer than its Content-Length") {
				t.Errorf("cut in silence: %q", stderr.String())
			}
			fails(t, c, post("short"), io.ErrUnexpectedEOF, "2 bytes before its Content-Length")
			head := get("REQUEST_METHOD", "HEAD")
			gets(t, c, head, "")
		})
	}
}

// TestReuse has programs that end a kept connection at all the wrong moments.
func TestReuse(t *testing.T) {
	always := func() *Client { return &Client{Reuse: ReuseAlways, Timeout: 5 * time.Second} }
	t.Run("kept", func(t *testing.T) {
		p := runProgram(t, helloProgram)
		c := p.client(always())
		for range 10 {
			gets(t, c, get(), "")
		}
		if n := p.opened.Load(); n != 1 {
			t.Errorf("%d connections for 10 requests", n)
		}
	})
	// A request that may not be repeated is given a connection only once it has
	// been idle for a moment.
	rest := func(c *Client) {
		eventually(t, "an idle connection", func() bool {
			c.pool.mu.Lock()
			defer c.pool.mu.Unlock()
			return len(c.pool.idle) == 1 && time.Since(c.pool.idle[0].since) > 2*settled
		})
	}
	t.Run("closed between requests", func(t *testing.T) { // a look tells: even a POST survives
		closed := make(chan struct{}, 10)
		p := runProgram(t, func(p *line) {
			if r := p.request(); r != nil {
				p.write(says(r.id, "Status: 200\n\n"+r.stdin))
			}
			p.c.Close()
			closed <- struct{}{}
		})
		c := p.client(always())
		for i := range 5 {
			body := fmt.Sprint(i)
			gets(t, c, onceOnly(post(body)), body)
			receive(t, "the connection's end", closed)
			rest(c)
		}
		if n := p.begun.Load(); n != 5 {
			t.Errorf("%d requests were begun, want 5", n)
		}
	})
	// The program reads the second request of a connection and hangs up.
	dies := func(p *line) {
		r := p.request()
		if r == nil {
			return
		}
		p.write(says(r.id, "Status: 200\n\n"+r.stdin))
		p.request()
	}
	t.Run("at the moment of use", func(t *testing.T) {
		p := runProgram(t, dies)
		c := p.client(always())
		gets(t, c, get(), "")
		gets(t, c, get(), "") // a GET is repeated
		put := func() *gateway.Request {
			req := post("again")
			req.Params = gateway.Set(req.Params, "REQUEST_METHOD", "PUT")
			return req
		}
		gets(t, c, put(), "again") // and so is a PUT whose body can be had again
		rest(c)
		fails(t, c, post("seen"), gateway.ErrNotAnswered, "")
		gets(t, c, get(), "")
		rest(c)
		fails(t, c, onceOnly(put()), gateway.ErrNotAnswered, "")
		if n := p.begun.Load(); n != 8 {
			t.Errorf("%d requests were begun, want 8", n)
		}
	})
	t.Run("again and again", func(t *testing.T) {
		p := runProgram(t, func(p *line) {
			r := p.request()
			if r != nil && p.n == 1 {
				p.write(says(r.id, "Status: 200\n\n"))
				p.request()
			}
		})
		c := p.client(always())
		gets(t, c, get(), "")
		fails(t, c, get(), gateway.ErrNotAnswered, "")
		if n := p.begun.Load(); n != 3 {
			t.Errorf("%d requests were begun, want 3: one is repeated once", n)
		}
		fails(t, c, get(), gateway.ErrNotAnswered, "") // a new connection's end is no reason to repeat
		if n := p.begun.Load(); n != 4 {
			t.Errorf("%d requests were begun, want 4", n)
		}
	})
	t.Run("inside a response", func(t *testing.T) {
		p := runProgram(t, func(p *line) {
			r := p.request()
			if r == nil {
				return
			}
			p.write(says(r.id, "Status: 200\n\n"))
			if r = p.request(); r != nil {
				p.write((&front{}).record(Stdout, r.id, "Status: 200\n\npart"))
			}
		})
		c := p.client(always())
		gets(t, c, get(), "")
		fails(t, c, get(), io.ErrUnexpectedEOF, "inside a response")
		if n := p.begun.Load(); n != 2 {
			t.Errorf("%d requests were begun, want 2", n)
		}
	})
	t.Run("bytes after the end", func(t *testing.T) {
		p := runProgram(t, func(p *line) {
			for r := p.request(); r != nil; r = p.request() {
				f := says(r.id, "Status: 200\n\n")
				p.write(f.record(Stdout, r.id, "Status: 200\n\nsmuggled"))
			}
		})
		c := p.client(always())
		for range 3 {
			gets(t, c, get(), "")
		}
		if n := p.opened.Load(); n != 3 {
			t.Errorf("%d connections, want 3: one with bytes that nobody asked for is of no use", n)
		}
	})
	t.Run("POST right after a response", func(t *testing.T) {
		// php-fpm's pm.max_requests: the process ends after it has answered.
		p := runProgram(t, dies)
		c := p.client(always())
		for range 20 {
			gets(t, c, onceOnly(post("x")), "x")
		}
	})
}

func TestEarlyAnswer(t *testing.T) {
	big := strings.Repeat("b", 10<<20)
	for name, values := range map[string][]string{"single": nil, "mux": {nameMpxsConns, "1"}} {
		t.Run(name, func(t *testing.T) {
			p := runProgram(t, func(p *line) {
				for {
					h, _, ok := p.next(values...)
					if !ok {
						return
					}
					if h.Type == BeginRequest { // the answer is as large as the question
						p.write((&front{}).record(Stdout, h.ID, "Status: 200\n\n"))
						for range len(big) / 50000 {
							p.write((&front{}).record(Stdout, h.ID, big[:50000]))
						}
						p.write(says(h.ID, ""))
					}
				}
			})
			c := p.client(&Client{Timeout: 10 * time.Second})
			gets(t, c, post(big), big[:len(big)/50000*50000])
			gets(t, c, onceOnly(post("")), big[:len(big)/50000*50000])
		})
	}
}

func TestTimeout(t *testing.T) {
	for name, values := range map[string][]string{"single": nil, "mux": {nameMpxsConns, "1"}} {
		t.Run(name, func(t *testing.T) {
			p := runProgram(t, func(p *line) {
				for r := p.request(values...); r != nil; r = p.request() {
					switch r.stdin {
					case "part":
						p.write((&front{}).record(Stdout, r.id, "Status: 200\n\npart"))
					case "slow":
						p.write(says(r.id, "Status: 200\n\nslow"))
					}
				}
			})
			c := p.client(&Client{Timeout: 60 * time.Millisecond})
			fails(t, c, post("nothing"), gateway.ErrTimeout, "nothing came for 60ms")
			fails(t, c, post("part"), gateway.ErrTimeout, "nothing came for 60ms")
			// A client that sends slowly is not the program's fault. The program
			// has the whole time from then on.
			c = p.client(&Client{Timeout: time.Second})
			read, write := io.Pipe()
			req := post("slow")
			req.Body = read
			go func() {
				_, _ = write.Write([]byte("slo"))
				<-time.After(1200 * time.Millisecond)
				_, _ = write.Write([]byte("w"))
				write.Close()
			}()
			gets(t, c, req, "slow")
		})
	}
}

func TestCancel(t *testing.T) {
	for name, values := range map[string][]string{"single": nil, "mux": {nameMpxsConns, "1"}} {
		t.Run(name, func(t *testing.T) {
			began, told := make(chan uint16, 10), make(chan string, 10)
			p := runProgram(t, func(p *line) {
				for {
					h, _, ok := p.next(values...)
					switch {
					case !ok:
						told <- "closed"
						return
					case h.Type == Stdin:
						p.write((&front{}).record(Stdout, h.ID, "Status: 200\n\npart"))
						began <- h.ID
					case h.Type == AbortRequest:
						p.write(says(h.ID, ""))
						told <- "aborted"
					}
				}
			})
			want := map[string]string{"single": "closed", "mux": "aborted"}[name]
			c := p.client(&Client{})
			c.pool.limits = limits{known: true, keep: true, requests: map[string]int{"single": 1, "mux": 8}[name]}
			ctx, cancel := context.WithCancel(t.Context())
			resp, err := c.RoundTrip(ctx, get())
			if err != nil {
				t.Fatal(err)
			}
			receive(t, "the request", began)
			cancel()
			if _, err := io.ReadAll(resp.Body); !errors.Is(err, context.Canceled) {
				t.Errorf("%v, want the context's end", err)
			}
			resp.Body.Close()
			if got := receive(t, "the program's knowledge", told); got != want {
				t.Errorf("%s, want %s", got, want)
			}
			resp, err = c.RoundTrip(t.Context(), get())
			if err != nil {
				t.Fatal(err)
			}
			receive(t, "the request", began)
			resp.Body.Close()
			if got := receive(t, "the program's knowledge", told); got != want {
				t.Errorf("after Close: %s, want %s", got, want)
			}
			if _, err := resp.Body.Read(make([]byte, 1)); err == nil || err == io.EOF {
				t.Errorf("a closed body reads: %v", err)
			}
			before := p.begun.Load()
			if _, err := c.RoundTrip(ctx, get()); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			// Of a request whose body does not come, the program learns nothing.
			ctx, cancel = context.WithCancel(t.Context())
			body, left := io.Pipe()
			req := post("never")
			req.Body = body
			failed := make(chan error)
			go func() {
				_, err := c.RoundTrip(ctx, req)
				failed <- err
			}()
			eventually(t, "a connection", func() bool {
				c.pool.mu.Lock()
				defer c.pool.mu.Unlock()
				return len(c.pool.singles) > 0 || len(c.pool.muxes) > 0 && c.pool.muxes[0].taken > 0
			})
			cancel()
			if err := receive(t, "the end", failed); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			left.Close()
			eventually(t, "a free place", func() bool {
				c.pool.mu.Lock()
				defer c.pool.mu.Unlock()
				return len(c.pool.singles) == 0 && (len(c.pool.muxes) == 0 || c.pool.muxes[0].taken == 0)
			})
			if n := p.begun.Load(); n != before {
				t.Errorf("%d requests were begun, want %d", n, before)
			}
		})
	}
}

// TestBadBody has bodies that are not as long as announced: the program sees
// no whole request.
func TestBadBody(t *testing.T) {
	failed := errors.New("the client has left")
	long := strings.Repeat("x", smallBody+1)
	for name, values := range map[string][]string{"single": nil, "mux": {nameMpxsConns, "1"}} {
		t.Run(name, func(t *testing.T) {
			var whole sync.Map
			p := runProgram(t, func(p *line) {
				for {
					h, content, ok := p.next(values...)
					if !ok {
						return
					}
					switch {
					case h.Type == AbortRequest:
						p.write(says(h.ID, ""))
						whole.Store(h.ID, "aborted")
					case h.Type == Stdin && content == "":
						if was, _ := whole.Load(h.ID); was != "aborted" {
							whole.Store("whole", h.ID)
						}
					}
				}
			})
			c := p.client(&Client{Timeout: 5 * time.Second})
			for name, body := range map[string]struct {
				length int64
				reader io.Reader
			}{
				"shorter":           {5, strings.NewReader("1234")},
				"longer":            {3, strings.NewReader("1234")},
				"shorter, streamed": {5, iotest.HalfReader(strings.NewReader("1234"))},
				"longer, streamed":  {3, iotest.HalfReader(strings.NewReader("1234"))},
				"large, shorter":    {int64(len(long)) + 1, strings.NewReader(long)},
				"large, longer":     {int64(len(long)) - 1, strings.NewReader(long)},
				"an error":          {5, io.MultiReader(strings.NewReader("123"), iotest.ErrReader(failed))},
				"no end":            {3, io.MultiReader(strings.NewReader("123"), iotest.ErrReader(failed))},
				"nothing":           {5, nil},
				"negative":          {-1, strings.NewReader("1")},
			} {
				req := get("REQUEST_METHOD", "POST", "CONTENT_LENGTH", fmt.Sprint(body.length))
				req.Body, req.ContentLength = body.reader, body.length
				if _, err := fetch(t, c, req); !errors.Is(err, gateway.ErrBody) {
					t.Errorf("%s: %v, want %v", name, err, gateway.ErrBody)
				}
			}
			req := get()
			req.Role, req.DataLength, req.Data = gateway.Filter, 9, strings.NewReader("short")
			fails(t, c, req, gateway.ErrBody, "")
			c.Close()
			if id, is := whole.Load("whole"); is {
				t.Errorf("request %v looks whole", id)
			}
		})
	}
}

func TestRoles(t *testing.T) {
	address := serveUnix(t, &Server{Handler: http500(func(front *gateway.Front) string {
		data := ""
		if front.Data != nil {
			b, err := io.ReadAll(front.Data)
			data = fmt.Sprint(string(b), err)
		}
		role, _ := gateway.Lookup(front.Params, "FCGI_ROLE")
		return role + " " + data
	})})
	for name, mode := range modes {
		c := &Client{Address: address, Reuse: mode.Reuse, MaxRequests: mode.MaxRequests}
		filter := get("FCGI_DATA_LENGTH", "40000", "FCGI_DATA_LAST_MOD", "0")
		data := strings.Repeat("d", 40000)
		filter.Role, filter.Data, filter.DataLength = gateway.Filter, strings.NewReader(data), 40000
		gets(t, c, filter, "FILTER "+data+"<nil>")
		auth := get()
		auth.Role = gateway.Authorizer
		gets(t, c, auth, "AUTHORIZER ")
		resp, err := c.RoundTrip(t.Context(), auth)
		if err != nil || len(resp.Variables) != 1 || resp.Variables[0] != (gateway.Param{Name: "REMOTE_USER", Value: "ada"}) {
			t.Errorf("%s: %v %+v", name, err, resp)
		}
		resp.Body.Close()
		gets(t, c, get(), "RESPONDER ")
		c.Close()
	}
}

func TestUnreachable(t *testing.T) {
	c := &Client{Address: "unix:" + t.TempDir() + "/nobody"}
	fails(t, c, get(), gateway.ErrUnreachable, "nobody")
	// Those who wait for an answer to GET_VALUES share the failure.
	dialling, proceed := make(chan struct{}, 100), make(chan struct{})
	broken := &Client{Dial: (&slowDial{dialling, proceed}).dial}
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() { fails(t, broken, get(), gateway.ErrUnreachable, os.ErrPermission.Error()) })
	}
	receive(t, "the first dial", dialling)
	eventually(t, "the others", func() bool { return waiting(broken) > 0 || len(dialling) == 0 })
	close(proceed)
	group.Wait()
	c.Close()
	fails(t, c, get(), errClosed, "")
}
