package fcgi

// A client's connections: how many there are, who gets one, and how long one
// is kept.

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"millrace/gateway"
)

// pool is what a Client has open. An entry of open is a connection, or one
// that is being dialled.
type pool struct {
	mu      sync.Mutex
	idle    []*single // the last was used last
	singles map[*single]struct{}
	muxes   []*mux
	open    int
	dials   int       // how many there were: a connection's number
	silent  []*single // those from which not a byte has come, in the order of their opening
	coming  int       // places on shared connections that dials under way will bring
	failing bool      // the last dial failed: nobody waits for another one's
	queue   []chan struct{}
	queued  int // those in queue, and those taken off who do not run yet
	closed  bool
	limits  limits

	capacity atomic.Int64 // of the limits, and 1; 0: they are not known

	asking *asking
	sweep  *time.Timer // closes what is idle for long
	relief *time.Timer // closes what is idle while others are silent for long
}

const (
	anyAge = -1 // for lease: any connection will do

	// occupied is how long a connection is kept that a process serves alone.
	occupied = time.Second

	// patience is how long a new connection may be silent before we suspect
	// that no process has taken it, and set one free. (A request that really
	// takes so long does not suffer from a connection of its own.)
	patience = 10 * time.Millisecond

	// settled is how long such a connection must have been idle before it gets
	// a request that cannot be repeated. Programs that end after so many
	// requests (php-fpm's pm.max_requests) close it a moment after their last
	// response: by then that shows.
	settled = 10 * time.Millisecond
)

var errClosed = errors.New("the client is closed")

// opened is the number of the last connection.
func (p *pool) opened() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dials
}

// lease returns a connection for one request: one of its own, or one to
// share, whose number is greater than after. replayable says that the request
// may be repeated; looks, that whoever sends it sees before that whether the
// connection has ended.
func (c *Client) lease(ctx context.Context, after int, replayable, looks bool) (*single, *mux, error) {
	if err := c.learn(ctx); err != nil {
		return nil, nil, err
	}
	p := &c.pool
	p.mu.Lock()
	for first := true; ; first = false {
		if p.closed {
			p.mu.Unlock()
			return nil, nil, errClosed
		}
		woken := 0
		if first { // nobody overtakes those who wait
			woken = p.queued - len(p.queue)
		}
		turn := !first || len(p.queue) == 0 && (woken == 0 || p.placesLocked() > woken)
		if turn {
			if m := p.roomLocked(after); m != nil {
				c.passOnLocked()
				p.mu.Unlock()
				return nil, m, nil
			}
			if s, usable := p.idleLocked(after, replayable); s != nil {
				c.passOnLocked()
				p.mu.Unlock()
				if usable && s.extend() == nil && (looks && s.socket != nil || gateway.Alive(s.nc)) {
					return s, nil, nil
				}
				s.discard()
				p.mu.Lock()
				continue
			}
		}
		if c.mayDialLocked(woken) {
			return c.dial(ctx) // unlocks
		}
		if turn {
			if m := p.roomLocked(anyAge); m != nil { // an old one is better than none
				p.mu.Unlock()
				return nil, m, nil
			}
		}
		if err := p.waitLocked(ctx); err != nil {
			p.mu.Unlock()
			return nil, nil, err
		}
	}
}

// placesLocked is how many requests could have a connection at once.
func (p *pool) placesLocked() int {
	n := len(p.idle)
	for _, m := range p.muxes {
		if !m.retired {
			n += m.max - m.taken
		}
	}
	return n
}

// mayDialLocked reports whether a request is to open a connection, when so
// many others are about to.
func (c *Client) mayDialLocked(others int) bool {
	p := &c.pool
	if p.limits.share() && !p.failing && p.coming > len(p.queue) {
		return false // there will be a place on one that is being opened
	}
	most := c.MaxConns
	if most == 0 {
		most = p.limits.maxConns
	}
	return most <= 0 || p.open+others < most
}

// passOnLocked wakes one more of those that wait if it could open a
// connection: whoever was woken for that may have found a place.
func (c *Client) passOnLocked() {
	p := &c.pool
	if len(p.queue) > 0 && c.mayDialLocked(p.queued-len(p.queue)) {
		p.wakeLocked(1)
	}
}

// waitLocked waits until something has become free.
func (p *pool) waitLocked(ctx context.Context) error {
	wake := make(chan struct{})
	p.queue = append(p.queue, wake)
	p.queued++
	p.mu.Unlock()
	var err error
	select {
	case <-wake:
	case <-ctx.Done():
		err = fmt.Errorf("%w: every connection is in use, and as many are open as may be: %w", gateway.ErrOverloaded, ctx.Err())
	}
	p.mu.Lock()
	p.queued--
	if err != nil {
		if i := slices.Index(p.queue, wake); i >= 0 {
			p.queue = slices.Delete(p.queue, i, i+1)
		} else {
			p.wakeLocked(1) // it was our turn, and is the next one's now
		}
	}
	return err
}

// wakeLocked lets up to n of those that wait look again.
func (p *pool) wakeLocked(n int) {
	for ; n > 0 && len(p.queue) > 0; n-- {
		close(p.queue[0])
		p.queue = slices.Delete(p.queue, 0, 1)
	}
}

// roomLocked is the shared connection with the most room, where one more is
// counted; nil: none has any.
func (p *pool) roomLocked(after int) *mux {
	var best *mux
	for _, m := range p.muxes {
		if m.taken < m.max && !m.retired && m.born > after && (best == nil || m.taken < best.taken) {
			best = m
		}
	}
	if best != nil {
		best.taken++
	}
	return best
}

// idleLocked takes an idle connection out; one that is not usable is to be
// closed. That is so even where there is no limit: its process is needed.
func (p *pool) idleLocked(after int, replayable bool) (s *single, usable bool) {
	n := len(p.idle)
	if n == 0 {
		return nil, false
	}
	i := n - 1
	if !replayable {
		i = 0 // the longest idle
	}
	s = p.idle[i]
	p.idle = slices.Delete(p.idle, i, i+1)
	return s, s.born > after && (replayable || time.Since(s.since) >= settled)
}

// dial opens a connection. It is called with the lock, and unlocks.
func (c *Client) dial(ctx context.Context) (*single, *mux, error) {
	p := &c.pool
	p.open++
	p.dials++
	born, l := p.dials, p.limits
	places := l.requests - 1 // beside our own
	p.coming += places
	p.mu.Unlock()

	nc, err := c.connect(ctx)

	p.mu.Lock()
	p.coming -= places
	p.failing = err != nil
	if err == nil && p.closed {
		nc.Close()
		err = errClosed
	}
	if err != nil {
		p.wakeLocked(places)
		p.mu.Unlock()
		p.gone()
		return nil, nil, err
	}
	defer p.mu.Unlock()
	l = p.limits // they may have changed meanwhile: see unshare
	if !l.share() {
		p.wakeLocked(places)
		s := c.newSingle(nc, born, l.keep)
		if p.singles == nil {
			p.singles = map[*single]struct{}{}
		}
		p.singles[s] = struct{}{}
		p.silent = append(p.silent, s)
		return s, nil, nil
	}
	m := newMux(c, nc, born, l.requests)
	m.taken = 1
	p.muxes = append(p.muxes, m)
	p.wakeLocked(places)
	go m.read()
	return nil, m, nil
}

func (c *Client) connect(ctx context.Context) (net.Conn, error) {
	if c.Dial == nil {
		return gateway.Dial(ctx, c.Address, c.ConnectTimeout)
	}
	ctx, cancel := context.WithTimeout(ctx, or(c.ConnectTimeout, gateway.DefaultConnectTimeout))
	defer cancel()
	nc, err := c.Dial(ctx)
	if err != nil && !errors.Is(err, gateway.ErrUnreachable) {
		err = fmt.Errorf("%w: %w", gateway.ErrUnreachable, err)
	}
	return nc, err
}

// gone says that a connection is no more.
func (p *pool) gone() {
	p.mu.Lock()
	p.open--
	p.wakeLocked(1)
	p.mu.Unlock()
}

// heard says that the first byte has come from a connection.
func (p *pool) heard(s *single) {
	p.mu.Lock()
	p.heardLocked(s)
	p.mu.Unlock()
}

func (p *pool) heardLocked(s *single) {
	if i := slices.Index(p.silent, s); i >= 0 {
		p.silent = slices.Delete(p.silent, i, i+1)
	}
}

// put takes a connection back for the next request, or closes it.
func (p *pool) put(s *single) {
	now := time.Now()
	p.mu.Lock()
	keep := s.keep && !p.closed && p.overdueLocked(now) == 0
	if s.c.Reuse == ReuseAuto && now.Sub(s.opened) >= occupied {
		keep = false // let its process look at those who wait
	}
	if keep {
		s.since = now
		p.idle = append(p.idle, s)
		p.wakeLocked(1)
		p.sweepLocked(s.c)
		p.relieveLocked(now)
	}
	p.mu.Unlock()
	if !keep {
		s.discard()
	}
}

// overdueLocked is how many connections have been silent for so long that they
// may be waiting for a process.
func (p *pool) overdueLocked(now time.Time) (n int) {
	for n < len(p.silent) && now.Sub(p.silent[n].opened) >= patience {
		n++
	}
	return n
}

// relieveLocked sees that nothing stays idle while something waits for a
// process.
func (p *pool) relieveLocked(now time.Time) {
	if p.relief != nil || p.closed || len(p.idle) == 0 || len(p.silent) == 0 {
		return
	}
	left := max(patience-now.Sub(p.silent[0].opened), patience/4)
	p.relief = time.AfterFunc(left, p.relieve)
}

// relieve closes as many idle connections as others are overdue.
func (p *pool) relieve() {
	p.mu.Lock()
	now := time.Now()
	p.relief = nil
	n := min(p.overdueLocked(now), len(p.idle))
	free := slices.Clone(p.idle[:n])
	p.idle = slices.Delete(p.idle, 0, n)
	p.relieveLocked(now)
	p.mu.Unlock()
	for _, s := range free {
		s.discard()
	}
}

// idleTimeout is how long an idle connection is kept.
func (c *Client) idleTimeout(shared bool) time.Duration {
	if c.Reuse == ReuseAuto && !shared {
		return or(c.IdleTimeout, occupied)
	}
	return or(c.IdleTimeout, defaultIdleTimeout)
}

// sweepLocked sees that what is idle is looked at when its time may be over.
func (p *pool) sweepLocked(c *Client) {
	if p.sweep == nil && !p.closed {
		p.sweep = time.AfterFunc(c.idleTimeout(p.limits.share()), func() { p.closeIdle(c) })
	}
}

// closeIdle closes what has been idle for too long.
func (p *pool) closeIdle(c *Client) {
	now := time.Now()
	p.mu.Lock()
	p.sweep = nil
	var old []net.Conn
	next := time.Duration(-1)
	over := func(since time.Time, timeout time.Duration) bool {
		left := timeout - now.Sub(since)
		if left > 0 && (next < 0 || left < next) {
			next = left
		}
		return left <= 0
	}
	n := 0 // the oldest come first
	for n < len(p.idle) && over(p.idle[n].since, c.idleTimeout(false)) {
		n++
	}
	singles := slices.Clone(p.idle[:n])
	p.idle = slices.Delete(p.idle, 0, n)
	for _, m := range p.muxes {
		if m.taken == 0 && !m.retired && over(m.since, c.idleTimeout(true)) {
			m.retired = true
			old = append(old, m.nc)
		}
	}
	if next >= 0 && !p.closed {
		p.sweep = time.AfterFunc(next, func() { p.closeIdle(c) })
	}
	p.mu.Unlock()
	for _, s := range singles {
		s.discard()
	}
	for _, nc := range old {
		nc.Close()
	}
}

func (p *pool) close() error {
	p.mu.Lock()
	p.closed = true
	p.wakeLocked(len(p.queue))
	if p.sweep != nil {
		p.sweep.Stop()
	}
	if p.relief != nil {
		p.relief.Stop()
	}
	a := p.asking
	if a != nil {
		a.stop()
	}
	conns := make([]net.Conn, 0, len(p.singles)+len(p.muxes))
	for s := range p.singles {
		conns = append(conns, s.nc)
	}
	for _, m := range p.muxes {
		conns = append(conns, m.nc)
	}
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	var errs []error
	for _, nc := range conns {
		if err := nc.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	for _, s := range idle {
		s.discard()
	}
	if a != nil {
		<-a.done
	}
	return errors.Join(errs...)
}
