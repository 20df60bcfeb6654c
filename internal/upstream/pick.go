package upstream

// Which server gets a request: each in its turn, but for those that could not
// be reached and those that have all they may have.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"millrace/gateway"
)

// passOver is how long a server that could not be connected to is left out.
// When none other is left it is tried all the same.
const passOver = 5 * time.Second

// server is one back end; what is not constant is guarded by Group.mu.
type server struct {
	address string
	backend backend

	active    int
	answered  uint64
	failed    uint64
	downUntil time.Time // zero: it could be reached when last tried
}

// errBusy is for a request that found no free server in time.
var errBusy = fmt.Errorf("every server has max_conns requests: %w", gateway.ErrOverloaded)

var errNone = errors.New("the group has no server")

// lend takes a server that is not among tried, waiting for one that is free.
// It is given back by done.
func (g *Group) lend(ctx context.Context, tried []*server) (*server, error) {
	s, wait := g.take(tried, nil)
	if s != nil || wait == nil {
		return s, nil
	}
	timer := time.NewTimer(g.cfg.ConnectTimeout)
	defer timer.Stop()
	for {
		var err error
		select {
		case <-wait:
			if s, wait = g.take(tried, wait); s != nil || wait == nil {
				return s, nil
			}
			continue
		case <-timer.C:
			err = errBusy
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		g.giveUp(wait)
		return nil, err
	}
}

// take returns the server whose turn it is, or a channel that tells when to
// try again: wait, if it is not nil, then in front of all others. Both are nil
// when every server was tried.
func (g *Group) take(tried []*server, wait chan struct{}) (*server, chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	var down *server // of those that cannot be reached the one to try first
	busy := false
	for i := range g.servers {
		at := (g.next + i) % len(g.servers)
		s := g.servers[at]
		switch {
		case slices.Contains(tried, s):
		case now.Before(s.downUntil):
			if down == nil || s.downUntil.Before(down.downUntil) {
				down = s
			}
		case g.cfg.MaxConns > 0 && s.active >= g.cfg.MaxConns:
			busy = true
		default:
			g.next = at + 1
			if !s.downUntil.IsZero() { // one request finds out for all
				s.downUntil = now.Add(passOver)
			}
			s.active++
			if wait != nil && g.freeLocked(now) { // it was woken for another's
				g.wakeLocked()
			}
			return s, nil
		}
	}
	switch {
	case busy && wait == nil:
		wait = make(chan struct{}, 1)
		g.waiting = append(g.waiting, wait)
	case busy:
		g.waiting = slices.Insert(g.waiting, 0, wait)
	case down != nil:
		down.active++
		return down, nil
	default:
		wait = nil
	}
	return nil, wait
}

// giveUp takes wait out of the queue. If its turn has just come, that is the
// next one's.
func (g *Group) giveUp(wait chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.waiting, wait); i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
		return
	}
	g.wakeLocked()
}

// freeLocked reports whether a server could take a request more.
func (g *Group) freeLocked(now time.Time) bool {
	return slices.ContainsFunc(g.servers, func(s *server) bool { return s.active < g.cfg.MaxConns && !now.Before(s.downUntil) })
}

func (g *Group) wakeLocked() {
	if len(g.waiting) > 0 {
		g.waiting[0] <- struct{}{} // has room: it is in the queue once
		g.waiting = slices.Delete(g.waiting, 0, 1)
	}
}

// done gives a server back; err is why the exchange failed, nil if it did not.
func (g *Group) done(s *server, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s.active--
	if err == nil {
		s.answered++
	} else {
		s.failed++
	}
	g.wakeLocked()
}

// reached says that a server was connected to.
func (g *Group) reached(s *server) {
	g.mu.Lock()
	again := !s.downUntil.IsZero()
	s.downUntil = time.Time{}
	g.mu.Unlock()
	if again {
		g.log.Info("a back end can be reached again", "server", s.address)
	}
}

// unreached says that a server could not be connected to.
func (g *Group) unreached(s *server) (first bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	first = s.downUntil.IsZero()
	s.downUntil = time.Now().Add(passOver)
	return first
}

// send has a server answer the request. The server is given back by done when
// its response has been read. On an error s is the last that was tried, nil if
// there was none.
func (g *Group) send(ctx context.Context, x *exchange) (s *server, resp *gateway.Response, err error) {
	var tried []*server
	for err = errNone; ; {
		next, lendErr := g.lend(ctx, tried)
		if lendErr != nil {
			err = lendErr
		}
		if next == nil {
			return s, nil, err
		}
		s = next
		resp, err = s.backend.roundTrip(ctx, x)
		if err == nil {
			g.reached(s)
			return s, resp, nil
		}
		g.done(s, err)
		if !errors.Is(err, gateway.ErrUnreachable) || ctx.Err() != nil {
			return s, nil, err
		}
		first := g.unreached(s)
		tried = append(tried, s)
		if first && len(tried) < len(g.servers) {
			g.log.Warn("a back end cannot be reached; it is passed over for a while", "server", s.address, "for", passOver, "error", err)
		}
	}
}
