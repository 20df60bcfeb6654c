package upstream

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
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
		list = append(list, Server{Address: b.name, RoundTripper: b})
	}
	return list
}

// TestFailover: one that cannot be reached costs nobody a request, is passed
// over, and is found again.
func TestFailover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := &named{name: "a"}, &named{name: "b"}
		log := &logBuffer{}
		g := group(log, Config{Servers: servers(a, b), FailTimeout: 5 * time.Second})
		ask := func() string { return answerOf(t, g, "POST") }
		a.down.Store(true)
		for range 10 {
			if got := ask(); got != "b" {
				t.Fatalf("got %q", got)
			}
		}
		if n := a.n.Load(); n != 1 {
			t.Errorf("it was tried %d times", n)
		}
		if n := len(log.lines("passed over", "server=a", "refused")); n != 1 {
			t.Errorf("said %d times:\n%s", n, log)
		}
		if st := g.Status(); st.Servers[0].Reached || !st.Servers[1].Reached || st.Servers[0].State != Passed || st.Servers[1].State != Up {
			t.Errorf("%+v", st)
		}
		time.Sleep(6 * time.Second)
		ask()
		ask()
		if n := a.n.Load(); n != 2 {
			t.Errorf("it was tried %d times, want once more", n)
		}
		a.down.Store(false)
		time.Sleep(6 * time.Second)
		if got := ask() + ask(); got != "ab" && got != "ba" {
			t.Errorf("both are there, and answer %q", got)
		}
		if n := len(log.lines("answers again", "server=a")); n != 1 {
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

// answerOf is the body of a response of g, or why there was none.
func answerOf(t *testing.T, g *Group, method string) string {
	t.Helper()
	s, resp, err := g.send(t.Context(), exchangeOf(method))
	if err != nil {
		return err.Error()
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	g.done(s, nil)
	return string(text)
}

// group is a Group without an HTTP server in front.
func group(log *logBuffer, cfg Config) *Group {
	cfg.Log = newLogger(log)
	cfg.ConnectTimeout = 10 * time.Second
	if cfg.MaxFails == 0 {
		cfg.MaxFails, cfg.FailTimeout = 1, 5*time.Second
	}
	return New(cfg)
}

func exchangeOf(method string) *exchange {
	r, err := http.NewRequest(method, "http://h/", nil)
	if err != nil {
		panic(err)
	}
	return &exchange{r: r, target: gateway.Target{PathInfo: "/", ContentLength: -1}}
}

// TestClientLeftWhileConnecting: that says nothing about the back end.
func TestClientLeftWhileConnecting(t *testing.T) {
	b := &named{name: "b"}
	ctx, cancel := context.WithCancel(t.Context())
	g := group(&logBuffer{}, Config{Servers: append([]Server{{Address: "a", RoundTripper: tripper(func(ctx context.Context, _ *gateway.Request) (*gateway.Response, error) {
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
