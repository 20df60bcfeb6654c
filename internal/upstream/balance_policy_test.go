package upstream

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// weighted are servers a, b, c … of the weights.
func weighted(weights ...int) (all []Server) {
	for i, w := range weights {
		name := string(rune('a' + i))
		all = append(all, Server{Address: name, RoundTripper: &named{name: name}, Weight: w})
	}
	return all
}

// turns are the servers that n requests get, one after the other.
func turns(g *Group, n int) string {
	var b strings.Builder
	for range n {
		s := g.lendNow(&want{})
		b.WriteString(s.address)
		g.release(s)
	}
	return b.String()
}

// TestTurns: round robin goes by the weights, smoothly; and requests that come
// one after the other have the same turns with least busy.
func TestTurns(t *testing.T) {
	for _, tt := range []struct {
		weights []int
		want    string
	}{
		{[]int{1}, "aaa"},
		{[]int{1, 1, 1}, "abcabcabc"},
		{[]int{5, 1, 1}, "aabacaaaabacaa"},
		{[]int{1, 2}, "babbab"},
		{[]int{3, 2, 1}, "abacba"},
	} {
		for _, policy := range []Balance{RoundRobin, LeastBusy} {
			g := group(&logBuffer{}, Config{Balance: policy, Servers: weighted(tt.weights...)})
			if got := turns(g, len(tt.want)); got != tt.want {
				t.Errorf("%s %v: %s, want %s", policy, tt.weights, got, tt.want)
			}
		}
	}
}

// TestTurnsCount: whatever comes and goes, each whole round has the weights.
func TestTurnsCount(t *testing.T) {
	g := group(&logBuffer{}, Config{Balance: RoundRobin, Servers: weighted(7, 3, 10)})
	turns(g, 13)
	g.DrainServer("b", true)
	turns(g, 34)
	g.DrainServer("b", false)
	got := turns(g, 200)
	for name, want := range map[string]int{"a": 70, "b": 30, "c": 100} {
		if n := strings.Count(got, name); n < want-2 || n > want+2 {
			t.Errorf("%s: %d of 200, want about %d", name, n, want)
		}
	}
}

// TestLeastBusy: requests that run spread by the weights, to the request.
func TestLeastBusy(t *testing.T) {
	g := group(&logBuffer{}, Config{Servers: weighted(1, 2, 5)})
	var held []*server
	for range 80 {
		held = append(held, g.lendNow(&want{}))
	}
	for i, want := range []int{10, 20, 50} {
		if n := g.servers[i].active; n != want {
			t.Errorf("%s has %d, want %d", g.servers[i].address, n, want)
		}
	}
	// One whose requests end gets the next ones, until it has its share again.
	for _, s := range held {
		if s.address == "b" {
			g.release(s)
		}
	}
	for range 20 {
		if s := g.lendNow(&want{}); s.address != "b" {
			t.Fatalf("%s got it", s.address)
		}
	}
}

// TestLeastBusyPassesTheSlow: one that is slow gets less, without a word.
func TestLeastBusyPassesTheSlow(t *testing.T) {
	g := group(&logBuffer{}, Config{Servers: weighted(1, 1, 1)})
	slow := 0
	for range 100 {
		s := g.lendNow(&want{})
		if s.address == "a" {
			slow++ // and does not end
			continue
		}
		g.release(s)
	}
	if slow != 1 {
		t.Errorf("%d requests wait at the slow one, want 1", slow)
	}
}

// TestRandomTwo, with a seed: each has its part, as the weights say, and of two
// the less busy gets it.
func TestRandomTwo(t *testing.T) {
	for _, weights := range [][]int{{1, 1, 1, 1}, {1, 2, 3, 4}} {
		g := group(&logBuffer{}, Config{Balance: RandomTwo, Seed: 7, Servers: weighted(weights...)})
		got := turns(g, 10000)
		all := 0
		for _, w := range weights {
			all += w
		}
		for i, w := range weights {
			name := string(rune('a' + i))
			// The first of two drawn by weight has the chance of its weight.
			if n, want := float64(strings.Count(got, name)), 10000*float64(w)/float64(all); math.Abs(n-want) > 200 {
				t.Errorf("%v: %s has %v, want about %v", weights, name, n, want)
			}
		}
		if again := turns(group(&logBuffer{}, Config{Balance: RandomTwo, Seed: 7, Servers: weighted(weights...)}), 10000); again != got {
			t.Error("the seed does not decide")
		}
	}
	g := group(&logBuffer{}, Config{Balance: RandomTwo, Seed: 7, Servers: weighted(1, 1)})
	g.servers[0].active = 1
	if got := turns(g, 50); got != strings.Repeat("b", 50) {
		t.Errorf("of two the busier got some: %s", got)
	}
	g = group(&logBuffer{}, Config{Balance: RandomTwo, Seed: 7, Servers: weighted(1, 1, 1, 1, 1, 1, 1, 1)})
	for range 800 {
		g.lendNow(&want{})
	}
	for _, s := range g.servers {
		if s.active < 97 || s.active > 103 {
			t.Errorf("%s has %d of 800", s.address, s.active)
		}
	}
}

// TestBackups have their turn when no other server is up, not when those are
// busy.
func TestBackups(t *testing.T) {
	all := weighted(1, 1, 1)
	all[2].Backup = true
	g := group(&logBuffer{}, Config{MaxConns: 1, Servers: all, Balance: RoundRobin})
	a, b := g.lendNow(&want{}), g.lendNow(&want{})
	if s := g.lendNow(&want{}); s != nil {
		t.Errorf("%s helps out", s.address)
	}
	g.release(a)
	g.release(b)
	g.DrainServer("a", true)
	if got := turns(g, 3); got != "bbb" {
		t.Error(got)
	}
	b.passive.until, g.stale = time.Now().Add(time.Hour), true
	if got := turns(g, 3); got != "ccc" {
		t.Error(got)
	}
	g.DrainServer("c", true)
	if got := turns(g, 3); got != "bbb" { // for want of any other
		t.Error(got)
	}
	b.health.sick, g.stale = true, true
	if _, err := g.lend(context.Background(), &want{}); err != errNone {
		t.Errorf("%v", err)
	}
}

// TestSlowStart: the weight grows with the time, and is whole at its end.
func TestSlowStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(&logBuffer{}, Config{Balance: RoundRobin, SlowStart: 100 * time.Second, Servers: weighted(1, 1)})
		g.mu.Lock()
		g.slowLocked(g.servers[1], time.Now())
		g.mu.Unlock()
		last := 0
		for _, tt := range []struct {
			after    time.Duration
			from, to int // of 100
			state    State
		}{{0, 2, 4, Slow}, {25 * time.Second, 19, 21, Slow}, {50 * time.Second, 32, 34, Slow}, {99 * time.Second, 49, 51, Slow}, {100 * time.Second, 50, 50, Up}} {
			time.Sleep(tt.after - time.Duration(last))
			last = int(tt.after)
			if st := g.Status().Servers[1]; st.State != tt.state {
				t.Errorf("after %v: %s", tt.after, st.State)
			}
			g.servers[0].current, g.servers[1].current = 0, 0
			if n := strings.Count(turns(g, 100), "b"); n < tt.from || n > tt.to {
				t.Errorf("after %v: %d of 100, want %d to %d", tt.after, n, tt.from, tt.to)
			}
		}
	})
}

// TestDrain: nothing more goes there, what it has it keeps.
func TestDrain(t *testing.T) {
	log := &logBuffer{}
	all := weighted(1, 1)
	all[1].Drain = true
	g := group(log, Config{Balance: RoundRobin, Servers: all})
	if got := turns(g, 4); got != "aaaa" {
		t.Error(got)
	}
	held := g.lendNow(&want{})
	if known, active := g.DrainServer("a", true); !known || active != 1 {
		t.Errorf("%v, %d", known, active)
	}
	if known, _ := g.DrainServer("c", true); known {
		t.Error("there is no c")
	}
	g.DrainServer("b", false)
	if got := turns(g, 4); got != "bbbb" {
		t.Error(got)
	}
	st := g.Status().Servers
	if st[0].State != Drained || !st[0].Drained || st[0].Active != 1 || st[1].State != Up || st[1].Drained {
		t.Errorf("%+v", st)
	}
	g.done(held, nil)
	if st := g.Status().Servers; st[0].Active != 0 || st[0].Answered != 1 {
		t.Errorf("%+v", st)
	}
	if fmt.Sprint(g.Addresses()) != "[a b]" || len(log.lines("drained", "server=a")) != 1 || len(log.lines("used again", "server=b")) != 1 {
		t.Errorf("%v\n%s", g.Addresses(), log)
	}
}

// BenchmarkPick is what the choice of a server costs a request.
func BenchmarkPick(b *testing.B) {
	for _, policy := range []Balance{LeastBusy, RoundRobin, Hash, RandomTwo} {
		for _, n := range []int{1, 10, 1000} {
			b.Run(fmt.Sprintf("%s/%d", policy, n), func(b *testing.B) {
				cfg := Config{Balance: policy, Seed: 1}
				for i := range n {
					name := fmt.Sprintf("10.0.%d.%d:80", i/256, i%256)
					cfg.Servers = append(cfg.Servers, Server{Address: name, RoundTripper: &named{name: name}})
				}
				g := group(&logBuffer{}, cfg)
				b.ReportAllocs()
				w := &want{keyed: true}
				for b.Loop() {
					w.key++
					s, err := g.lend(b.Context(), w)
					if err != nil {
						b.Fatal(err)
					}
					g.done(s, nil)
				}
			})
		}
	}
}
