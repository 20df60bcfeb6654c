package scgi

// This file is the server: each connection's one request, for a handler.

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"millrace/gateway"
)

// Server answers SCGI requests with a handler. Its fields must not change once
// it serves.
type Server struct {
	Handler     http.Handler        // nil: http.DefaultServeMux
	Log         *slog.Logger        // nil: slog.Default(); a refused connection is logged once, with the peer's address
	MaxParams   int                 // bytes of a request's parameters; 0: 1 MiB
	HeadTimeout time.Duration       // from the opening of a connection to the end of the parameters; 0: 30 s
	Allow       func(net.Addr) bool // who may connect; nil: everyone

	// HalfClose says that clients may end their own direction of the
	// connection after the request and still want the response. Front servers
	// do not, so that otherwise the request's context is done then.
	HalfClose bool

	conns gateway.Conns
}

// Serve accepts connections of l until Shutdown or Close, and then returns
// http.ErrServerClosed. It closes l.
func (s *Server) Serve(l net.Listener) error {
	return s.conns.Serve(l, s.log(), s.serve)
}

// ServeConn serves one connection, in a goroutine of its own, and closes it.
func (s *Server) ServeConn(c net.Conn) { s.conns.ServeConn(c, s.serve) }

// Shutdown accepts no more and waits until the requests that run have ended.
// When ctx is done first, it closes their connections and returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) error { return s.conns.Shutdown(ctx) }

// Close closes all listeners and connections at once.
func (s *Server) Close() error { return s.conns.Close() }

func (s *Server) log() *slog.Logger {
	if s.Log == nil {
		return slog.Default()
	}
	return s.Log
}

func (s *Server) serve(c *gateway.Conn) {
	o := gateway.Oneshot{
		Protocol:    "scgi",
		Form:        gateway.FormCGI,
		Handler:     s.Handler,
		Log:         s.log(),
		Allow:       s.Allow,
		HeadTimeout: s.HeadTimeout,
		HalfClose:   s.HalfClose,
		Parse:       s.parse,
	}
	o.Serve(c)
}

func (s *Server) parse(b []byte) ([]gateway.Param, int, error) {
	limit := s.MaxParams
	if limit == 0 {
		limit = gateway.DefaultMaxParams
	}
	return ParseRequest(b, limit)
}
