package server

// The one place that knows which package speaks which protocol, on either
// side.

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"

	"millrace/ajp"
	"millrace/fcgi"
	"millrace/gateway"
	"millrace/internal/config"
	"millrace/internal/h1"
	"millrace/scgi"
	"millrace/uwsgi"
)

// protocolServer answers what comes in on a listener, by a handler.
type protocolServer interface {
	Serve(l net.Listener) error
	Shutdown(ctx context.Context) error // lingers by itself, unless it is HTTP's
	Close() error
}

// serverOptions are what all protocolServers are made of.
type serverOptions struct {
	handler http.Handler
	log     *slog.Logger
	allow   func(net.Addr) bool
	ajp     ajpOptions
	server  *config.Server
}

// ajpOptions are AJP's own.
type ajpOptions struct {
	secret     string
	packetSize int
	attributes string // with line feeds between, so that two can be compared
	lighttpd   bool
}

// maxParams is what the parameters of a request from a front server may take,
// if max_header is not more: the front server has its own limit, and adds to
// what the client sent.
const maxParams = 1 << 20

// newServer returns the server of a protocol; nil for an unknown one. Only
// that of HTTP closes idle connections: front servers keep theirs open for the
// next request, and a time-out of ours would race with it.
func newServer(protocol string, o serverOptions) protocolServer {
	params, head := max(maxParams, int(o.server.MaxHeader)), o.server.HeaderTimeout
	switch protocol {
	case "http":
		return &h1.Server{Handler: o.handler, Log: o.log, HeaderTimeout: head, IdleTimeout: o.server.IdleTimeout, MaxHeader: int(o.server.MaxHeader)}
	case "fastcgi":
		return &fcgi.Server{Handler: o.handler, Log: o.log, MaxParams: params, HeadTimeout: head, Allow: o.allow}
	case "scgi":
		return &scgi.Server{Handler: o.handler, Log: o.log, MaxParams: params, HeadTimeout: head, Allow: o.allow}
	case "uwsgi": // whose requests have a limit of their own, as ajp's have
		return &uwsgi.Server{Handler: o.handler, Log: o.log, HeadTimeout: head, Allow: o.allow}
	case "ajp":
		return &ajp.Server{
			Handler: o.handler, Log: o.log, HeadTimeout: head, Allow: o.allow, Secret: o.ajp.secret,
			PacketSize: o.ajp.packetSize, AllowAttributes: names(o.ajp.attributes), Lighttpd: o.ajp.lighttpd,
		}
	}
	return nil
}

// newRoundTripper returns the client of a protocol for one server, to which
// there are maxConns connections at most (0: any number; only FastCGI's counts
// them itself); nil for HTTP, which is no gateway protocol.
func newRoundTripper(address string, u *config.Upstream, maxConns int) gateway.RoundTripper {
	connect, timeout := u.ConnectTimeout, u.Timeout
	switch u.Protocol {
	case "fastcgi":
		return &fcgi.Client{Address: address, ConnectTimeout: connect, Timeout: timeout, MaxConns: maxConns}
	case "scgi":
		return &scgi.Client{Address: address, ConnectTimeout: connect, Timeout: timeout}
	case "uwsgi":
		return &uwsgi.Client{Address: address, ConnectTimeout: connect, Timeout: timeout}
	case "ajp":
		return &ajp.Client{Address: address, ConnectTimeout: connect, Timeout: timeout, Secret: u.Secret, PacketSize: int(u.PacketSize), Attributes: u.Attributes}
	}
	return nil
}

// names are the attributes of ajpOptions.
func names(attributes string) []string {
	if attributes == "" {
		return nil
	}
	return strings.Split(attributes, "\n")
}

// scheme is a protocol's in a URL, as `millrace request` takes it.
func scheme(protocol string) string {
	if protocol == "fastcgi" {
		return "fcgi"
	}
	return protocol
}
