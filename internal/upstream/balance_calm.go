package upstream

import "time"

// calmLocked chooses as choose does, in the usual case: all servers are up, have
// the same weight, and none was tried. Then nothing has to be sorted out, and most
// policies look at one or two servers. nil: it is not the usual case.
func (g *Group) calmLocked(w *want, now time.Time) *server {
	if g.stale {
		g.stale, g.calm = false, g.even
		for _, s := range g.tiers[0] {
			g.calm = g.calm && !s.off() && s.passive.until.IsZero()
		}
	}
	all := g.tiers[0]
	if !g.calm || len(w.tried) > 0 || len(all) < 2 || !g.settled(now) {
		return nil
	}
	var best *server
	turns := false
	switch {
	case g.cfg.Balance == RoundRobin:
		best, turns = all[g.next%len(all)], true
	case g.cfg.Balance == Hash && w.keyed:
		best = all[g.highestOf(w.key)]
	case g.cfg.Balance == RandomTwo:
		best = g.randomTwo(all, now)
	default:
		best, turns = g.leastFrom(all), true
	}
	if best.full() {
		return nil
	}
	if turns {
		g.next = best.place + 1
	}
	return best
}

// leastFrom is the server with the fewest requests, the first of several
// behind the one that was last.
func (g *Group) leastFrom(all []*server) *server {
	var best *server
	for i := range all {
		at := g.next + i
		if at >= len(all) {
			at -= len(all)
		}
		if s := all[at]; s.active == 0 {
			return s
		} else if best == nil || s.active < best.active {
			best = s
		}
	}
	return best
}

// highestOf is the place of the server with the highest score for a key.
func (g *Group) highestOf(key uint64) (best int) {
	var top uint64
	for i, id := range g.ids {
		if score := mix(key ^ id); score > top || score == top && id > g.ids[best] {
			best, top = i, score
		}
	}
	return best
}
