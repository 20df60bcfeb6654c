package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"millrace/gateway"
)

// named is a back end that says its name, as long as it is up.
type named struct {
	name string
	down atomic.Bool
	n    atomic.Int64 // tries
}

func (b *named) RoundTrip(context.Context, *gateway.Request) (*gateway.Response, error) {
	b.n.Add(1)
	if b.down.Load() {
		return nil, fmt.Errorf("scgi: %w: refused", gateway.ErrUnreachable)
	}
	return says(200, b.name), nil
}

func servers(all ...*named) (list []Server) {
	for _, b := range all {
		list = append(list, Server{b.name, b})
	}
	return list
}

func TestRoundRobin(t *testing.T) {
	a, b, c := &named{name: "a"}, &named{name: "b"}, &named{name: "c"}
	f := serve(t, Config{Servers: servers(a, b, c)}, nil)
	for i := range 9 {
		f.want("/", 200, []string{"a", "b", "c"}[i%3])
	}
}

// TestFailover: one that cannot be reached costs nobody a request, is passed
// over, and is found again.
func TestFailover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := &named{name: "a"}, &named{name: "b"}
		log := &logBuffer{}
		g := group(log, Config{Servers: servers(a, b)})
		ask := func() string {
			s, resp, err := g.send(t.Context(), exchangeOf("POST"))
			if err != nil {
				return err.Error()
			}
			text, _ := io.ReadAll(resp.Body)
			g.done(s, nil)
			return string(text)
		}
		a.down.Store(true)
		for range 10 {
			if got := ask(); got != "b" {
				t.Fatalf("got %q", got)
			}
		}
		if n := a.n.Load(); n != 1 {
			t.Errorf("it was tried %d times", n)
		}
		if n := len(log.lines("cannot be reached", "server=a")); n != 1 {
			t.Errorf("said %d times:\n%s", n, log)
		}
		if st := g.Status(); st.Servers[0].Reached || !st.Servers[1].Reached {
			t.Errorf("%+v", st)
		}
		time.Sleep(passOver + time.Second)
		ask()
		ask()
		if n := a.n.Load(); n != 2 {
			t.Errorf("it was tried %d times, want once more", n)
		}
		a.down.Store(false)
		time.Sleep(passOver + time.Second)
		if got := ask() + ask(); got != "ab" && got != "ba" {
			t.Errorf("both are there, and answer %q", got)
		}
		if n := len(log.lines("can be reached again", "server=a")); n != 1 {
			t.Errorf("said %d times:\n%s", n, log)
		}

		// All are down: each is tried, and tried anew by the next request.
		a.down.Store(true)
		b.down.Store(true)
		before := a.n.Load() + b.n.Load()
		for range 3 {
			if got := ask(); !strings.Contains(got, "refused") {
				t.Errorf("got %q", got)
			}
		}
		if n := a.n.Load() + b.n.Load() - before; n != 6 {
			t.Errorf("%d tries of three requests, want 6", n)
		}
		b.down.Store(false)
		if got := ask(); got != "b" {
			t.Errorf("one is back, and the answer %q", got)
		}
		if st := g.Status(); st.Servers[0].Active+st.Servers[1].Active != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// group is a Group without an HTTP server in front.
func group(log *logBuffer, cfg Config) *Group {
	cfg.Log = newLogger(log)
	cfg.ConnectTimeout = 10 * time.Second
	return New(cfg)
}

func exchangeOf(method string) *exchange {
	r, err := http.NewRequest(method, "http://h/", nil)
	if err != nil {
		panic(err)
	}
	return &exchange{r: r, target: gateway.Target{PathInfo: "/", ContentLength: -1}}
}

// TestOnlyUnreachable: what may have reached a back end goes to no other.
func TestOnlyUnreachable(t *testing.T) {
	for _, err := range []error{gateway.ErrTimeout, gateway.ErrNotAnswered, gateway.ErrBadResponse, gateway.ErrOverloaded, errors.New("reset")} {
		b := &named{name: "b"}
		g := group(&logBuffer{}, Config{Servers: append([]Server{{"a", tripper(func(context.Context, *gateway.Request) (*gateway.Response, error) {
			return nil, err
		})}}, servers(b)...)})
		s, _, got := g.send(t.Context(), exchangeOf("GET"))
		if !errors.Is(got, err) || s.address != "a" || b.n.Load() != 0 {
			t.Errorf("%v: got %v from %s, and the other was asked %d times", err, got, s.address, b.n.Load())
		}
		if st := g.Status(); !st.Servers[0].Reached || st.Servers[0].Failed != 1 {
			t.Errorf("%v: %+v", err, st)
		}
	}
}

// TestClientLeftWhileConnecting: that says nothing about the back end.
func TestClientLeftWhileConnecting(t *testing.T) {
	b := &named{name: "b"}
	ctx, cancel := context.WithCancel(t.Context())
	g := group(&logBuffer{}, Config{Servers: append([]Server{{"a", tripper(func(ctx context.Context, _ *gateway.Request) (*gateway.Response, error) {
		cancel()
		return nil, fmt.Errorf("%w: %w", gateway.ErrUnreachable, ctx.Err())
	})}}, servers(b)...)})
	if _, _, err := g.send(ctx, exchangeOf("GET")); err == nil || b.n.Load() != 0 {
		t.Errorf("%v, and the other was asked %d times", err, b.n.Load())
	}
	if st := g.Status(); !st.Servers[0].Reached {
		t.Errorf("%+v", st)
	}
}

// TestMaxConns: nobody gets more than may be, who waits is served in order,
// and not for ever.
func TestMaxConns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(&logBuffer{}, Config{MaxConns: 2, Servers: servers(&named{name: "a"}, &named{name: "b"})})
		var taken []*server
		for range 4 {
			s, err := g.lend(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			taken = append(taken, s)
		}
		for _, s := range g.servers {
			if s.active != 2 {
				t.Errorf("%s has %d", s.address, s.active)
			}
		}

		began := time.Now()
		if _, err := g.lend(t.Context(), nil); !errors.Is(err, gateway.ErrOverloaded) || time.Since(began) != 10*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := g.lend(ctx, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("a client that leaves: %v", err)
		}

		var mu sync.Mutex
		var order []int
		var group sync.WaitGroup
		for i := range 5 {
			group.Go(func() {
				s, err := g.lend(t.Context(), nil)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				g.done(s, nil)
			})
			synctest.Wait() // i waits by now
		}
		if n := g.Status().Waiting; n != 5 {
			t.Errorf("%d wait", n)
		}
		g.done(taken[0], nil)
		group.Wait()
		if got := fmt.Sprint(order); got != "[0 1 2 3 4]" {
			t.Errorf("served in the order %s", got)
		}
		for _, s := range taken[1:] {
			g.done(s, nil)
		}
		if st := g.Status(); st.Waiting != 0 || st.Servers[0].Active+st.Servers[1].Active != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// TestWakeIsPassedOn: who leaves at the moment of its turn leaves it to the
// next.
func TestWakeIsPassedOn(t *testing.T) {
	g := group(&logBuffer{}, Config{MaxConns: 1, Servers: servers(&named{name: "a"})})
	s, _ := g.take(nil, nil)
	_, first := g.take(nil, nil)
	_, second := g.take(nil, nil)
	g.done(s, nil)
	g.giveUp(first)
	select {
	case <-second:
	default:
		t.Error("nobody was told of the free server")
	}
}

// TestLendInTurmoil: whatever comes and goes, no server has too many, nobody
// waits for ever, and the counts come out even.
func TestLendInTurmoil(t *testing.T) {
	g := group(&logBuffer{}, Config{MaxConns: 1, Servers: servers(&named{name: "a"}, &named{name: "b"})})
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for n := range 500 {
				ctx, cancel := context.WithCancel(t.Context())
				if (i+n)%3 == 0 {
					go cancel()
				}
				s, err := g.lend(ctx, nil)
				switch {
				case s != nil:
					g.mu.Lock()
					if s.active > 1 {
						t.Errorf("%s has %d", s.address, s.active)
					}
					g.mu.Unlock()
					g.done(s, nil)
				case !errors.Is(err, context.Canceled):
					t.Errorf("lend: %v", err)
				}
				cancel()
			}
		})
	}
	group.Wait()
	if st := g.Status(); st.Waiting != 0 || st.Servers[0].Active+st.Servers[1].Active != 0 {
		t.Errorf("%+v", st)
	}
}
