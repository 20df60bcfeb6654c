package scgi

// This file is the client: one request over one connection.

import (
	"context"
	"net"
	"time"

	"millrace/gateway"
)

// Client sends requests to one SCGI server, each over a connection of its own.
// Its fields must not change once it is in use.
type Client struct {
	Address string                                      // "host:port" or "unix:/path"
	Dial    func(ctx context.Context) (net.Conn, error) // nil: gateway.Dial of Address

	ConnectTimeout time.Duration // of gateway.Dial; 0: 10 s
	Timeout        time.Duration // without a byte from the server, or room for one to it; 0: 60 s
	MaxHead        int           // bytes of a response's head; 0: gateway.DefaultMaxHead
}

var _ gateway.RoundTripper = (*Client)(nil)

// RoundTrip sends one request; see gateway.Exchange. Parameters that SCGI
// cannot carry (AppendRequest) are an error that wraps gateway.ErrTooLarge.
func (c *Client) RoundTrip(ctx context.Context, req *gateway.Request) (*gateway.Response, error) {
	e := gateway.Exchange{
		Protocol:       "scgi",
		Address:        c.Address,
		Dial:           c.Dial,
		ConnectTimeout: c.ConnectTimeout,
		Timeout:        c.Timeout,
		MaxHead:        c.MaxHead,
		Encode:         encode,
	}
	return e.RoundTrip(ctx, req)
}

func encode(b []byte, req *gateway.Request) ([]byte, error) {
	return AppendRequest(b, req.Params, req.ContentLength)
}
