package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Conns is the accept loop of every protocol's server and the set of its
// connections. The zero value is ready for use.
type Conns struct {
	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[*Conn]struct{}
	draining  bool
	lingered  bool // idle connections are closed by now
	closed    bool
	running   sync.WaitGroup
}

// Conn is one connection of a Conns.
type Conn struct {
	net.Conn
	set  *Conns
	busy int // requests that run; guarded by set.mu
	ctx  context.Context
	end  context.CancelFunc
}

// Context is done when the connection has ended.
func (c *Conn) Context() context.Context { return c.ctx }

// Linger is how long idle connections stay open when a server shuts down, so
// that a request that is already on its way is answered and not reset.
const Linger = 500 * time.Millisecond

// Serve accepts connections of l and has handle serve each in a goroutine of
// its own; the connection is closed when handle returns. It closes l, and
// returns http.ErrServerClosed after Shutdown or Close, else the error of
// Accept.
func (s *Conns) Serve(l net.Listener, log *slog.Logger, handle func(*Conn)) error {
	defer l.Close()
	if !s.addListener(l) {
		return http.ErrServerClosed
	}
	defer s.removeListener(l)
	delay := time.Duration(0)
	for {
		c, err := l.Accept()
		if err != nil {
			if s.stopping() {
				return http.ErrServerClosed
			}
			var temporary interface{ Temporary() bool } // out of descriptors, mostly
			if !errors.As(err, &temporary) || !temporary.Temporary() {
				return err
			}
			delay = min(max(2*delay, 5*time.Millisecond), time.Second)
			log.Error("cannot accept a connection; trying again", "address", l.Addr().String(), "error", err, "wait", delay)
			time.Sleep(delay)
			continue
		}
		delay = 0
		s.ServeConn(c, handle)
	}
}

// ServeConn has handle serve one connection, in a goroutine of its own.
func (s *Conns) ServeConn(c net.Conn, handle func(*Conn)) {
	ctx, cancel := context.WithCancel(context.Background())
	conn := &Conn{Conn: c, set: s, ctx: ctx, end: cancel}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.draining {
		cancel()
		c.Close()
		return
	}
	if s.conns == nil {
		s.conns = map[*Conn]struct{}{}
	}
	s.conns[conn] = struct{}{}
	s.running.Go(func() {
		defer func() {
			cancel()
			c.Close()
			s.mu.Lock()
			delete(s.conns, conn)
			s.mu.Unlock()
		}()
		handle(conn)
	})
}

// Len is how many connections are open.
func (s *Conns) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Begin says that a request runs on the connection. False: the connection is
// being closed, and no request may start.
func (c *Conn) Begin() bool {
	c.set.mu.Lock()
	defer c.set.mu.Unlock()
	if c.set.closed || c.set.lingered && c.busy == 0 {
		return false
	}
	c.busy++
	return true
}

// End says that a request is over. False: the server shuts down, and no other
// one is running; the connection is to be closed.
func (c *Conn) End() bool {
	c.set.mu.Lock()
	defer c.set.mu.Unlock()
	c.busy--
	return !c.set.draining || c.busy > 0
}

// Draining reports whether the server shuts down: a response that starts now
// is its connection's last.
func (c *Conn) Draining() bool {
	c.set.mu.Lock()
	defer c.set.mu.Unlock()
	return c.set.draining
}

// Shutdown accepts no more, lets what runs end, and returns when every
// connection has. Idle connections stay for Linger. When ctx is done first, it
// closes what is left and returns ctx's error, without waiting for a handler
// that takes no notice of that.
func (s *Conns) Shutdown(ctx context.Context) error {
	err := s.stopAccepting()
	ended := make(chan struct{})
	go func() { s.running.Wait(); close(ended) }()
	timer := time.NewTimer(Linger)
	defer timer.Stop()
	for {
		select {
		case <-ended:
			return err
		case <-timer.C:
			s.closeIdle()
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err, s.Close())
		}
	}
}

// Close closes every listener and connection.
func (s *Conns) Close() error {
	err := s.stopAccepting()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for c := range s.conns {
		err = errors.Join(err, ignoreClosed(c.Conn.Close())) // first: a handler that sees the end must not answer
		c.end()
	}
	return err
}

func (s *Conns) stopAccepting() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	var err error
	for l := range s.listeners {
		err = errors.Join(err, ignoreClosed(l.Close()))
	}
	clear(s.listeners)
	return err
}

func (s *Conns) closeIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lingered = true
	for c := range s.conns {
		if c.busy == 0 {
			_ = c.Conn.Close() // its handle sees it
		}
	}
}

func (s *Conns) addListener(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return false
	}
	if s.listeners == nil {
		s.listeners = map[net.Listener]struct{}{}
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Conns) removeListener(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

func (s *Conns) stopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
