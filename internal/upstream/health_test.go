package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"millrace/gateway"
)

// checked is a back end whose checks a test decides.
type checked struct {
	named
	mu     sync.Mutex
	result error
	takes  time.Duration
	n, now atomic.Int64 // checks, and those that run
}

func (c *checked) Check(ctx context.Context) error {
	c.n.Add(1)
	if c.now.Add(1) > 1 {
		panic("two checks of one server at a time")
	}
	defer c.now.Add(-1)
	c.mu.Lock()
	result, takes := c.result, c.takes
	c.mu.Unlock()
	select {
	case <-time.After(takes):
		return result
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *checked) set(result error, takes time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.result, c.takes = result, takes
}

var everySecond = Health{Interval: 10 * time.Second, Timeout: 2 * time.Second, Passes: 3, Fails: 2}

// TestHealth: so many checks in a row decide, in both directions; what is sick
// gets nothing, and the log says it once.
func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := &checked{named: named{name: "a"}}, &checked{named: named{name: "b"}}
		log := &logBuffer{}
		g := group(log, Config{Balance: RoundRobin, Health: everySecond, Servers: []Server{{Address: "a", RoundTripper: a}, {Address: "b", RoundTripper: b}}})
		g.Start()
		g.Start() // once is enough
		round := func() {
			for n := a.n.Load(); a.n.Load() == n; {
				time.Sleep(10 * time.Millisecond)
			}
			synctest.Wait()
		}
		round()
		if got := turns(g, 4); got != "abab" {
			t.Error(got)
		}
		a.set(errors.New("it is ill"), 0)
		round()
		if st := g.Status().Servers[0]; !st.Healthy || st.Error != "it is ill" || st.Checked == nil {
			t.Errorf("after one: %+v", st)
		}
		round()
		if st := g.Status().Servers[0]; st.Healthy || st.State != Sick {
			t.Errorf("after two: %+v", st)
		}
		if got := turns(g, 4); got != "bbbb" {
			t.Error(got)
		}
		a.set(nil, 0)
		round()
		round()
		a.set(errors.New("again"), 0) // they begin anew
		round()
		a.set(nil, 0)
		round()
		round()
		if st := g.Status().Servers[0]; st.Healthy {
			t.Errorf("it passed but two in a row: %+v", st)
		}
		round()
		if st := g.Status().Servers[0]; !st.Healthy || st.State != Up {
			t.Errorf("%+v", st)
		}
		if len(log.lines("fails its checks", "server=a", "it is ill")) != 1 || len(log.lines("passes its checks", "server=a")) != 1 {
			t.Errorf("the log:\n%s", log)
		}

		// All are sick: nothing is sent anywhere.
		a.set(errors.New("ill"), 0)
		b.set(errors.New("ill"), 0)
		time.Sleep(30 * time.Second)
		asked := a.named.n.Load() + b.named.n.Load()
		if got := answerOf(t, g, "GET"); got != errNone.Error() || a.named.n.Load()+b.named.n.Load() != asked {
			t.Errorf("all are sick: %s", got)
		}
		g.Close()
		n := a.n.Load()
		time.Sleep(time.Minute)
		if a.n.Load() != n {
			t.Error("it is checked after the end")
		}
	})
}

// TestHealthIsLate: a check has its time; a server that answered a request
// meanwhile is well all the same.
func TestHealthIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &checked{named: named{name: "a"}, takes: time.Hour}
		g := group(&logBuffer{}, Config{Health: everySecond, Servers: []Server{{Address: "a", RoundTripper: a}}})
		g.Start()
		defer g.Close()
		ask := make(chan struct{})
		go func() {
			defer close(ask)
			for range 40 {
				answerOf(t, g, "GET")
				time.Sleep(time.Second)
			}
		}()
		<-ask
		if st := g.Status().Servers[0]; !st.Healthy || a.n.Load() < 3 {
			t.Errorf("after %d checks: %+v", a.n.Load(), st)
		}
		time.Sleep(40 * time.Second)
		if st := g.Status().Servers[0]; st.Healthy {
			t.Errorf("it answers nothing: %+v", st)
		}
	})
}

// slowly answers after a time; 0: never.
type slowly struct {
	checked
	needs atomic.Int64
}

func (b *slowly) RoundTrip(ctx context.Context, _ *gateway.Request) (*gateway.Response, error) {
	wait := time.Duration(b.needs.Load())
	if wait == 0 {
		wait = 30 * time.Second
	}
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if b.needs.Load() == 0 {
		return nil, fmt.Errorf("scgi: %w", gateway.ErrTimeout)
	}
	return says(200, "slow"), nil
}

// TestHealthOfBusy: a server whose processes all have a request of ours, each for
// longer than the checks wait, is not taken for a dead one; and one that is dead
// is, though it has as many.
func TestHealthOfBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &slowly{checked: checked{takes: time.Hour}}
		a.needs.Store(int64(25 * time.Second))
		log := &logBuffer{}
		g := group(log, Config{
			Health: Health{Interval: 5 * time.Second, Timeout: 2 * time.Second, Passes: 2, Fails: 2}, Timeout: 30 * time.Second,
			QueueTimeout: time.Hour, Servers: []Server{{Address: "a", RoundTripper: a, MaxConns: 2}},
		})
		g.Start()
		defer g.Close()
		stop := make(chan struct{})
		var clients sync.WaitGroup
		for range 4 {
			clients.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						answerOf(t, g, "GET")
						time.Sleep(100 * time.Millisecond)
					}
				}
			})
		}
		defer clients.Wait()
		defer close(stop)
		time.Sleep(10 * time.Minute)
		if st := g.Status().Servers[0]; !st.Healthy || st.Answered < 40 || a.checked.n.Load() < 60 {
			t.Errorf("it is busy: %+v, %d checks", st, a.checked.n.Load())
		}
		if lines := log.lines("fails its checks"); len(lines) > 0 {
			t.Errorf("it was taken for a dead one: %s", lines)
		}
		a.needs.Store(0)
		time.Sleep(2 * time.Minute)
		if st := g.Status().Servers[0]; st.Healthy {
			t.Errorf("it is dead: %+v", st)
		}
	})
}

// TestHealthEndsPassingOver: a server that was down and passes its checks is
// used again at once, slowly if so told.
func TestHealthEndsPassingOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &checked{named: named{name: "a"}}
		g := group(&logBuffer{}, Config{MaxFails: 1, FailTimeout: time.Hour, SlowStart: time.Hour, Health: everySecond, Servers: append([]Server{{Address: "a", RoundTripper: a}}, servers(&named{name: "b"})...)})
		g.Start()
		defer g.Close()
		a.down.Store(true)
		a.set(fmt.Errorf("%w", gateway.ErrUnreachable), 0)
		answerOf(t, g, "GET")
		time.Sleep(30 * time.Second)
		if st := g.Status().Servers[0]; st.State != Sick || st.Reached {
			t.Errorf("%+v", st)
		}
		a.down.Store(false)
		a.set(nil, 0)
		time.Sleep(40 * time.Second)
		if st := g.Status().Servers[0]; st.State != Slow || !st.Reached {
			t.Errorf("%+v", st)
		}
	})
}

// TestHealthOfHTTP: a path, its status, a Host.
func TestHealthOfHTTP(t *testing.T) {
	var status atomic.Int64
	status.Store(204)
	var last atomic.Value
	address := behind(t, func(w http.ResponseWriter, r *http.Request) {
		last.Store(fmt.Sprintf("%s %s %s %s", r.Method, r.RequestURI, r.Host, r.UserAgent()))
		w.WriteHeader(int(status.Load()))
	})
	for _, tt := range []struct {
		health Health
		status int
		good   bool
		said   string
	}{
		{Health{Path: "/health?a=%20"}, 204, true, "GET /health?a=%20 " + address + " millrace-health"},
		{Health{Path: "/", Host: "a.example"}, 302, true, "GET / a.example millrace-health"},
		{Health{Path: "/"}, 404, false, ""},
		{Health{Path: "/"}, 500, false, ""},
		{Health{Path: "/", Status: func(s int) bool { return s == 404 }}, 404, true, ""},
		{Health{Path: "/", Status: func(s int) bool { return s == 404 }}, 200, false, ""},
		{Health{Connect: true}, 500, true, ""},
	} {
		status.Store(int64(tt.status))
		tt.health.Interval, tt.health.Timeout = time.Hour, 10*time.Second
		g := group(&logBuffer{}, Config{Timeout: 10 * time.Second, Health: tt.health, Servers: []Server{{Address: address}}})
		err := g.check(t.Context(), g.servers[0])
		if (err == nil) != tt.good {
			t.Errorf("%+v: %d: %v", tt.health, tt.status, err)
		}
		if tt.said != "" && last.Load() != tt.said {
			t.Errorf("it was asked %q, want %q", last.Load(), tt.said)
		}
		if st := g.Status().Servers[0]; st.Answered+st.Failed != 0 || st.Active != 0 {
			t.Errorf("a check counts as a request: %+v", st)
		}
		g.Close()
	}
}

// TestHealthByConnecting is for who cannot be asked.
func TestHealthByConnecting(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := group(&logBuffer{}, Config{Health: everySecond, Servers: []Server{{Address: l.Addr().String(), RoundTripper: &named{}}}})
	if err := g.check(t.Context(), g.servers[0]); err != nil {
		t.Error(err)
	}
	l.Close()
	if err := g.check(t.Context(), g.servers[0]); !errors.Is(err, gateway.ErrUnreachable) {
		t.Errorf("%v", err)
	}
}

// TestPassive: so many failures in so much time, and which they are.
func TestPassive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(&logBuffer{}, Config{MaxFails: 3, FailTimeout: 10 * time.Second, Servers: weighted(1, 1)})
		fail := func(err error) bool {
			s := g.servers[0]
			s.active++
			g.done(s, err)
			return s.passive.until.IsZero()
		}
		for _, err := range []error{context.Canceled, gateway.ErrBody, gateway.ErrTooLarge, gateway.ErrOverloaded, &cutError{errors.New("reset")}} {
			for range 4 {
				if !fail(err) {
					t.Errorf("%v is held against it", err)
				}
			}
		}
		for range 5 { // two within the time, again and again
			if !fail(gateway.ErrTimeout) || !fail(gateway.ErrBadResponse) {
				t.Fatal("two are not three")
			}
			time.Sleep(11 * time.Second)
		}
		if !fail(gateway.ErrNotAnswered) || !fail(errors.New("reset")) {
			t.Fatal("two are not three")
		}
		time.Sleep(9 * time.Second)
		if fail(gateway.ErrUnreachable) {
			t.Error("three within the time, and it is not passed over")
		}
	})
}

// TestTrial: one request tries the server again, and one that may be sent
// elsewhere goes first.
func TestTrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(&logBuffer{}, Config{MaxFails: 1, FailTimeout: 10 * time.Second, Servers: weighted(1, 1)})
		a := g.servers[0]
		a.active++
		g.done(a, gateway.ErrTimeout)
		safe, unsafe := &want{again: true}, &want{}
		if s := g.lendNow(safe); s == a {
			t.Error("it is tried too early")
		}
		time.Sleep(10 * time.Second)
		if s := g.lendNow(unsafe); s == a {
			t.Error("a request that cannot be repeated tries it")
		}
		if s := g.lendNow(safe); s != a {
			t.Error("nobody tries it")
		}
		if s := g.lendNow(safe); s == a {
			t.Error("two try it")
		}
		time.Sleep(10*time.Second + patience)
		if s := g.lendNow(unsafe); s != a {
			t.Error("where there are only such, one must")
		}
	})
}

// TestPassiveCancel: a server that cancels a request over HTTP/2, as those of gRPC
// do at its deadline, has not failed; one that breaks it off has.
func TestPassiveCancel(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	_, err := s.Client().Get(s.URL)
	var reset streamError
	if !errors.As(err, &reset) || reset.Code != 2 { // INTERNAL_ERROR
		t.Fatalf("%v is no reset that we know", err)
	}
	if !blames(err) {
		t.Error("it broke off, and has not failed")
	}
	if reset.Code = streamCancel; blames(fmt.Errorf("http2: %w", reset)) {
		t.Error("it cancelled, and has failed")
	}
}
