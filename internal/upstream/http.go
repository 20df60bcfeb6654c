package upstream

// Servers that speak HTTP/1.1, over TLS too.

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"time"

	"millrace/gateway"
	"millrace/internal/h1client"
)

// httpBackend is one HTTP server. Which requests go over kept connections, and
// which are sent again when one turns out dead, is said in package h1client.
type httpBackend struct {
	address string
	client  *h1client.Client
}

var (
	_ backend   = (*httpBackend)(nil)
	_ io.Closer = (*httpBackend)(nil)
)

// newHTTPBackend makes one of a server; secure nil: without TLS.
func newHTTPBackend(address string, secure *tls.Config, connectTimeout, timeout time.Duration) *httpBackend {
	dial := func(ctx context.Context) (net.Conn, error) { return gateway.Dial(ctx, address, connectTimeout) }
	if secure != nil {
		secure = forServer(secure, address, "http/1.1")
		clear := dial
		dial = func(ctx context.Context) (net.Conn, error) { return dialTLS(ctx, clear, secure, connectTimeout) }
	}
	return &httpBackend{address, &h1client.Client{Dial: dial, Timeout: timeout}}
}

func (b *httpBackend) Close() error { return b.client.Close() }

func (b *httpBackend) roundTrip(ctx context.Context, x *exchange) (*gateway.Response, error) {
	req := &h1client.Request{
		Method:  x.r.Method,
		Target:  requestTarget(x),
		Host:    hostOf(x, b.address),
		Fields:  func(f *h1client.Fields) { requestFields(x.r, x.mount, f.Add) },
		Upgrade: x.upgrade,
		Early:   x.early,
	}
	if size := x.size(); size != 0 {
		body, err := x.reader()
		if err != nil {
			return nil, fmt.Errorf("http: %w: %w", gateway.ErrBody, err)
		}
		req.Body, req.ContentLength = body, size
		if x.replayable() {
			req.GetBody = x.reader
		}
	}
	resp, err := b.client.RoundTrip(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("http: %w", err)
	}
	return resp, nil
}
