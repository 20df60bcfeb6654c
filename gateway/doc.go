// Package gateway holds the CGI/1.1 request and response (RFC 3875), which
// every gateway protocol carries in its own encoding: FastCGI (package fcgi),
// SCGI (scgi), uwsgi (uwsgi), AJP (ajp) and CGI itself (cgi).
//
// # Towards a back end
//
// FromHTTP makes a Request, an ordered list of parameters and a body, from an
// HTTP request, after routing has decided which part of the path is the
// script's name and which part is its own to interpret (Split). The client of
// each protocol is a RoundTripper: it sends the Request and returns a Response
// whose head ParseHead has checked. Handler puts it together for a server,
// Transport for an http.Client:
//
//	http.Handle("/", &gateway.Handler{RoundTripper: &fcgi.Client{Address: "127.0.0.1:9000"}})
//
// # Towards a front server
//
// The server of each protocol reads parameters, makes an http.Request of them
// with ToHTTP, and gives it to any http.Handler with a ResponseWriter that
// writes the protocol (a Stream). What cannot be said in an http.Request is in
// its Front: see FrontOf. Conns is the accept loop and the shutdown that they
// share. Oneshot is all of a server, and Exchange all of a client, for the
// protocols that spend a connection on each request and do not frame the
// response: they add their encoding of the parameters.
//
// # What is safe where
//
// The rules that keep a client from forging a parameter are in AppendHTTP and
// ToHTTP, those that keep a back end from forging a response in ParseHead and
// AppHeader, and nowhere else.
//
// The package imports the standard library alone.
package gateway
