package upstream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"millrace/gateway"
)

// TestMaxConns: nobody gets more than may be, who waits is served in order,
// and not for ever.
func TestMaxConns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(&logBuffer{}, Config{MaxConns: 2, Servers: servers(&named{name: "a"}, &named{name: "b"})})
		var taken []*server
		for range 4 {
			s, err := g.lend(t.Context(), &want{})
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
		if _, err := g.lend(t.Context(), &want{}); !errors.Is(err, gateway.ErrOverloaded) || time.Since(began) != 10*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := g.lend(ctx, &want{}); !errors.Is(err, context.Canceled) {
			t.Errorf("a client that leaves: %v", err)
		}

		var mu sync.Mutex
		var order []int
		var group sync.WaitGroup
		for i := range 5 {
			group.Go(func() {
				s, err := g.lend(t.Context(), &want{})
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
		if st := g.Status(); st.Waiting != 0 || st.Servers[0].Active+st.Servers[1].Active != 0 || st.Late != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// TestQueueBound: the queue holds so many, and the next is refused at once;
// who leaves makes room.
func TestQueueBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(&logBuffer{}, Config{MaxConns: 1, Queue: 2, QueueTimeout: time.Minute, Servers: servers(&named{name: "a"})})
		s, err := g.lend(t.Context(), &want{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, leave := context.WithCancel(t.Context())
		var group sync.WaitGroup
		wait := func(ctx context.Context, result error) {
			group.Go(func() {
				s, err := g.lend(ctx, &want{})
				if !errors.Is(err, result) {
					t.Errorf("%v, want %v", err, result)
				}
				if err == nil {
					g.done(s, nil)
				}
			})
			synctest.Wait()
		}
		wait(ctx, context.Canceled)
		wait(t.Context(), nil)
		began := time.Now()
		if _, err := g.lend(t.Context(), &want{}); !errors.Is(err, gateway.ErrOverloaded) || time.Since(began) != 0 {
			t.Errorf("one too many: %v after %v", err, time.Since(began))
		}
		if st := g.Status(); st.Refused != 1 || st.Waiting != 2 || st.Queue != 2 {
			t.Errorf("%+v", st)
		}
		leave()
		synctest.Wait()
		wait(t.Context(), nil) // in its place
		g.done(s, nil)
		group.Wait()
	})
}

// TestNoOvertaking: a server that came free for who waits cannot be had by who
// comes at that moment.
func TestNoOvertaking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(&logBuffer{}, Config{MaxConns: 1, Servers: servers(&named{name: "a"})})
		s, _ := g.lend(t.Context(), &want{})
		got := make(chan *server, 1)
		go func() {
			s, _ := g.lend(t.Context(), &want{})
			got <- s
		}()
		synctest.Wait()
		g.done(s, nil)
		if s := g.lendNow(&want{}); s != nil {
			t.Error("it was lent to somebody else")
		}
		if s := <-got; s == nil || s.active != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// TestLateLoanIsGivenBack: who leaves at the moment of its turn leaves it to the
// next.
func TestLateLoanIsGivenBack(t *testing.T) {
	g := group(&logBuffer{}, Config{MaxConns: 1, Servers: servers(&named{name: "a"})})
	s := g.lendNow(&want{})
	first, second := &waiter{want: &want{}, lent: make(chan *server, 1)}, &waiter{want: &want{}, lent: make(chan *server, 1)}
	g.waiting = append(g.waiting, first, second)
	g.done(s, nil)
	got := g.giveUp(first, false)
	if got == nil {
		t.Fatal("the first was lent nothing")
	}
	g.release(got)
	select {
	case s := <-second.lent:
		if s.active != 1 {
			t.Errorf("%d", s.active)
		}
	default:
		t.Error("nobody was told of the free server")
	}
}

// TestNewRoomIsForTheFirst: a back end that says that it takes more gives the
// room to who has waited longest, whoever comes first to see it.
func TestNewRoomIsForTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(&logBuffer{}, Config{Servers: servers(&named{name: "a"})})
		room := 1
		g.servers[0].capacity = func() int { return room }
		s := g.lendNow(&want{})
		got := make(chan int, 2)
		lend := func(i int) {
			if s, err := g.lend(t.Context(), &want{}); err != nil || s == nil {
				t.Error(err)
			}
			got <- i
		}
		go lend(1)
		synctest.Wait()
		g.mu.Lock()
		room = 2
		g.mu.Unlock()
		if s := g.lendNow(&want{}); s != nil {
			t.Error("it was lent to somebody else")
		}
		go lend(2)
		synctest.Wait()
		if len(got) != 1 || <-got != 1 {
			t.Error("the first waits, and the second has its room")
		}
		g.done(s, nil)
		<-got
	})
}

// TestLeavesAsItsTurnComes: what was lent to a client that leaves at that moment
// is given back.
func TestLeavesAsItsTurnComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(&logBuffer{}, Config{MaxConns: 1, Servers: servers(&named{name: "a"})})
		s := g.lendNow(&want{})
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() {
			_, err := g.lend(ctx, &want{})
			left <- err
		}()
		synctest.Wait()
		g.mu.Lock()
		leave() // it leaves, and finds the lock held
		s.active--
		g.serveLocked()
		g.mu.Unlock()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if st := g.Status(); st.Servers[0].Active != 0 || st.Waiting != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// TestRetryWaitsForAnother: a request in the queue that has tried the server
// that comes free does not hold up those behind it.
func TestRetryWaitsForAnother(t *testing.T) {
	g := group(&logBuffer{}, Config{MaxConns: 1, Servers: servers(&named{name: "a"}, &named{name: "b"})})
	a, b := g.lendNow(&want{}), g.lendNow(&want{})
	again := &want{}
	again.try(a)
	first, second := &waiter{want: again, lent: make(chan *server, 1)}, &waiter{want: &want{}, lent: make(chan *server, 1)}
	g.waiting = append(g.waiting, first, second)
	g.done(a, nil)
	if len(first.lent) != 0 || len(second.lent) != 1 || <-second.lent != a {
		t.Error("a is not with the second")
	}
	g.done(b, nil)
	if len(first.lent) != 1 || <-first.lent != b {
		t.Error("b is not with the first")
	}
}

// TestQueueEndsWithItsServers: who waits for servers that are taken out of use
// need not wait for the end of its time.
func TestQueueEndsWithItsServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(&logBuffer{}, Config{MaxConns: 1, Servers: servers(&named{name: "a"})})
		s := g.lendNow(&want{})
		failed := make(chan error, 1)
		go func() {
			_, err := g.lend(t.Context(), &want{})
			failed <- err
		}()
		synctest.Wait()
		g.DrainServer("a", true)
		if err := <-failed; !errors.Is(err, errNone) {
			t.Errorf("%v", err)
		}
		g.done(s, nil)
	})
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
				s, err := g.lend(ctx, &want{})
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
