// Package handshake parts the connections of a TLS address by what is spoken
// on them.
//
// A Server accepts, shakes hands, and passes each connection as a *tls.Conn,
// whose handshake is over, to the server of the protocol that was negotiated
// (ALPN): HTTP/2 or HTTP/1.1. Neither sees a client that never gets so far.
// Such clients are held in bounds: a handshake has a time-out, and when too
// many are under way the oldest is given up, which is never that of a client
// that means it, whose handshake takes a round trip or two.
//
// Who speaks plain HTTP is told so, in plain HTTP.
//
// Certificates are the tls.Config's matter; the HTTP servers see to everything
// after the handshake.
package handshake

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Protocol serves connections until it is shut down. *http.Server is one.
type Protocol interface {
	Serve(l net.Listener) error
	Shutdown(ctx context.Context) error
	Close() error
}

// Defaults of a Server.
const (
	DefaultTimeout = 10 * time.Second
	DefaultPending = 1024
)

// Server is to be used for one listener after another, and for none after
// Shutdown. HTTP1, HTTP2 and Config are required.
type Server struct {
	Config       *tls.Config
	HTTP1, HTTP2 Protocol
	Timeout      time.Duration // of a handshake; 0: DefaultTimeout
	Pending      int           // handshakes at a time; 0: DefaultPending
	Log          *slog.Logger  // what clients do wrong, at the level of debugging; nil: nobody cares

	begin sync.Once
	feeds [2]*feed // of HTTP1 and HTTP2

	mu      sync.Mutex
	pending list.List // of net.Conn, the oldest first
	closed  bool
	changed chan struct{} // holds a token when a handshake has ended
}

// Serve passes on who connects until l is closed. Handshakes that are under way
// go on after that, and so do the servers, until Shutdown or Close.
func (s *Server) Serve(l net.Listener) error {
	s.start(l.Addr())
	var pause time.Duration
	for {
		c, err := l.Accept()
		var failed interface{ Temporary() bool } // out of descriptors, as net/http has it
		switch {
		case err == nil:
			pause = 0
			if e := s.enter(c); e != nil { // here, in the order in which they come
				go s.shake(c, e)
			} else {
				_ = c.Close()
			}
		case errors.As(err, &failed) && failed.Temporary():
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			time.Sleep(pause)
		default:
			return err
		}
	}
}

// start has both servers serve what they are fed.
func (s *Server) start(at net.Addr) {
	s.begin.Do(func() {
		s.changed = make(chan struct{}, 1)
		for i, p := range []Protocol{s.HTTP1, s.HTTP2} {
			f := newFeed(at)
			s.feeds[i] = f
			go func() {
				_ = p.Serve(f) // until it is shut down
				_ = f.Close()  // who comes later is turned away
			}()
		}
	})
}

// shake shakes hands with a client, whose place among the pending e is, and
// passes it on.
func (s *Server) shake(c net.Conn, e *list.Element) {
	taken := &taken{Conn: c, leave: func() { s.leave(e) }}
	t := tls.Server(taken, s.Config)
	_ = c.SetDeadline(time.Now().Add(orElse(s.Timeout, DefaultTimeout)))
	err := t.HandshakeContext(context.Background())
	if err != nil {
		s.leave(e)
		s.refuse(c, err)
		return
	}
	_ = c.SetDeadline(time.Time{})
	to := s.feeds[0]
	switch t.ConnectionState().NegotiatedProtocol {
	case "h2":
		to = s.feeds[1]
	case "acme-tls/1": // RFC 8737: the handshake was all
		s.leave(e)
		_ = t.Close()
		return
	}
	taken.passed.Store(true)
	if !to.pass(t) {
		s.leave(e)
	}
}

// taken tells when its server reads from a connection that was passed on: from
// then on it is the server's in every respect. One that is accepted and not
// noted yet would be overlooked by its Shutdown.
type taken struct {
	net.Conn
	passed atomic.Bool
	once   sync.Once
	leave  func()
}

// NetConn is the connection inside: a server that has its idle ones wait in an
// epoll set, or gives a response limits of its own, looks for what it can do.
func (c *taken) NetConn() net.Conn { return c.Conn }

func (c *taken) Read(b []byte) (int, error) {
	if c.passed.Load() {
		c.once.Do(c.leave)
	}
	return c.Conn.Read(b)
}

func (c *taken) Close() error {
	if c.passed.Load() {
		c.once.Do(c.leave)
	}
	return c.Conn.Close()
}

// enter notes a handshake that begins, and gives up the oldest if there are too
// many; nil: there is to be none any more.
func (s *Server) enter(c net.Conn) *list.Element {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	if limit := orElse(s.Pending, DefaultPending); s.pending.Len() >= limit {
		oldest := s.pending.Front()
		s.pending.Remove(oldest)
		_ = oldest.Value.(net.Conn).Close() // its shake ends by that
	}
	return s.pending.PushBack(c)
}

func (s *Server) leave(e *list.Element) {
	s.mu.Lock()
	s.pending.Remove(e) // which does nothing if it was given up
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// refuse closes a connection whose handshake has failed.
func (s *Server) refuse(c net.Conn, err error) {
	defer c.Close()
	var record tls.RecordHeaderError
	if errors.As(err, &record) && record.Conn != nil && isHTTP(record.RecordHeader) {
		_, _ = c.Write([]byte(plainAnswer))
	}
	if s.Log != nil {
		s.Log.Debug("a TLS handshake failed", "peer", c.RemoteAddr().String(), "error", err)
	}
}

// plainAnswer is for who speaks HTTP without TLS.
const plainAnswer = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 55\r\nConnection: close\r\n\r\n" +
	"This is an HTTPS port: write https:// instead of http:\n"

// isHTTP reports whether the first five bytes are of a request.
func isHTTP(head [5]byte) bool {
	text := string(head[:])
	for _, method := range []string{"GET /", "HEAD ", "POST ", "PUT /", "PATCH", "DELET", "OPTIO", "TRACE", "CONNE"} {
		if strings.HasPrefix(text, method) {
			return true
		}
	}
	return false
}

// Shutdown lets handshakes that are under way end, then shuts both servers
// down, as Protocol has it. It is called when no Serve runs any more.
func (s *Server) Shutdown(ctx context.Context) error {
	if s.feeds[0] == nil {
		return nil
	}
	for {
		s.mu.Lock()
		left := s.pending.Len()
		if left == 0 {
			s.closed = true
		}
		s.mu.Unlock()
		if left == 0 {
			break
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), s.Close())
		}
	}
	return s.both(func(p Protocol) error { return p.Shutdown(ctx) })
}

// Close closes every connection.
func (s *Server) Close() error {
	if s.feeds[0] == nil {
		return nil
	}
	s.mu.Lock()
	s.closed = true
	for e := s.pending.Front(); e != nil; e = s.pending.Front() {
		s.pending.Remove(e)
		_ = e.Value.(net.Conn).Close()
	}
	s.mu.Unlock()
	return s.both(Protocol.Close)
}

// both does something to both servers at a time, and waits for the ends of
// their Serves.
func (s *Server) both(do func(Protocol) error) error {
	errs := make(chan error, 2)
	for i, p := range []Protocol{s.HTTP1, s.HTTP2} {
		go func() {
			err := do(p)
			_ = s.feeds[i].Close()
			errs <- err
		}()
	}
	return errors.Join(<-errs, <-errs)
}

func orElse[T comparable](v, other T) T {
	var zero T
	if v == zero {
		return other
	}
	return v
}
