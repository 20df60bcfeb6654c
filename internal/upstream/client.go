package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"millrace/gateway"
	"millrace/internal/h1client"
)

// HTTPClient is a gateway.RoundTripper to one HTTP server, over one connection
// at a time, which is kept where that is safe: see httpBackend. A request's
// body must come with its GetBody.
type HTTPClient struct{ backend *httpBackend }

var (
	_ gateway.RoundTripper = (*HTTPClient)(nil)
	_ io.Closer            = (*HTTPClient)(nil)
)

// clientTimeout is none: whoever has a client ends its requests.
const clientTimeout = 365 * 24 * time.Hour

// NewHTTPClient returns a client whose connections are opened by dial.
func NewHTTPClient(dial func(context.Context) (net.Conn, error)) *HTTPClient {
	return &HTTPClient{&httpBackend{
		address: "unix:program", // an address that no Host header shows
		client:  &h1client.Client{Dial: dial, Timeout: clientTimeout, MaxIdle: 1, IdleTimeout: -1, Alone: true},
	}}
}

// RoundTrip sends one request; see gateway.RoundTripper.
func (c *HTTPClient) RoundTrip(ctx context.Context, req *gateway.Request) (*gateway.Response, error) {
	if req.Role != gateway.Responder {
		return nil, fmt.Errorf("http: the protocol has no role %s: %w", req.Role, gateway.ErrUnsupported)
	}
	if req.ContentLength > 0 && req.GetBody == nil {
		return nil, fmt.Errorf("http: a body that cannot be had twice: %w", gateway.ErrBody)
	}
	r, err := gateway.ToHTTP(ctx, gateway.Incoming{Protocol: "http", Params: req.Params})
	if err != nil {
		return nil, fmt.Errorf("http: %w: %w", gateway.ErrUnsupported, err)
	}
	target, _ := gateway.Split(r, "") // as the parameters say, whatever they are
	resp, err := c.backend.roundTrip(ctx, &exchange{r: r, target: target, mount: target.ScriptName, request: req})
	if err != nil && ctx.Err() == nil && !errors.Is(err, gateway.ErrUnreachable) && !errors.Is(err, gateway.ErrBadResponse) {
		err = fmt.Errorf("http: %w: %w", gateway.ErrNotAnswered, err)
	}
	return resp, err
}

// Close closes the connection that is kept.
func (c *HTTPClient) Close() error { return c.backend.Close() }
