package upstream

// Lending servers to requests, and the queue of those that found none free:
// bounded, first come first served. A server that comes free is handed to the
// first in the queue: nobody who comes later can overtake.

import (
	"context"
	"slices"
	"time"
)

// waiter is a request in the queue. Whoever took it out of the queue sends, once,
// so that who waited can put it back for another request.
type waiter struct {
	want  *want
	lent  chan *server // gets one; nil: there is none to wait for any more
	timer *time.Timer
}

func newWaiter() *waiter {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return &waiter{lent: make(chan *server, 1), timer: timer}
}

// lend takes a server that was not tried, waiting for one that is free. It is
// given back by done.
func (g *Group) lend(ctx context.Context, w *want) (*server, error) {
	g.mu.Lock()
	if len(g.waiting) == 0 {
		s, busy := g.pickLocked(w, time.Now())
		if s != nil {
			g.takeLocked(s)
		}
		if s != nil || !busy {
			g.mu.Unlock()
			return s, g.why(s)
		}
	}
	if g.cfg.Queue > 0 && len(g.waiting) >= g.cfg.Queue {
		g.totals.refused++
		g.mu.Unlock()
		return nil, errFull
	}
	e, ok := g.waiters.Get().(*waiter)
	if !ok {
		e = newWaiter()
	}
	e.want = w
	if len(w.tried) > 0 { // it came before them all
		g.waiting = slices.Insert(g.waiting, 0, e)
	} else {
		g.waiting = append(g.waiting, e)
	}
	g.serveLocked()
	g.mu.Unlock()
	s, err := g.wait(ctx, e)
	e.want = nil
	g.waiters.Put(e)
	return s, err
}

// wait waits for what e is lent.
func (g *Group) wait(ctx context.Context, e *waiter) (*server, error) {
	e.timer.Reset(g.queueTimeout())
	defer e.timer.Stop() // nothing is in its channel then
	var err error
	select {
	case s := <-e.lent:
		return s, g.why(s)
	case <-e.timer.C:
		err = errBusy
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if s := g.giveUp(e, err == errBusy); s != nil {
		g.release(s) // it came at this moment, for nothing
	}
	return nil, err
}

func (g *Group) queueTimeout() time.Duration {
	if g.cfg.QueueTimeout > 0 {
		return g.cfg.QueueTimeout
	}
	return g.cfg.ConnectTimeout
}

func (g *Group) why(s *server) error {
	if s == nil {
		return errNone
	}
	return nil
}

// lendNow takes a server without waiting; nil if none is free.
func (g *Group) lendNow(w *want) *server {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) > 0 {
		return nil
	}
	s, _ := g.pickLocked(w, time.Now())
	if s != nil {
		g.takeLocked(s)
	}
	return s
}

// serveLocked hands what is free to those who wait. Once one that has tried
// nothing finds no server, nobody behind it would.
func (g *Group) serveLocked() {
	if len(g.waiting) == 0 {
		return
	}
	now := time.Now()
	left := g.waiting[:0]
	for i, e := range g.waiting {
		s, busy := g.pickLocked(e.want, now)
		if s == nil && busy {
			left = append(left, e)
			if len(e.want.tried) == 0 {
				left = append(left, g.waiting[i+1:]...)
				break
			}
			continue
		}
		if s != nil {
			g.takeLocked(s)
		}
		e.lent <- s // has room
	}
	clear(g.waiting[len(left):])
	g.waiting = left
}

// giveUp takes e out of the queue; what it returns was lent to it just then.
func (g *Group) giveUp(e *waiter, late bool) *server {
	g.mu.Lock()
	defer g.mu.Unlock()
	if late {
		g.totals.late++
	}
	if i := slices.Index(g.waiting, e); i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
		g.serveLocked() // those behind it may have more choice
		return nil
	}
	return <-e.lent
}

// release gives back a server that was not asked.
func (g *Group) release(s *server) {
	g.mu.Lock()
	s.active--
	left := g.leaveLocked(s)
	g.serveLocked()
	g.mu.Unlock()
	g.closeBackends(left)
}

// done gives a server back; err is why the exchange failed, nil if it did not.
func (g *Group) done(s *server, err error) {
	now := time.Now()
	g.mu.Lock()
	s.active--
	down := false
	if err == nil {
		s.counts.answered.Add(1)
		s.answered = now
	} else {
		s.counts.failed.Add(1)
		down = blames(err) && g.failedLocked(s, err, now)
	}
	left := g.leaveLocked(s)
	g.serveLocked()
	g.mu.Unlock()
	if down {
		g.log.Warn("a back end is passed over for a while", "server", s.address, "for", g.cfg.FailTimeout, "error", err)
	}
	g.closeBackends(left)
}

// leaveLocked takes a server out that is gone and idle.
func (g *Group) leaveLocked(s *server) []*server {
	if !s.gone || s.active > 0 {
		return nil
	}
	i := slices.Index(g.servers, s)
	if i < 0 {
		return nil
	}
	g.servers = slices.Delete(g.servers, i, i+1)
	g.arrangeLocked()
	return []*server{s}
}
