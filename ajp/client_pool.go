package ajp

// A client's connections: how many, and for how long.

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"millrace/gateway"
)

// pool is what a Client has open.
type pool struct {
	mu     sync.Mutex
	turns  chan struct{} // one for each connection in use, if there is a MaxConns
	conns  map[*clientConn]struct{}
	idle   []*clientConn // the last was used last
	sweep  *time.Timer   // closes what is idle for long
	closed bool
}

// clientConn is one connection. Its owner is the pool or one call.
type clientConn struct {
	c     *Client
	nc    net.Conn
	in    packetReader
	used  bool // it has served a request
	since time.Time
	once  sync.Once

	mu    sync.Mutex // a call's sender moves the deadline, too
	until time.Time  // the deadline that nc has
}

var errClosed = errors.New("the client is closed")

// lease returns a connection for one request. fresh: not one that has served
// others.
func (c *Client) lease(ctx context.Context, fresh bool) (*clientConn, error) {
	turns, err := c.pool.begin(c.MaxConns)
	if err != nil {
		return nil, err
	}
	if turns != nil {
		select {
		case turns <- struct{}{}:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: all %d connections are in use", gateway.ErrOverloaded, c.MaxConns)
		}
	}
	for {
		s := c.pool.pop()
		if s == nil {
			break
		}
		if !fresh && s.ready() {
			return s, nil
		}
		s.forget()
	}
	s, err := c.dial(ctx)
	if err != nil {
		c.pool.endTurn()
		return nil, err
	}
	return s, nil
}

// begin makes the pool's channel of turns.
func (p *pool) begin(most int) (turns chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	if most > 0 && p.turns == nil {
		p.turns = make(chan struct{}, most)
	}
	return p.turns, nil
}

// endTurn lets the next request have a connection.
func (p *pool) endTurn() {
	if p.turns != nil {
		<-p.turns
	}
}

func (p *pool) pop() *clientConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	s := p.idle[n-1]
	p.idle = slices.Delete(p.idle, n-1, n)
	return s
}

func (c *Client) dial(ctx context.Context) (*clientConn, error) {
	var nc net.Conn
	var err error
	if c.Dial == nil {
		nc, err = gateway.Dial(ctx, c.Address, c.ConnectTimeout)
	} else if nc, err = c.Dial(ctx); err != nil && !errors.Is(err, gateway.ErrUnreachable) {
		err = fmt.Errorf("%w: %w", gateway.ErrUnreachable, err)
	}
	if err != nil {
		return nil, err
	}
	max, err := packetSize(c.PacketSize)
	if err != nil {
		nc.Close()
		return nil, err
	}
	s := &clientConn{c: c, nc: nc, in: packetReader{r: nc, magic: toFront, max: max}}
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	if c.pool.closed {
		nc.Close()
		return nil, errClosed
	}
	if c.pool.conns == nil {
		c.pool.conns = map[*clientConn]struct{}{}
	}
	c.pool.conns[s] = struct{}{}
	return s, nil
}

// ready reports whether a kept connection can take a request.
func (s *clientConn) ready() bool {
	if !gateway.Alive(s.nc) {
		return false
	}
	timeout := s.c.PingTimeout
	if timeout < 0 || time.Since(s.since) < pingAfter {
		return true
	}
	if timeout == 0 {
		timeout = defaultPingTimeout
	}
	return s.ping(timeout)
}

// extend moves the deadline when less than Timeout is left of it. Setting it
// before each read would cost as much as the read; so it is set for half as
// long again.
func (s *clientConn) extend() {
	timeout := s.timeout()
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.until.Sub(now) >= timeout {
		return
	}
	s.until = now.Add(timeout + timeout/2)
	_ = s.nc.SetDeadline(s.until) // an error shows in the Read
}

func (s *clientConn) timeout() time.Duration {
	if s.c.Timeout == 0 {
		return gateway.DefaultTimeout
	}
	return s.c.Timeout
}

// release gives a connection back that is as good as new.
func (s *clientConn) release() {
	p := &s.c.pool
	most, timeout := s.c.MaxIdle, s.c.IdleTimeout
	if most == 0 {
		most = defaultMaxIdle
	}
	if timeout == 0 {
		timeout = defaultIdleTimeout
	}
	p.mu.Lock()
	if p.closed || len(p.idle) >= most {
		p.mu.Unlock()
		s.close()
		return
	}
	s.since = time.Now()
	p.idle = append(p.idle, s)
	if p.sweep == nil {
		p.sweep = time.AfterFunc(timeout, func() { p.closeIdle(timeout) })
	}
	p.mu.Unlock()
	p.endTurn()
}

// close closes a connection that a call has.
func (s *clientConn) close() {
	s.once.Do(func() {
		s.forget()
		s.c.pool.endTurn()
	})
}

// forget closes a connection that nobody has.
func (s *clientConn) forget() {
	s.nc.Close()
	p := &s.c.pool
	p.mu.Lock()
	delete(p.conns, s)
	p.mu.Unlock()
}

// closeIdle closes what has been idle for timeout.
func (p *pool) closeIdle(timeout time.Duration) {
	p.mu.Lock()
	p.sweep = nil
	now, n := time.Now(), 0
	for n < len(p.idle) && now.Sub(p.idle[n].since) >= timeout {
		n++
	}
	old := slices.Clone(p.idle[:n])
	p.idle = slices.Delete(p.idle, 0, n)
	if len(p.idle) > 0 && !p.closed {
		next := max(timeout-now.Sub(p.idle[0].since), time.Millisecond)
		p.sweep = time.AfterFunc(next, func() { p.closeIdle(timeout) })
	}
	p.mu.Unlock()
	for _, s := range old {
		s.forget()
	}
}

func (p *pool) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.sweep != nil {
		p.sweep.Stop()
	}
	p.idle = nil
	var errs []error
	for s := range p.conns {
		if err := s.nc.Close(); !errors.Is(err, net.ErrClosed) { // its call sees it
			errs = append(errs, err)
		}
	}
	clear(p.conns)
	return errors.Join(errs...)
}
