// Package h1client is the client's side of HTTP/1.1 (RFC 9112), for a gateway
// that passes requests on to its back ends.
//
// # A request's life
//
// RoundTrip (client.go) takes a connection that is kept (kept.go) or opens one.
// The head (request.go), and a body that is small, leave in one write; a larger
// body is sent by a goroutine of its own while the response is read (send.go).
// Without such a body there is no goroutine, and no timer: the connection's
// deadline is moved now and then, and the end of the context closes it. On
// Linux the look at a kept connection, the write, the wait and the read are one
// visit to the connection (direct_linux.go).
//
// The head of the response is read strictly (head.go), the body as it is framed
// (body.go, chunked.go). As soon as its last byte is here, the connection is
// kept for the next request, if it is exactly at the end of a message; that can
// be before RoundTrip returns, where head and body came together. The Body knows
// then, and its method Whole gives all of it at once.
//
// # What it will not do
//
// A response that can be read in two ways is none: both lengths, two lengths
// that differ, a transfer coding other than chunked, folded lines, control
// characters, a chunk that is not well-formed. Where a response is clear but its
// sender careless (lines that end with LF alone, white space before a colon, a
// body where there is to be none) it is taken, and the connection closes after
// it, so that nothing of it can pass for the beginning of the next.
//
// A request is sent again only if a kept connection ended before the first byte
// of a response, once, on a new connection, and only if it may be repeated. Others
// get a new connection in the first place: no request is lost because a server
// closed a connection at that very moment.
//
// It follows no redirect, adds no header but Host and those of the framing, and
// decodes no content.
package h1client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"millrace/gateway"
)

// Client sends requests to one server. The zero value of each field but Dial
// works. It is safe for concurrent use.
type Client struct {
	// Dial opens a connection; its error should wrap gateway.ErrUnreachable. A
	// *tls.Conn has made its handshake.
	Dial func(ctx context.Context) (net.Conn, error)

	// Timeout is how long the server may be silent: neither a byte of the
	// response nor room for one of the request. It may take half as long again
	// until that is noticed. What is spent on waiting for the request's Body
	// does not count. 0: gateway.DefaultTimeout.
	Timeout time.Duration

	MaxHead int // bytes of a response's head, and of its trailers; 0: gateway.DefaultMaxHead

	MaxIdle     int           // connections that are kept; 0: 128
	IdleTimeout time.Duration // until a kept one is closed; 0: 30 s; negative: never

	// Alone says that there is to be one connection at a time: the kept one is
	// closed before another is opened. The caller has one request at a time.
	Alone bool

	mu     sync.Mutex
	idle   []*conn // the one that was used last is the last
	timer  *time.Timer
	closed bool
}

const (
	defaultMaxIdle     = 128
	defaultIdleTimeout = 30 * time.Second
)

// Request is a request as it is sent.
type Request struct {
	Method string
	Target string // the request target, as it is written (RFC 9112, section 3.2)
	Host   string

	// Fields adds the other header fields, none of them of the connection or the
	// framing. It may be called more than once.
	Fields func(*Fields)

	// Body, of ContentLength bytes; a negative length is not known, and the body
	// goes in chunks. GetBody returns it anew; nil: it cannot be had again.
	Body          io.Reader
	ContentLength int64
	GetBody       func() (io.Reader, error)

	// Upgrade names the protocols that the connection may change to (RFC 9110,
	// section 7.8); "": none. If the server changes, the response has status
	// 101, its Upgrade header, and an *Upgraded as Body.
	Upgrade string

	// Early takes interim responses as they come, before RoundTrip returns; not
	// 100 and 101. nil: they are dropped.
	Early func(status int, header http.Header)
}

// mayRepeat reports whether the request may be sent a second time though the
// first may have reached the server.
func (r *Request) mayRepeat() bool {
	return gateway.Idempotent(r.Method) && r.again() && r.Upgrade == ""
}

// again reports whether the request can be sent a second time.
func (r *Request) again() bool { return r.Body == nil || r.GetBody != nil }

// anew is the request with its body from the start.
func (r *Request) anew() (*Request, error) {
	if r.Body == nil {
		return r, nil
	}
	body, err := r.GetBody()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", gateway.ErrBody, err)
	}
	next := *r
	next.Body = body
	return &next, nil
}

// mayKeep reports whether the connection may be kept after the response.
// waitress and uWSGI send the body that an app gives to HEAD all the same, and
// the next request would take it for its response.
func (r *Request) mayKeep() bool { return r.Method != http.MethodHead }

// errClosed is for requests to a Client that was closed.
var errClosed = errors.New("h1client: the client is closed")

// RoundTrip sends a request and returns when the head of the response is here.
// The Body of the response is closed by the caller; a Read of it and Close may
// come from two goroutines. The end of ctx ends the exchange, until the body
// has. What it does with the request's Body, and its errors, are as those of
// gateway.RoundTripper.
func (c *Client) RoundTrip(ctx context.Context, req *Request) (*gateway.Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if req.mayRepeat() && req.mayKeep() {
		for k := c.take(); k != nil; k = c.take() {
			resp, err := c.exchange(ctx, k, req)
			var dead *deadError
			isDead := errors.As(err, &dead)
			if err != gateway.ErrStale && !isDead || ctx.Err() != nil {
				return resp, err
			}
			if req, err = req.anew(); err != nil {
				return nil, err
			}
			if isDead {
				break
			}
		}
	} else if c.Alone {
		c.closeIdle()
	} else if req.mayKeep() && req.Upgrade == "" {
		c.makeRoom()
	}
	k, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	return c.exchange(ctx, k, req)
}

// open makes a connection.
func (c *Client) open(ctx context.Context) (*conn, error) {
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return nil, errClosed
	}
	nc, err := c.Dial(ctx)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, err
	}
	return newConn(c, nc), nil
}

func (c *Client) timeout() time.Duration {
	if c.Timeout == 0 {
		return gateway.DefaultTimeout
	}
	return c.Timeout
}

func (c *Client) maxHead() int {
	if c.MaxHead == 0 {
		return gateway.DefaultMaxHead
	}
	return c.MaxHead
}

// deadError is the end of a connection before any byte of a response.
type deadError struct{ err error }

func (e *deadError) Error() string   { return gateway.ErrNotAnswered.Error() + ": " + e.err.Error() }
func (e *deadError) Unwrap() []error { return []error{gateway.ErrNotAnswered, e.err} }
