package upstream

import (
	"errors"
	"testing"
	"time"
)

// TestInherit: a group that is made anew knows what the one before it knew of
// the servers that stay.
func TestInherit(t *testing.T) {
	cfg := Config{Balance: RoundRobin, MaxFails: 1, FailTimeout: time.Hour, Health: everySecond, Servers: weighted(1, 1, 1, 1)}
	old := group(&logBuffer{}, cfg)
	turns(old, 4)
	for i, s := range old.servers {
		s.active++
		var err error
		if i == 1 {
			err = errors.New("reset")
		}
		old.done(s, err)
	}
	old.totals.retried = 7
	old.DrainServer("c", true)
	old.DrainServer("d", true)
	old.servers[0].health.sick = true

	cfg.Servers = weighted(2, 1, 1, 1, 1)
	cfg.Servers[3].Drain = true // the configuration has its say
	next := group(&logBuffer{}, cfg)
	next.Inherit(old)
	next.DrainServer("d", false)
	st := next.Status()
	for i, want := range []struct {
		state  State
		failed uint64
	}{{Sick, 0}, {Passed, 1}, {Drained, 0}, {Up, 0}, {Up, 0}} {
		s := st.Servers[i]
		if s.State != want.state || s.Failed != want.failed || s.Answered+s.Failed != map[bool]uint64{true: 1, false: 0}[i < 4] {
			t.Errorf("%+v", s)
		}
	}
	if st.Retried != 7 || st.Servers[0].Weight != 2 {
		t.Errorf("%+v", st)
	}
	// What the old one still answers counts.
	old.servers[0].active++
	old.done(old.servers[0], nil)
	if n := next.Status().Servers[0].Answered; n != 2 {
		t.Errorf("%d answered", n)
	}
	next.DrainServer("b", false)
	next.servers[1].passive.until, next.stale = time.Time{}, true
	if got := turns(next, 3); got != "bde" {
		t.Error(got)
	}
}
