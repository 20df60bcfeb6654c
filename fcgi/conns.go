package fcgi

// A client's connections: how many, how long, and what the program says it can
// take.

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"millrace/gateway"
)

// pool is what a Client has open. An entry of open is a connection, or one
// that is being dialled.
type pool struct {
	mu      sync.Mutex
	idle    []*single // the last was used last
	muxes   []*mux
	singles map[*single]struct{}
	open    int
	waiters []chan struct{}
	closed  bool
	limits  limits
	asking  chan struct{} // closed when the one who asks for the limits is done; nil: nobody does
	sweep   *time.Timer   // closes what is idle for long
}

// limits are what a program can take.
type limits struct {
	known    bool
	until    time.Time // when to ask again; zero: never
	keep     bool
	maxConns int  // 0: not told
	requests int  // that share a connection
	mpx      bool // several may
}

const (
	askTimeout = time.Second      // for the answer to GET_VALUES
	askAgain   = 30 * time.Second // after it did not come
)

var errClosed = errors.New("fcgi: the client is closed")

// lease returns a connection for one request: one of its own, or one to
// share. fresh: not one that has served others.
func (c *Client) lease(ctx context.Context, fresh bool) (*single, *mux, error) {
	if err := c.learn(ctx); err != nil {
		return nil, nil, err
	}
	p := &c.pool
	p.mu.Lock()
	for {
		if p.closed {
			p.mu.Unlock()
			return nil, nil, errClosed
		}
		if m := p.roomLocked(fresh); m != nil {
			p.mu.Unlock()
			return nil, m, nil
		}
		if s := p.popLocked(); s != nil {
			p.mu.Unlock()
			if !fresh && s.extend() == nil && alive(s.nc) {
				return s, nil, nil
			}
			s.close()
			p.mu.Lock()
			continue
		}
		if most := c.maxConnsLocked(); most == 0 || p.open < most {
			p.open++
			l := p.limits
			p.mu.Unlock()
			return c.dial(ctx, l)
		}
		wake := make(chan struct{})
		p.waiters = append(p.waiters, wake)
		p.mu.Unlock()
		select {
		case <-wake:
			p.mu.Lock()
		case <-ctx.Done():
			p.mu.Lock()
			if i := slices.Index(p.waiters, wake); i >= 0 {
				p.waiters = slices.Delete(p.waiters, i, i+1)
			} else {
				p.wakeLocked(1) // it was our turn, and is the next one's now
			}
			p.mu.Unlock()
			return nil, nil, fmt.Errorf("%w: every connection is in use, and as many are open as may be: %w", gateway.ErrOverloaded, ctx.Err())
		}
	}
}

func (c *Client) maxConnsLocked() int {
	if c.MaxConns > 0 {
		return c.MaxConns
	}
	if c.pool.limits.keep {
		return c.pool.limits.maxConns
	}
	return 0
}

// roomLocked is a shared connection with room for one more, which is counted.
func (p *pool) roomLocked(fresh bool) *mux {
	var best *mux
	for _, m := range p.muxes {
		if m.taken < m.max && !m.retired && !(fresh && m.used) && (best == nil || m.taken < best.taken) {
			best = m
		}
	}
	if best != nil {
		best.taken++
	}
	return best
}

func (p *pool) popLocked() *single {
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	s := p.idle[n-1]
	p.idle[n-1] = nil
	p.idle = p.idle[:n-1]
	return s
}

// wakeLocked lets up to n of those that wait look again.
func (p *pool) wakeLocked(n int) {
	for ; n > 0 && len(p.waiters) > 0; n-- {
		close(p.waiters[0])
		p.waiters = slices.Delete(p.waiters, 0, 1)
	}
}

// dial opens a connection that open already counts.
func (c *Client) dial(ctx context.Context, l limits) (*single, *mux, error) {
	nc, err := c.connect(ctx)
	if err != nil {
		c.pool.gone()
		return nil, nil, err
	}
	if !l.mpx {
		return c.newSingle(nc, l.keep), nil, nil
	}
	m := newMux(c, nc, newReader(nc), l.requests)
	m.taken = 1
	c.pool.mu.Lock()
	c.pool.muxes = append(c.pool.muxes, m)
	c.pool.wakeLocked(l.requests - 1)
	c.pool.mu.Unlock()
	go m.read()
	return nil, m, nil
}

func (c *Client) connect(ctx context.Context) (net.Conn, error) {
	if c.Dial == nil {
		return gateway.Dial(ctx, c.Address, c.ConnectTimeout)
	}
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

// put takes a connection back for the next request.
func (p *pool) put(s *single) {
	timeout := or(s.c.IdleTimeout, defaultIdleTimeout)
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		s.close()
		return
	}
	s.since = time.Now()
	p.idle = append(p.idle, s)
	p.wakeLocked(1)
	p.sweepLocked(timeout)
	p.mu.Unlock()
}

// sweepLocked sees that what is idle is looked at when its time may be over.
func (p *pool) sweepLocked(timeout time.Duration) {
	if p.sweep == nil {
		p.sweep = time.AfterFunc(timeout, func() { p.closeIdle(timeout) })
	}
}

// closeIdle closes what has been idle for timeout.
func (p *pool) closeIdle(timeout time.Duration) {
	p.mu.Lock()
	p.sweep = nil
	now := time.Now()
	n := 0
	for n < len(p.idle) && now.Sub(p.idle[n].since) >= timeout {
		n++
	}
	old := slices.Clone(p.idle[:n])
	p.idle = slices.Delete(p.idle, 0, n)
	var still []*mux
	for _, m := range p.muxes {
		if m.taken == 0 && now.Sub(m.since) >= timeout {
			m.retired = true
			still = append(still, m)
		}
	}
	if !p.closed && (len(p.idle) > 0 || len(p.muxes) > len(still)) {
		next := timeout
		if len(p.idle) > 0 {
			next = max(timeout-now.Sub(p.idle[0].since), time.Millisecond)
		}
		p.sweep = time.AfterFunc(next, func() { p.closeIdle(timeout) })
	}
	p.mu.Unlock()
	for _, s := range old {
		s.close()
	}
	for _, m := range still {
		m.nc.Close()
	}
}

func (p *pool) close() error {
	p.mu.Lock()
	p.closed = true
	p.wakeLocked(len(p.waiters))
	if p.sweep != nil {
		p.sweep.Stop()
	}
	var conns []net.Conn
	for s := range p.singles {
		conns = append(conns, s.nc)
	}
	for _, m := range p.muxes {
		conns = append(conns, m.nc)
	}
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, s := range idle {
		s.close()
	}
	var errs []error
	for _, nc := range conns {
		if err := nc.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// learn finds out what the program can take, if that is not known: one asks,
// the others wait.
func (c *Client) learn(ctx context.Context) error {
	p := &c.pool
	p.mu.Lock()
	for {
		l := &p.limits
		if l.known && (l.until.IsZero() || time.Now().Before(l.until)) {
			p.mu.Unlock()
			return nil
		}
		if c.Reuse != ReuseAuto {
			*l = limits{known: true, keep: c.Reuse == ReuseAlways, requests: 1}
			continue
		}
		if p.asking == nil {
			break
		}
		asking := p.asking
		p.mu.Unlock()
		select {
		case <-asking:
		case <-ctx.Done():
			return ctx.Err()
		}
		p.mu.Lock()
	}
	p.asking = make(chan struct{})
	p.open++
	p.mu.Unlock()

	l, nc, in, err := c.ask(ctx)

	p.mu.Lock()
	close(p.asking)
	p.asking = nil
	if err == nil {
		p.limits = l
	}
	p.mu.Unlock()
	switch {
	case nc == nil:
		p.gone()
	case l.mpx:
		m := newMux(c, nc, in, l.requests)
		p.mu.Lock()
		p.muxes = append(p.muxes, m)
		p.sweepLocked(or(c.IdleTimeout, defaultIdleTimeout))
		p.mu.Unlock()
		go m.read()
	default:
		s := c.newSingle(nc, true)
		s.in = in
		s.in.src = s
		p.put(s)
	}
	return err
}

// ask sends GET_VALUES on a new connection. Without an answer there is no
// connection either, and that is no error: the program just does not say.
func (c *Client) ask(ctx context.Context) (limits, net.Conn, reader, error) {
	nc, err := c.connect(ctx)
	if err != nil {
		return limits{}, nil, reader{}, err
	}
	in := newReader(nc)
	values, err := getValues(nc, &in, min(askTimeout, or(c.Timeout, gateway.DefaultTimeout)))
	if err != nil || nc.SetDeadline(time.Time{}) != nil {
		nc.Close()
		return limits{known: true, until: time.Now().Add(askAgain), requests: 1}, nil, reader{}, nil
	}
	l := limits{known: true, keep: true, requests: 1}
	number := func(name string) int {
		value, _ := gateway.Lookup(values, name)
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			return 0
		}
		return n
	}
	l.maxConns = number(nameMaxConns)
	if most := or(c.MaxRequests, defaultMpxRequests); number(nameMpxsConns) > 0 && most > 1 {
		l.requests = most
		if told := number(nameMaxReqs); told > 0 {
			l.requests = min(most, told)
		}
		l.mpx = l.requests > 1
	}
	return l, nc, in, nil
}

// getValues asks a program for all three values.
func getValues(nc net.Conn, in *reader, timeout time.Duration) ([]gateway.Param, error) {
	if err := nc.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	b := make([]byte, HeaderLen, 80)
	for _, name := range [...]string{nameMaxConns, nameMaxReqs, nameMpxsConns} {
		b = AppendPair(b, name, "")
	}
	AppendHeader(b[:0], Header{Type: GetValues, Length: len(b) - HeaderLen})
	if _, err := nc.Write(b); err != nil {
		return nil, err
	}
	h, err := in.next()
	if err != nil {
		return nil, err
	}
	body, err := in.whole(nil)
	if err != nil {
		return nil, err
	}
	if h.Type != GetValuesResult || h.ID != 0 {
		return nil, fmt.Errorf("%w: %v in answer to GET_VALUES", ErrProtocol, h.Type)
	}
	return AppendPairs(nil, body)
}
