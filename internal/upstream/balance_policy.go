package upstream

// The policies: which of several servers that could all take a request gets it.
// They cost a look at each server, and no memory.

import (
	"time"
)

// Balance is a policy.
type Balance uint8

const (
	LeastBusy  Balance = iota // fewest requests for its weight; ties by smooth turns
	RoundRobin                // each in its turn, in the measure of its weight
	Hash                      // by a text of the request: see Config.Key
	RandomTwo                 // of two at random the less busy
)

func (b Balance) String() string {
	return [...]string{"least-busy", "round-robin", "hash", "random-two"}[b]
}

// unit is how much a weight of 1 is: slow start goes through fractions of it.
const unit = 256

// choose is the server of a request among those that are free, of which there
// is at least one.
func (g *Group) choose(free []*server, w *want, now time.Time) *server {
	switch {
	case len(free) == 1:
		return free[0]
	case g.cfg.Balance == RoundRobin:
		return g.turn(free, now)
	case g.cfg.Balance == Hash && w.keyed:
		return g.highest(free, w.key, now)
	case g.cfg.Balance == RandomTwo:
		return g.randomTwo(free, now)
	}
	return g.leastBusy(free, now)
}

// weightOf is a server's weight in units, which grows to its own when the
// server has come back.
func (g *Group) weightOf(s *server, now time.Time) int64 {
	whole := int64(s.weight) * unit
	if s.since.IsZero() {
		return whole
	}
	age := now.Sub(s.since)
	if age >= g.cfg.SlowStart {
		s.since = time.Time{}
		return whole
	}
	return max(int64(float64(whole)*float64(age)/float64(g.cfg.SlowStart)), whole/32, 1)
}

// turn is the smooth weighted round robin: each gains its weight, who has the
// most is next and loses what all gained. Weights of 5, 1 and 1 give a a b a c
// a a, equal ones a b c.
func (g *Group) turn(free []*server, now time.Time) *server {
	var best *server
	var all int64
	for _, s := range free {
		weight := g.weightOf(s, now)
		s.current += weight
		all += weight
		if best == nil || s.current > best.current {
			best = s
		}
	}
	best.current -= all
	return best
}

// leastBusy moves those with the fewest requests for their weights to the
// front of free, and gives them turns.
func (g *Group) leastBusy(free []*server, now time.Time) *server {
	ties, weight := 1, g.weightOf(free[0], now)
	for i := 1; i < len(free); i++ {
		s := free[i]
		w := g.weightOf(s, now)
		here, least := int64(s.active)*weight, int64(free[0].active)*w
		switch {
		case here < least:
			free[0], free[i] = s, free[0]
			ties, weight = 1, w
		case here == least:
			free[ties], free[i] = s, free[ties]
			ties++
		}
	}
	if ties == 1 {
		return free[0]
	}
	return g.turn(free[:ties], now)
}

// randomTwo draws two, each with the chance of its weight, and takes the one
// with fewer requests for its weight; the first if there is nothing between
// them.
func (g *Group) randomTwo(free []*server, now time.Time) *server {
	var i, j int
	if g.even && g.settled(now) {
		i, j = g.rand.IntN(len(free)), g.rand.IntN(len(free)-1)
		if j >= i {
			j++
		}
	} else {
		i = g.draw(free, -1, now)
		j = g.draw(free, i, now)
	}
	a, b := free[i], free[j]
	if int64(b.active)*g.weightOf(a, now) < int64(a.active)*g.weightOf(b, now) {
		return b
	}
	return a
}

// draw is one of free, but for the one at but, at random by weight.
func (g *Group) draw(free []*server, but int, now time.Time) int {
	var all int64
	for i, s := range free {
		if i != but {
			all += g.weightOf(s, now)
		}
	}
	left := g.rand.Int64N(all)
	last := 0
	for i, s := range free {
		if i == but {
			continue
		}
		if last = i; left < g.weightOf(s, now) {
			break
		}
		left -= g.weightOf(s, now)
	}
	return last
}

// settled reports whether no server is in its slow start.
func (g *Group) settled(now time.Time) bool { return !now.Before(g.slowUntil) }

// slowLocked begins the slow start of a server that came back.
func (g *Group) slowLocked(s *server, now time.Time) {
	if g.cfg.SlowStart > 0 {
		s.since = now
		g.slowUntil = now.Add(g.cfg.SlowStart)
	}
}
