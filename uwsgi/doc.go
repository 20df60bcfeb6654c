// Package uwsgi speaks the uwsgi protocol, both sides: a Server that puts any
// http.Handler behind a front server's uwsgi_pass, and a Client that sends
// requests to uWSGI or to anything else that speaks it. The protocol is that
// of https://uwsgi-docs.readthedocs.io/en/latest/Protocol.html.
//
// # The protocol
//
// A connection brings one request. A packet comes first: a byte modifier1, the
// packet's size in two bytes, little-endian, a byte modifier2. Both modifiers
// are 0 for a request to a WSGI server, and the packet holds parameters: the
// length of the name in two bytes, little-endian, the name, the value likewise.
// So all parameters together have at most 65535 bytes. The body follows, of as
// many bytes as CONTENT_LENGTH says, none without it. The answer is a head
// and a body without framing, and ends with the connection. Its head begins
// with "HTTP/1.1 200 OK": uWSGI sends that, and Apache's mod_proxy_uwsgi
// understands nothing else.
//
// # Server
//
//	l, err := net.Listen("tcp", "127.0.0.1:3031")
//	...
//	srv := &uwsgi.Server{Handler: mux}
//	err = srv.Serve(l)
//
// A request goes through ParseRequest and gateway.ToHTTP to the handler; what
// the front server said beside it is in gateway.FrontOf. The stock
// uwsgi_params of nginx say all that is needed. When the front server hangs
// up, the request's context is done; gateway.Oneshot says how that is known.
// What breaks the protocol is refused: logged with the peer's address, and the
// connection closed without an answer. That is another modifier (they ask for
// other languages, for files, for uWSGI's own signals and caches), a length
// beyond the packet, a parameter without a name, and more bytes of a body than
// were announced.
//
// # Client
//
// Client is a gateway.RoundTripper. With gateway.Handler it makes an
// http.Handler, with gateway.Transport an http.RoundTripper.
//
//	http.Handle("/", &gateway.Handler{RoundTripper: &uwsgi.Client{Address: "127.0.0.1:3031"}})
//
// uWSGI itself takes only 4096 bytes of parameters unless it is started with
// a larger buffer-size, at most 65535. What exceeds that it logs, and hangs up
// without an answer: gateway.ErrNotAnswered.
//
// # Front servers' defects
//
// nginx and Apache send no more of a request's body once they have begun to
// pass the response on, or read no response before they have sent all of it. A
// handler that answers a large body while it reads it stalls behind them.
//
// # What it does not do
//
// The protocol has no kept connections, no error stream and no roles. It
// cannot say that a response was cut short: see gateway.Oneshot.
package uwsgi
