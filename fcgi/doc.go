// Package fcgi speaks FastCGI 1.0, both sides.
//
// # An app
//
// Server serves any http.Handler:
//
//	s := &fcgi.Server{Handler: handler}
//	err := s.Serve(listener)
//
// A connection (conn.go) is read by one goroutine, which begins requests, feeds
// their streams and aborts them; each request (request.go, response.go) runs in a goroutine
// of its own. Connections are kept where the peer wants it and carry as many
// requests at a time as it begins. A response leaves in one write: its records
// are made in place, around what the handler writes, and joined with those of
// other requests that end at the same moment (output.go). All three roles are
// served: gateway.FrontOf(r.Context()) tells the handler which it is asked for.
//
// A request's context is done when the front server aborts it or the connection
// is lost; so long as a handler leaves much input unread that may show only
// after a moment, since the connection is read no further (pipe.go). A response
// that is cut short ends its connection, unless others are on it.
//
// A program that a web server starts finds its socket on descriptor 0: see
// Inherited and AllowFromEnviron.
//
// # A front server
//
// Client sends requests to a program; it is a gateway.RoundTripper. It keeps
// connections to programs that can be asked how many they take, asks them
// (learn.go), and shares one connection among requests where they allow it
// (conns.go). A request on a connection of its own is read by whoever reads the
// response (exchange.go); a shared connection has a reader of its own (mux.go,
// stream.go). FastCGI knows no window: what arrives for a stream that nobody
// reads goes to memory, then to a file in os.TempDir, up to 1 GiB, and holds up
// no other (pipe.go).
//
// # The wire
//
// wire.go has records and name-value pairs, for programs that look at the
// protocol itself. Whatever breaks its rules ends the connection, and says so:
// a version, a reserved byte, a pair that is longer than what there is of it, a
// record for a request that was never begun. (The specification has an app
// ignore the last; but who sends it has lost count, and what belongs to whom
// is a guess from then on.)
//
// Sections in comments are those of the FastCGI Specification, version 1.0.
package fcgi
