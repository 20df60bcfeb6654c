// Package h3 serves HTTP/3 on a UDP socket, by quic-go.
//
// What package net/http does for HTTP/2 is put around quic-go's server here: an
// end that lets running requests finish (Shutdown), bounds for clients that
// never finish a handshake, and a count of connections.
//
// 0-RTT is off: what is sent in it can be played again by whoever saw it, and
// an app cannot tell.
package h3

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// Server serves one socket. Handler and Config are required.
type Server struct {
	Handler     http.Handler
	Config      *tls.Config   // without NextProtos
	MaxHeader   int           // bytes of a request's head; 0: net/http's default
	MaxStreams  int           // requests of one connection at a time; 0: 100
	Timeout     time.Duration // of a handshake, for each of its round trips; 0: 5 s
	IdleTimeout time.Duration // of a connection without requests; 0: 30 s
	Log         *slog.Logger  // nil: nobody cares

	// Count is called with 1 for each connection and -1 at its end; may be nil.
	Count func(int)

	// Admit is called with the address of each client whose handshake is over;
	// it returns what is called at the connection's end, or nil: then the
	// connection is closed. May be nil: everyone is admitted.
	Admit func(net.Addr) (leave func())

	mu        sync.Mutex
	conn      *net.UDPConn
	transport *quic.Transport
	listener  *quic.Listener
	inner     *http3.Server
	conns     map[*quic.Conn]bool
	closed    bool

	active   atomic.Int64  // requests
	changed  chan struct{} // holds a token when active has become 0
	shaking  atomic.Int64  // handshakes
	finished chan struct{} // closed when Serve has returned
}

// suspicious is how many handshakes are under way before clients have to prove
// that their addresses are theirs, which costs them a round trip.
const suspicious = 64

// maxShaking is how many there are at most; more are turned away.
const maxShaking = 1024

// Linger is how long Shutdown leaves connections open after the last request:
// the end of its answer is on its way, or lost and to be sent again, and a
// client may have sent another one before it learnt of the end. A client that
// closes its connection is not waited for.
const Linger = time.Second

// idLength is that of the connection ids that we choose; see refuseNew.
const idLength = 6

var errBusy = errors.New("too many handshakes are under way")

// Start takes the socket over, and is to be called once. It is the Server's
// from then on, also if there is an error.
func (s *Server) Start(conn *net.UDPConn) error {
	s.changed, s.finished, s.conns = make(chan struct{}, 1), make(chan struct{}), map[*quic.Conn]bool{}
	takeNew(conn)
	s.conn = conn
	s.transport = &quic.Transport{
		Conn:                conn,
		ConnectionIDLength:  idLength,
		VerifySourceAddress: func(net.Addr) bool { return s.shaking.Load() > suspicious },
		ConnContext: func(ctx context.Context, _ *quic.ClientInfo) (context.Context, error) {
			if s.shaking.Add(1) > maxShaking {
				s.shaking.Add(-1)
				return nil, errBusy
			}
			done := sync.OnceFunc(func() { s.shaking.Add(-1) })
			context.AfterFunc(ctx, done) // a handshake that fails
			return context.WithValue(ctx, shaken{}, done), nil
		},
	}
	config := s.Config.Clone()
	config.NextProtos = []string{http3.NextProtoH3}
	var err error
	s.listener, err = s.transport.Listen(http3.ConfigureTLSConfig(config), &quic.Config{
		HandshakeIdleTimeout: s.Timeout,
		MaxIdleTimeout:       s.IdleTimeout,
		MaxIncomingStreams:   int64(s.MaxStreams),
	})
	if err != nil {
		_ = s.transport.Close()
		_ = conn.Close()
		return err
	}
	s.inner = &http3.Server{
		Handler:        http.HandlerFunc(s.serve),
		MaxHeaderBytes: s.MaxHeader,
		IdleTimeout:    s.IdleTimeout,
		Logger:         slog.New(slog.DiscardHandler),
		ConnContext: func(ctx context.Context, c *quic.Conn) context.Context {
			if done, ok := c.Context().Value(shaken{}).(func()); ok {
				done()
			}
			s.enter(c)
			return ctx
		},
	}
	if s.Log != nil {
		s.inner.Logger = s.Log
	}
	return nil
}

// shaken is the key of what is to be called when a handshake is over.
type shaken struct{}

func (s *Server) enter(c *quic.Conn) {
	end := func() {}
	if s.Admit != nil {
		if end = s.Admit(c.RemoteAddr()); end == nil {
			_ = c.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeExcessiveLoad), "too many connections")
			return
		}
	}
	s.mu.Lock()
	s.conns[c] = true
	s.mu.Unlock()
	if s.Count != nil {
		s.Count(1)
	}
	context.AfterFunc(c.Context(), func() { s.leave(c); end() }) // at last: it may be at its end already
}

func (s *Server) leave(c *quic.Conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	if s.Count != nil {
		s.Count(-1)
	}
}

// Serve serves until Shutdown or Close.
func (s *Server) Serve() error {
	defer close(s.finished)
	err := s.inner.ServeListener(s.listener)
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, quic.ErrServerClosed) {
		return nil
	}
	return err
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.active.Add(1)
	defer func() {
		if s.active.Add(-1) == 0 {
			select {
			case s.changed <- struct{}{}:
			default:
			}
		}
	}()
	s.Handler.ServeHTTP(w, r)
}

// Shutdown takes no new connection, tells the clients of those that there are
// (GOAWAY), and closes them when no request runs any more; or when ctx is done:
// then the error says so. The socket is closed when it returns.
func (s *Server) Shutdown(ctx context.Context) error {
	if refuseNew(s.conn) {
		s.awaitHandshakes(ctx)
	}
	go s.listener.Close() // which ends handshakes; who comes now gets no answer, and tries again
	over, cancel := context.WithCancel(ctx)
	defer cancel()
	left := make(chan struct{})
	go func() {
		_ = s.inner.Shutdown(over) // until each client has closed its connection
		close(left)
	}()
	linger := time.NewTimer(Linger)
	defer linger.Stop()
	for {
		select {
		case <-left:
			return s.Close()
		case <-ctx.Done():
			return errors.Join(ctx.Err(), s.Close())
		case <-s.changed:
			linger.Reset(Linger)
		case <-linger.C:
			if s.active.Load() == 0 {
				return s.Close()
			}
		}
	}
}

// handshakeGrace is how long Shutdown waits for handshakes.
const handshakeGrace = 500 * time.Millisecond

// awaitHandshakes waits until those that are under way are over.
func (s *Server) awaitHandshakes(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, handshakeGrace)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for s.shaking.Load() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Close closes all connections and the socket at once.
func (s *Server) Close() error {
	s.mu.Lock()
	conns, closed := slices.Collect(maps.Keys(s.conns)), s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return nil
	}
	go s.listener.Close()
	go s.inner.Close() // which waits for handlers: they may be stuck
	var farewells sync.WaitGroup
	for _, c := range conns {
		farewells.Go(func() { _ = c.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "") })
	}
	farewells.Wait() // the transport would close them without a word
	return errors.Join(s.transport.Close(), s.transport.Conn.Close())
}
