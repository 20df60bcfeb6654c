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
// their streams and aborts them; each request (request.go) runs in a goroutine
// of its own. Connections are kept where the peer wants it and carry as many
// requests at a time as it begins. A response leaves in one write: its records
// are made in place, around what the handler writes, and joined with those of
// other requests that end at the same moment (output.go). All three roles are
// served: gateway.FrontOf(r.Context()) tells the handler which it is asked for.
//
// A program that a web server starts finds its socket on descriptor 0: see
// Inherited and AllowFromEnviron.
//
// # A front server
//
// Client sends requests to a program; it is a gateway.RoundTripper. It keeps
// connections to programs that can be asked how many they take, asks them, and
// shares one connection among requests where they allow it (conns.go). A
// request on a connection of its own is read by whoever reads the response
// (exchange.go); a shared one has a reader of its own (mux.go). FastCGI knows
// no window: what arrives for a stream that nobody reads goes to memory, then
// to a file, and holds up no other (pipe.go).
//
// # The wire
//
// wire.go has records and name-value pairs, for programs that look at the
// protocol itself. Whatever breaks its rules ends the connection, and says so:
// a version, a reserved byte, a pair that is longer than what there is of it, a
// record for a request that was never begun.
//
// Sections in comments are those of the FastCGI Specification, version 1.0.
package fcgi
