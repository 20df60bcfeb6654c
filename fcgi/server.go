package fcgi

// The app's side: a server of any http.Handler.

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"millrace/gateway"
)

// Server answers FastCGI requests by an http.Handler. The zero value of each
// field works. Its methods may be called from any goroutine.
//
// A handler finds what is FastCGI's own by gateway.FrontOf(r.Context()): the
// role, all parameters, a filter's file, and the way to the front server's
// error log. The request's context is done when the front server aborts the
// request or closes the connection. A response's headers Variable-NAME, in an
// authorizer's answer, are the variables that it adds to the request.
type Server struct {
	Handler http.Handler // nil: http.DefaultServeMux
	Log     *slog.Logger // nil: slog.Default()

	// MaxParams is how many bytes the parameters of one request may take, on
	// the wire; beyond it the request is answered with 431. 0: 1 MiB.
	MaxParams int

	// MaxRequests is how many requests may run on one connection at a time;
	// one more is refused. It is what FCGI_MAX_REQS tells. 0: 256.
	MaxRequests int

	// MaxConns is what FCGI_MAX_CONNS tells; it limits nothing. 0: 1024.
	MaxConns int

	// HeadTimeout is the time from a request's first record to the end of its
	// parameters. 0: 30 s; negative: no limit.
	HeadTimeout time.Duration

	// IdleTimeout is how long a kept connection may have no request. 0: no limit.
	IdleTimeout time.Duration

	// Allow says whose connections are taken; nil: everyone's. See
	// AllowFromEnviron.
	Allow func(net.Addr) bool

	// Script says that the server was started for one script, whose front
	// server therefore knows SCRIPT_NAME; see gateway.Incoming.
	Script bool

	conns gateway.Conns
}

func (s *Server) handler() http.Handler {
	if s.Handler != nil {
		return s.Handler
	}
	return http.DefaultServeMux
}

func (s *Server) logger() *slog.Logger {
	if s.Log != nil {
		return s.Log
	}
	return slog.Default()
}

func or[T int | time.Duration](value, otherwise T) T {
	if value == 0 {
		return otherwise
	}
	return value
}

// Serve answers what comes in on l, which it closes, until Shutdown or Close;
// it returns http.ErrServerClosed then.
func (s *Server) Serve(l net.Listener) error { return s.conns.Serve(l, s.logger(), s.serve) }

// ServeConn answers what comes in on one connection, which it closes, in a
// goroutine of its own.
func (s *Server) ServeConn(c net.Conn) { s.conns.ServeConn(c, s.serve) }

// Shutdown accepts no more connections, lets what runs end, and returns when
// every connection is closed; when ctx is done first it cuts them.
func (s *Server) Shutdown(ctx context.Context) error { return s.conns.Shutdown(ctx) }

// Close cuts every connection.
func (s *Server) Close() error { return s.conns.Close() }

// serve is the life of a connection.
func (s *Server) serve(gc *gateway.Conn) {
	if s.Allow != nil && !s.Allow(gc.RemoteAddr()) {
		s.logger().Warn("a FastCGI connection is refused: its address is not among those allowed", "peer", peer(gc))
		return
	}
	c := newConn(s, gc)
	err := c.read()
	gc.Close() // a handler that goes on must not keep the peer waiting
	c.lost()
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, syscall.ECONNRESET): // the peer's way to abort
	default:
		s.logger().Warn("a FastCGI connection is closed", "peer", peer(gc), "why", err)
	}
	c.requests.Wait()
	close(c.stop)
	c.in.free()
}

// peer names the other side of a connection in logs.
func peer(c net.Conn) string {
	if a := c.RemoteAddr(); a != nil && a.String() != "" && a.String() != "@" {
		return a.String()
	}
	if a := c.LocalAddr(); a != nil {
		return "a client of " + a.String() // a Unix socket's has no name
	}
	return "unknown"
}
