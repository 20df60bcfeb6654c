// Package scgi speaks SCGI, version 1, both sides: a Server that puts any
// http.Handler behind a front server's scgi_pass, and a Client that sends
// requests to any SCGI program. The protocol is that of
// https://python.ca/scgi/protocol.txt.
//
// # The protocol
//
// A connection brings one request. The parameters come first, in a netstring:
// their bytes in decimal, a colon, names and values that each end with a NUL,
// a comma. CONTENT_LENGTH is the first of them, SCGI with the value 1 must be
// among them. Then comes the body, of exactly CONTENT_LENGTH bytes. The answer
// is that of a CGI program (RFC 3875, section 6), and ends with the connection.
//
// # Server
//
//	l, err := net.Listen("tcp", "127.0.0.1:4000")
//	...
//	srv := &scgi.Server{Handler: mux}
//	err = srv.Serve(l)
//
// A request goes through ParseRequest and gateway.ToHTTP to the handler; what
// the front server said beside it is in gateway.FrontOf. When the front server
// hangs up, the request's context is done; gateway.Oneshot says how that is
// known. What breaks the protocol is refused: logged with the peer's address,
// and the connection closed without an answer. That is a netstring that is
// none or has more than MaxParams bytes, a CONTENT_LENGTH that is not first,
// comes twice or is no number, a missing SCGI, a name that is empty or without
// a value, and more bytes of a body than were announced.
//
// # Client
//
// Client is a gateway.RoundTripper. With gateway.Handler it makes an
// http.Handler, with gateway.Transport an http.RoundTripper.
//
//	http.Handle("/", &gateway.Handler{RoundTripper: &scgi.Client{Address: "127.0.0.1:4000"}})
//
// # Front servers' defects
//
// nginx 1.22 with "scgi_request_buffering off" announces only the part of the
// body that it has by then, mostly 0 bytes; what follows is more than was
// announced, and refused. Its default, on, is right.
//
// nginx and Apache send no more of a request's body once they have begun to
// pass the response on, or read no response before they have sent all of it. A
// handler that answers a large body while it reads it stalls behind them.
//
// # What it does not do
//
// SCGI has no kept connections, no error stream and no roles. It cannot say
// that a response was cut short: see gateway.Oneshot.
package scgi
