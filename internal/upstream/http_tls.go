package upstream

// TLS to back ends.

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"time"

	"millrace/gateway"
)

// tlsSessions is how many sessions are kept for one server, so that a new
// connection costs less.
const tlsSessions = 64

// forServer is the configuration for one server. The name that its certificate
// is to have is that of its address, unless the configuration has another.
func forServer(base *tls.Config, address, protocol string) *tls.Config {
	c := base.Clone()
	if c.ServerName == "" && !strings.HasPrefix(address, "unix:") {
		if host, _, err := net.SplitHostPort(address); err == nil {
			c.ServerName = host
		}
	}
	c.NextProtos = []string{protocol}
	c.ClientSessionCache = tls.NewLRUClientSessionCache(tlsSessions)
	return c
}

// dialTLS opens a connection by dial and shakes hands. A failure of either means that
// no request was sent.
func dialTLS(ctx context.Context, dial func(context.Context) (net.Conn, error), c *tls.Config, timeout time.Duration) (net.Conn, error) {
	nc, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	if timeout == 0 {
		timeout = gateway.DefaultConnectTimeout
	}
	within, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	t := tls.Client(nc, c)
	if err := t.HandshakeContext(within); err != nil {
		_ = nc.Close() // it is of no use
		return nil, fmt.Errorf("%w: TLS: %w", gateway.ErrUnreachable, err)
	}
	if got, want := t.ConnectionState().NegotiatedProtocol, c.NextProtos[0]; got != want && (got != "" || want == "h2") {
		_ = nc.Close() // as above
		return nil, fmt.Errorf("%w: TLS: the server does not speak %s (ALPN says %q)", gateway.ErrUnreachable, want, got)
	}
	return t, nil
}
