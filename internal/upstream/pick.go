package upstream

// Which servers may have a request. Which of them gets it is balance_policy.go's
// matter, and that it waits if none is free balance_queue.go's.

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"millrace/gateway"
)

// server is one back end; what is not constant is guarded by Group.mu.
type server struct {
	address  string
	entry    *entry // of the configuration
	backend  backend
	capacity func() int // requests at a time that its client has room for, 0: any number; nil: so, always
	limit    int        // max_conns; 0: none
	weight   int
	id       uint64 // of its address, for hashes
	place    int    // in its tier
	token    string // of its address, for the sticky cookie

	active   int
	counts   *counts
	drained  bool
	gone     bool          // its name does not stand for it any more; it leaves when it is idle
	stop     func()        // ends its checks
	checks   chan struct{} // closed when they have ended
	health   health
	passive  passive
	since    time.Time // of slow start: when it came back; zero: it has its whole weight
	current  int64     // of the smooth turns
	answered time.Time // when it last did
}

// counts outlive a server whose group is made anew.
type counts struct{ answered, failed atomic.Uint64 }

// totals are counts of a group's life; see Status.
type totals struct{ refused, late, retried uint64 }

// want is what is asked of pickLocked for one request.
type want struct {
	tried []*server
	key   uint64 // of the hash, if keyed
	keyed bool
	token string // of the sticky cookie
	again bool   // the request may be repeated, should its server fail

	few [4]*server // room for tried
}

func (w *want) try(s *server) {
	if w.tried == nil {
		w.tried = w.few[:0]
	}
	w.tried = append(w.tried, s)
}

// Errors of a request that got no server.
var (
	errBusy = fmt.Errorf("every server has as many requests as it may have, and none came free in time: %w", gateway.ErrOverloaded)
	errFull = fmt.Errorf("every server has as many requests as it may have, and the queue is full: %w", gateway.ErrOverloaded)
	errNone = fmt.Errorf("no server is in use: each is drained or failed its checks: %w", gateway.ErrOverloaded)
)

// off reports whether a server gets nothing, whatever happens.
func (s *server) off() bool { return s.drained || s.gone || s.health.sick }

func (s *server) full() bool {
	most := s.most()
	return most > 0 && s.active >= most
}

// most is how many requests it may have at a time; 0: any number.
func (s *server) most() int {
	if s.capacity != nil {
		if n := s.capacity(); n > 0 && (s.limit == 0 || n < s.limit) {
			return n
		}
	}
	return s.limit
}

// pickLocked chooses a server; it takes nothing. nil and busy: there are some,
// and one will be free. Backups have their turn when no other server is up; and
// those that are passed over, when there is none at all.
func (g *Group) pickLocked(w *want, now time.Time) (s *server, busy bool) {
	if w.token != "" {
		if s := g.tokens[w.token]; s != nil && !s.off() && s.passive.until.IsZero() && !slices.Contains(w.tried, s) && !s.full() {
			return s, false
		}
	}
	if s := g.calmLocked(w, now); s != nil {
		return s, false
	}
	for _, tier := range g.tiers {
		if s, busy := g.pickOfLocked(tier, w, now); s != nil || busy {
			return s, busy
		}
	}
	var down *server // the one to try first
	for _, s := range g.servers {
		if !s.off() && !s.passive.until.IsZero() && (down == nil || s.passive.until.Before(down.passive.until)) && !slices.Contains(w.tried, s) {
			if s.full() {
				busy = true
				continue
			}
			down = s
		}
	}
	return down, busy && down == nil
}

// pickOfLocked is pickLocked among the servers of one tier.
func (g *Group) pickOfLocked(tier []*server, w *want, now time.Time) (s *server, busy bool) {
	free := g.scratch[:0]
	var trial *server
	for _, s := range tier {
		switch {
		case s.off() || len(w.tried) > 0 && slices.Contains(w.tried, s):
		case !s.passive.until.IsZero():
			if s.passive.due(now, w.again) && trial == nil && !s.full() {
				trial = s
			}
		case s.full():
			busy = true
		default:
			free = append(free, s)
		}
	}
	g.scratch = free
	if trial != nil && (len(free) == 0 && !busy || len(w.tried) == 0) {
		g.stale = true
		trial.passive.until = now.Add(g.cfg.FailTimeout) // one request finds out for all
		return trial, false
	}
	if len(free) == 0 {
		return nil, busy
	}
	return g.choose(free, w, now), false
}

// takeLocked lends a server.
func (g *Group) takeLocked(s *server) *server {
	s.active++
	return s
}

// arrangeLocked puts the servers in their tiers anew, after some came or went.
func (g *Group) arrangeLocked() {
	g.tiers = [2][]*server{}
	g.tokens = map[string]*server{}
	g.ids = g.ids[:0]
	g.even, g.stale, g.next = true, true, 0
	for _, s := range g.servers {
		tier := 0
		if s.entry.Backup {
			tier = 1
		} else {
			s.place = len(g.ids)
			g.ids = append(g.ids, s.id)
		}
		g.tiers[tier] = append(g.tiers[tier], s)
		if s.token != "" {
			g.tokens[s.token] = s
		}
		g.even = g.even && s.weight == g.servers[0].weight
	}
}
