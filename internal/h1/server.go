// Package h1 is a server of HTTP/1.0 and HTTP/1.1: its own loop, with the
// types of net/http at its upper end.
//
// # The life of a request
//
//	Serve → conn.serve → await → readHead → parse → Handler → finish → await …
//	             ↑                                                       │
//	           poller ←──────────── park: no goroutine, no buffer ←──────┘
//
// A connection's goroutine waits a moment for the next request. When none
// comes, the connection is parked: its buffer goes back, its goroutine ends,
// and the poller, one goroutine over an epoll set, starts another one when the
// next byte is there (park_linux.go). The same set tells of clients that leave
// while their request runs: a request's context costs neither a goroutine nor
// a channel that nobody asked for (context.go, watch.go). Elsewhere, and for
// connections that are no sockets, the goroutine stays, and another one reads
// ahead.
//
// A head is copied once, into a string of which all of the request's strings
// are parts (head.go); a response is laid out in one buffer, so that it leaves
// in one system call (encode.go), or by sendfile.
//
// # What is refused
//
// RFC 9112 to the letter, where leniency has let requests through that two
// servers read in two ways: a bare LF, a folded line, space around a name, two
// lengths, a length beside chunks, bytes that belong in no name, value, target
// or host, chunks that are not quite. Each is answered by its status, and the
// connection closes, so that the answer still arrives. docs of each rule are at
// its place; the tables are in testdata.
//
// # The end
//
// Shutdown has each connection's next response say that it is the last,
// and closes those that wait. It is called after whoever owns the server has
// waited for requests that are on their way.
//
// What it does not do: HTTP/2 (net/http does), TLS but for Request.TLS (a
// *tls.Conn may be served), trailers (they are read and dropped), a limit of
// the time or rate of a body (package limit has it), renewing write deadlines
// (package listen has them).
package h1

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Server serves HTTP/1.x. Its fields are set before it is used.
type Server struct {
	Handler http.Handler // required

	// HeaderTimeout is how long a request's head may take from its first byte,
	// on a new connection since that was accepted; a TLS handshake as well. 0:
	// as long as it likes.
	HeaderTimeout time.Duration

	// IdleTimeout is how long a connection is kept without a request. 0: for
	// ever.
	IdleTimeout time.Duration

	// WriteTimeout is how long one write may take. 0: no limit; connections of
	// package listen have their own.
	WriteTimeout time.Duration

	// MaxHeader is how many bytes a head may have. 0: 64 KiB.
	MaxHeader int

	// ParkAfter is how long an idle connection keeps its goroutine and its
	// buffer. 0: 100 ms. Negative: always.
	ParkAfter time.Duration

	// Log is told of panics and of handlers' mistakes; of refused requests at
	// the level Debug. nil: nobody is.
	Log *slog.Logger

	buffers  buffers
	clock    clock
	draining atomic.Bool

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	closed    bool
	gone      chan struct{} // closed when the last connection has ended; nil: nobody waits
	polling   bool          // poll was made, or could not be
	poll      *poller       // nil: there is none
}

const (
	defaultMaxHeader = 64 << 10
	defaultParkAfter = 100 * time.Millisecond
)

func (s *Server) maxHeader() int {
	if s.MaxHeader > 0 {
		return s.MaxHeader
	}
	return defaultMaxHeader
}

func (s *Server) parkAfter() time.Duration {
	if s.ParkAfter > 0 {
		return s.ParkAfter
	}
	return defaultParkAfter
}

func (s *Server) log() *slog.Logger {
	if s.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Log
}

// Serve accepts connections of l and serves them. It closes l, and returns
// http.ErrServerClosed after Shutdown or Close, else the error of Accept.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	if !s.addListener(l) {
		return http.ErrServerClosed
	}
	defer s.removeListener(l)
	delay := time.Duration(0)
	for {
		rwc, err := l.Accept()
		if err != nil {
			if s.draining.Load() {
				return http.ErrServerClosed
			}
			var temporary interface{ Temporary() bool } // out of descriptors, mostly
			if !errors.As(err, &temporary) || !temporary.Temporary() {
				return err
			}
			delay = min(max(2*delay, 5*time.Millisecond), time.Second)
			s.log().Error("cannot accept a connection; trying again", "address", l.Addr().String(), "error", err, "wait", delay)
			time.Sleep(delay)
			continue
		}
		delay = 0
		if c := s.newConn(rwc); c != nil {
			go c.serve()
		}
	}
}

// ServeConn serves a connection that was accepted elsewhere. It returns when
// the connection has ended, was hijacked, or is parked; in every case it is
// the server's. On one whose TLS handshake is not over yet, it makes it.
func (s *Server) ServeConn(rwc net.Conn) {
	if c := s.newConn(rwc); c != nil {
		c.serve()
	}
}

// newConn takes a connection; nil: the server is closed, and so is rwc.
func (s *Server) newConn(rwc net.Conn) *conn {
	c := &conn{srv: s, rwc: rwc, fresh: true, blanks: blanksAtFirst, since: time.Now()}
	c.from, _ = rwc.(io.ReaderFrom)
	c.holds, _ = rwc.(moreWriter)
	c.late, _ = rwc.(lateReader)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		_ = rwc.Close() // nobody has used it
		return nil
	}
	if s.conns == nil {
		s.conns = map[*conn]struct{}{}
	}
	s.conns[c] = struct{}{}
	raw := rawConn(rwc)
	if raw != nil && !s.polling && s.ParkAfter >= 0 {
		s.polling = true
		s.poll = newPoller()
	}
	poll := s.poll
	s.mu.Unlock()
	if raw != nil && poll != nil {
		poll.add(c, raw)
	}
	return c
}

// rawConn finds a connection's descriptor, below what is wrapped around it;
// nil: it has none.
func rawConn(c net.Conn) syscall.RawConn {
	for {
		if s, ok := c.(syscall.Conn); ok {
			raw, err := s.SyscallConn()
			if err != nil {
				return nil
			}
			return raw
		}
		outer, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		c = outer.NetConn()
	}
}

// forget ends what the server knows of a connection.
func (s *Server) forget(c *conn) {
	if c.seat.taken() {
		s.poll.remove(c)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if len(s.conns) == 0 && s.gone != nil {
		close(s.gone)
		s.gone = nil
	}
}

func (s *Server) addListener(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Load() {
		return false
	}
	if s.listeners == nil {
		s.listeners = map[net.Listener]struct{}{}
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Server) removeListener(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

// Shutdown accepts no more, has every response say that it is its
// connection's last, closes connections that have had no request for half a
// second, and returns when all have ended, or ctx is done: then with ctx's
// error, and nothing is cut.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.stopAccepting()
	s.mu.Lock()
	idle := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		idle = append(idle, c)
	}
	var gone chan struct{}
	if len(s.conns) > 0 {
		if s.gone == nil {
			s.gone = make(chan struct{})
		}
		gone = s.gone
	}
	s.mu.Unlock()
	for _, c := range idle {
		if c.phase.CompareAndSwap(parked, busy) {
			s.poll.unpark(c)
			go c.serve() // looks once more
		}
	}
	if gone == nil {
		return errors.Join(err, s.endPoller())
	}
	lingered := time.NewTimer(linger)
	defer lingered.Stop()
	for {
		select {
		case <-gone:
			return errors.Join(err, s.endPoller())
		case <-lingered.C:
			for _, c := range idle { // the others look themselves, within ParkAfter
				if !c.seat.taken() && c.phase.CompareAndSwap(waiting, ended) {
					_ = c.rwc.Close() // its goroutine sees it
				}
			}
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

// Close closes every listener and connection, at once. Handlers that run see
// the end of their request's context.
func (s *Server) Close() error {
	err := s.stopAccepting()
	s.mu.Lock()
	s.closed = true
	all := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		all = append(all, c)
	}
	s.mu.Unlock()
	for _, c := range all {
		c.cut() // first: a handler that sees the end must not answer
		if ex := c.ex.Load(); ex != nil {
			ex.ctx.cancel()
		}
		if c.phase.CompareAndSwap(parked, busy) {
			c.close()
		}
	}
	return errors.Join(err, s.endPoller())
}

func (s *Server) endPoller() error {
	s.mu.Lock()
	poll := s.poll
	s.closed = true // whoever comes now is late
	s.mu.Unlock()
	if poll == nil {
		return nil
	}
	return poll.close()
}

func (s *Server) stopAccepting() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining.Store(true)
	var err error
	for l := range s.listeners {
		if closing := l.Close(); !errors.Is(closing, net.ErrClosed) {
			err = errors.Join(err, closing)
		}
	}
	clear(s.listeners)
	return err
}
