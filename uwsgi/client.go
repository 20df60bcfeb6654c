package uwsgi

// This file is the client: one request over one connection.

import (
	"context"
	"net"
	"strconv"
	"time"

	"millrace/gateway"
)

// Client sends requests to one uwsgi server, each over a connection of its own.
// Its fields must not change once it is in use.
type Client struct {
	Address string                                      // "host:port" or "unix:/path"
	Dial    func(ctx context.Context) (net.Conn, error) // nil: gateway.Dial of Address

	ConnectTimeout time.Duration // of gateway.Dial; 0: 10 s
	Timeout        time.Duration // without a byte from the server, or room for one to it; 0: 60 s
	MaxHead        int           // bytes of a response's head; 0: gateway.DefaultMaxHead

	// Modifier1 and Modifier2 say which of uWSGI's plugins gets the request: 0
	// and 0 is the one for Python, 5 and 0 for Perl, 7 and 0 for Ruby, 14 and 0
	// for PHP.
	Modifier1, Modifier2 uint8
}

var _ gateway.RoundTripper = (*Client)(nil)

// RoundTrip sends one request; see gateway.Exchange. CONTENT_LENGTH is the
// request's ContentLength. Parameters that do not fit the protocol
// (AppendRequest) are an error that wraps gateway.ErrTooLarge.
func (c *Client) RoundTrip(ctx context.Context, req *gateway.Request) (*gateway.Response, error) {
	e := gateway.Exchange{
		Protocol:       "uwsgi",
		Address:        c.Address,
		Dial:           c.Dial,
		ConnectTimeout: c.ConnectTimeout,
		Timeout:        c.Timeout,
		MaxHead:        c.MaxHead,
		Encode:         c.encode,
	}
	return e.RoundTrip(ctx, req)
}

// encode has the server read exactly the body that follows.
func (c *Client) encode(b []byte, req *gateway.Request) ([]byte, error) {
	params := req.Params
	have, ok := gateway.Lookup(params, "CONTENT_LENGTH")
	if want := strconv.FormatInt(req.ContentLength, 10); have != want && (req.ContentLength > 0 || ok && have != "") {
		params = gateway.Set(append([]gateway.Param(nil), params...), "CONTENT_LENGTH", want)
	}
	return AppendRequest(b, c.Modifier1, c.Modifier2, params)
}
