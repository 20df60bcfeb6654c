package fcgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"millrace/gateway"
)

// http500 is a handler that answers what f says.
func http500(f func(*gateway.Front) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Variable-REMOTE_USER", "ada")
		_, _ = io.WriteString(w, f(gateway.FrontOf(r.Context())))
	}
}

// slowDial fails when it is told to.
type slowDial struct{ dialling, proceed chan struct{} }

func (d *slowDial) dial(context.Context) (net.Conn, error) {
	d.dialling <- struct{}{}
	<-d.proceed
	return nil, os.ErrPermission
}

// waiting is how many requests wait for a connection.
func waiting(c *Client) int {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	return len(c.pool.queue)
}

func TestMaxConns(t *testing.T) {
	proceed := make(chan struct{})
	var running, most atomic.Int32
	p := runProgram(t, func(p *line) {
		for r := p.request(); r != nil; r = p.request() {
			n := running.Add(1)
			for was := most.Load(); n > was && !most.CompareAndSwap(was, n); was = most.Load() {
			}
			<-proceed
			running.Add(-1)
			p.write(says(r.id, "Status: 200\n\n"))
			if !r.keep {
				return
			}
		}
	})
	for name, reuse := range map[string]Reuse{"never": ReuseNever, "always": ReuseAlways, "auto": ReuseAuto} {
		t.Run(name, func(t *testing.T) {
			proceed = make(chan struct{})
			c := p.client(&Client{Reuse: reuse, MaxConns: 3})
			var group sync.WaitGroup
			for range 20 {
				group.Go(func() { gets(t, c, get(), "") })
			}
			eventually(t, "three requests", func() bool { return running.Load() == 3 && waiting(c) == 17 })
			ctx, cancel := context.WithCancel(t.Context())
			given := make(chan error)
			go func() {
				_, err := c.RoundTrip(ctx, get())
				given <- err
			}()
			eventually(t, "one more", func() bool { return waiting(c) == 18 })
			cancel()
			if err := receive(t, "who has given up", given); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			if _, err := c.RoundTrip(ctx, get()); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			close(proceed)
			group.Wait()
			if n := most.Load(); n != 3 {
				t.Errorf("%d at a time, want 3", n)
			}
		})
	}
}

// TestNobodyOvertakes: what has become free is for those who were woken for it,
// also before they run.
func TestNobodyOvertakes(t *testing.T) {
	p := runProgram(t, helloProgram)
	c := p.client(&Client{Reuse: ReuseAlways, MaxConns: 1})
	gets(t, c, get(), "")
	woken := func(n int) {
		c.pool.mu.Lock()
		c.pool.queued += n
		c.pool.mu.Unlock()
	}
	woken(1)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.RoundTrip(ctx, get()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v: the idle connection was another's", err)
	}
	c.MaxConns = 2
	woken(1) // for the second
	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.RoundTrip(ctx, get()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v: the second connection was another's", err)
	}
	woken(-2)
	gets(t, c, get(), "")
}

// TestTurns has two requests that take turns on one connection for ever: a
// third one that waits must not be overtaken.
func TestTurns(t *testing.T) {
	p := runProgram(t, helloProgram)
	c := p.client(&Client{Reuse: ReuseAlways, MaxConns: 1})
	stop := make(chan struct{})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					gets(t, c, get(), "")
				}
			}
		})
	}
	for range 100 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		resp, err := c.RoundTrip(ctx, get())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadAll(resp.Body)
		cancel()
	}
	close(stop)
	group.Wait()
}

func TestGetValues(t *testing.T) {
	// respond answers all requests of a connection when told to.
	for name, test := range map[string]struct {
		values                   []string
		client                   *Client
		conns, requests, waiting int // with 12 requests at a time
	}{
		"all told":          {[]string{nameMaxConns, "2", nameMaxReqs, "3", nameMpxsConns, "1"}, &Client{}, 2, 6, 6},
		"shared, no limits": {[]string{nameMpxsConns, "1"}, &Client{MaxRequests: 5}, 3, 12, 0},
		"not shared":        {[]string{nameMaxConns, "4", nameMaxReqs, "4", nameMpxsConns, "0"}, &Client{}, 4, 4, 8},
		"libfcgi":           {[]string{nameMaxConns, "1", nameMaxReqs, "1", nameMpxsConns, "0"}, &Client{}, 12, 12, 0},
		"our limit":         {[]string{nameMaxConns, "9", nameMpxsConns, "1"}, &Client{MaxConns: 1, MaxRequests: 4}, 1, 4, 8},
		"none are shared":   {[]string{nameMaxConns, "9", nameMpxsConns, "1"}, &Client{MaxRequests: 1}, 9, 9, 3},
		"nonsense":          {[]string{nameMaxConns, "-3", nameMaxReqs, "many", nameMpxsConns, "yes"}, &Client{}, 12, 12, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var running atomic.Int32
			proceed := make(chan struct{})
			p := runProgram(t, func(p *line) {
				var mu sync.Mutex
				for r := p.request(test.values...); r != nil; r = p.request() {
					running.Add(1)
					go func() {
						<-proceed
						mu.Lock()
						defer mu.Unlock()
						p.write(says(r.id, "Status: 200\n\n"))
					}()
				}
			})
			c := p.client(test.client)
			var group sync.WaitGroup
			for range 12 {
				group.Go(func() { gets(t, c, get(), "") })
			}
			defer func() {
				if t.Failed() {
					c.pool.mu.Lock()
					t.Logf("running %d, queue %d, queued %d, open %d, coming %d, failing %v, muxes %d, limits %+v", running.Load(), len(c.pool.queue), c.pool.queued, c.pool.open, c.pool.coming, c.pool.failing, len(c.pool.muxes), c.pool.limits)
					c.pool.mu.Unlock()
				}
			}()
			eventually(t, fmt.Sprint(test.requests, " requests"), func() bool {
				return int(running.Load()) == test.requests && waiting(c) == test.waiting
			})
			if n := int(p.opened.Load()) - 1; n != test.conns { // one asked
				t.Errorf("%d connections, want %d", n, test.conns)
			}
			close(proceed)
			group.Wait()
			if n := p.asked.Load(); n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

func TestNoValues(t *testing.T) {
	for name, life := range map[string]func(p *line){
		"hangs up":  func(p *line) {},
		"is silent": func(p *line) { _, _ = io.Copy(io.Discard, p.c) },
		"says UNKNOWN_TYPE": func(p *line) {
			p.write((&front{}).record(UnknownType, 0, "\x09\x00\x00\x00\x00\x00\x00\x00"))
			_, _ = io.Copy(io.Discard, p.c)
		},
		"says nonsense": func(p *line) {
			p.write((&front{}).record(GetValuesResult, 0, "\xff\xff\xff\xff\xff"))
			_, _ = io.Copy(io.Discard, p.c)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := runProgram(t, func(p *line) {
				h, err := p.in.next()
				if err == nil && h.Type == GetValues {
					p.p.asked.Add(1)
					life(p)
					return
				}
				if _, err := p.in.whole(nil); err == nil {
					helloProgramFrom(p, h.ID)
				}
			})
			c := p.client(&Client{})
			for range 3 {
				gets(t, c, get(), "")
			}
			if a, n := p.asked.Load(), p.opened.Load(); a != 1 || n != 4 {
				t.Errorf("asked %d times, %d connections; want 1 and 4", a, n)
			}
			// Later it is asked again, behind the back of requests.
			c.pool.mu.Lock()
			c.pool.limits.until = time.Now()
			c.pool.mu.Unlock()
			gets(t, c, get(), "")
			eventually(t, "another question", func() bool { return p.asked.Load() == 2 })
		})
	}
}

// helloProgramFrom answers a request of which BEGIN_REQUEST is read, and hangs up.
func helloProgramFrom(p *line, id uint16) {
	if r := p.request(); r != nil {
		p.write(says(id, "Status: 200\n\n"))
	}
}

// TestOccupied has a program of one process, which serves one connection to
// its end before it takes the next: a kept one must not make others wait.
func TestOccupied(t *testing.T) {
	for name, reuse := range map[string]Reuse{"auto": ReuseAuto, "always": ReuseAlways} {
		t.Run(name, func(t *testing.T) {
			var process sync.Mutex
			p := runProgram(t, func(p *line) {
				process.Lock()
				defer process.Unlock()
				for r := p.request(nameMaxConns, "1", nameMaxReqs, "1", nameMpxsConns, "0"); r != nil; r = p.request() {
					p.write(says(r.id, "Status: 200\n\n"))
				}
			})
			c := p.client(&Client{Reuse: reuse, Timeout: 5 * time.Second})
			begin := time.Now()
			var group sync.WaitGroup
			for range 8 {
				group.Go(func() {
					for range 3 {
						gets(t, c, get(), "")
					}
				})
			}
			group.Wait()
			if took := time.Since(begin); took > 4*occupied {
				t.Errorf("24 requests took %v: they waited for kept connections", took)
			}
			// One that is never at rest must not have the process for itself.
			stop := make(chan struct{})
			group.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						gets(t, c, get(), "")
					}
				}
			})
			for range 3 {
				gets(t, c, get(), "")
			}
			close(stop)
			group.Wait()
			if reuse == ReuseAlways {
				return
			}
			// And another front server's request waits for a second at most.
			other := p.client(&Client{Reuse: ReuseNever, Timeout: 5 * time.Second})
			gets(t, c, get(), "")
			gets(t, other, get(), "")
		})
	}
}

// TestPutYields: while a new connection has been silent for long, one that has
// done its work is closed, so that its process can take the other.
func TestPutYields(t *testing.T) {
	p := runProgram(t, helloProgram)
	c := p.client(&Client{Reuse: ReuseAlways})
	idle := func() int {
		c.pool.mu.Lock()
		defer c.pool.mu.Unlock()
		return len(c.pool.idle)
	}
	c.pool.silent = append(c.pool.silent, &single{opened: time.Now().Add(-patience)})
	if gets(t, c, get(), ""); idle() != 0 {
		t.Error("a connection is kept, and another one waits for its process")
	}
	c.pool.silent[0].opened = time.Now().Add(time.Minute)
	if gets(t, c, get(), ""); idle() != 1 {
		t.Error("a connection is not kept")
	}
}

func TestIdleTimeout(t *testing.T) {
	for name, values := range map[string][]string{"single": nil, "mux": {nameMpxsConns, "1"}} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan struct{}, 10)
			p := runProgram(t, func(p *line) {
				for r := p.request(values...); r != nil; r = p.request() {
					p.write(says(r.id, "Status: 200\n\n"))
				}
				ended <- struct{}{}
			})
			c := p.client(&Client{IdleTimeout: 20 * time.Millisecond})
			gets(t, c, get(), "")
			receive(t, "the one that asked", ended)
			receive(t, "the idle one", ended)
			eventually(t, "nothing is open", func() bool {
				c.pool.mu.Lock()
				defer c.pool.mu.Unlock()
				return c.pool.open == 0 && len(c.pool.idle) == 0 && len(c.pool.muxes) == 0
			})
			gets(t, c, get(), "")
		})
	}
}

func TestClientClose(t *testing.T) {
	for name, values := range map[string][]string{"single": nil, "mux": {nameMpxsConns, "1"}} {
		t.Run(name, func(t *testing.T) {
			began := make(chan struct{}, 2)
			p := runProgram(t, func(p *line) {
				for r := p.request(values...); r != nil; r = p.request() {
					p.write((&front{}).record(Stdout, r.id, "Status: 200\n\npart"))
					began <- struct{}{}
				}
			})
			c := p.client(&Client{MaxConns: 1, MaxRequests: 2})
			resp, err := c.RoundTrip(t.Context(), get())
			if err != nil {
				t.Fatal(err)
			}
			receive(t, "the request", began)
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if _, err := io.ReadAll(resp.Body); err == nil {
				t.Error("a response that broke off ends as if it were whole")
			}
			resp.Body.Close()
			fails(t, c, get(), errClosed, "")
			if strings.Contains(fmt.Sprint(c.Close()), "closed network") {
				t.Error("closed twice")
			}
		})
	}
}
