package ajp

// The front server's side: the client's options, and a request's way to a
// connection and, if that turns out dead, to another.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"millrace/gateway"
)

// Client sends requests to one AJP back end. The zero value of each field but
// Address works; none may change once it is in use. It is safe for concurrent
// use.
type Client struct {
	// Address is "host:port" or "unix:/path". Dial opens a connection to it;
	// nil: gateway.Dial does.
	Address string
	Dial    func(ctx context.Context) (net.Conn, error)

	ConnectTimeout time.Duration // of gateway.Dial; 0: 10 s

	// Timeout is how long the back end may be silent, or take nothing of the
	// request; it may take half as long again. Waiting for the request's Body
	// does not count. 0: 60 s.
	Timeout time.Duration

	// MaxHead is how many bytes the head of a response may have. 0:
	// gateway.DefaultMaxHead; it is never more than a packet.
	MaxHead int

	// PacketSize is how many bytes a packet may have, in both directions, 8192
	// to 65536. 0: 8192. The back end has to be told the same (Tomcat:
	// packetSize).
	PacketSize int

	// Secret goes with each request. "": none does.
	Secret string

	// Attributes names the parameters that are sent as request attributes,
	// under their own names, beside those that the protocol or custom has a
	// place for. All others are left out: a back end refuses requests with
	// attributes that it does not expect (Tomcat:
	// allowedRequestAttributesPattern).
	Attributes []string

	// MaxConns is how many connections may be in use at a time; a request
	// beyond waits for its turn, as long as its context allows. 0: no limit.
	MaxConns int

	// MaxIdle is how many connections are kept without a request. 0: 64;
	// negative: none, each request gets a connection of its own. A kept one
	// pins a thread or process of back ends that have one for each connection.
	MaxIdle int

	// IdleTimeout closes a connection that had no request for so long. 0: 60 s.
	IdleTimeout time.Duration

	// PingTimeout is how long a back end may take to answer CPING, which a
	// connection is asked that had no request for a second. 0: 2 s; negative:
	// nothing is asked.
	PingTimeout time.Duration

	pool    pool
	buffers sync.Pool // of *[]byte
}

const (
	defaultMaxIdle     = 64
	defaultIdleTimeout = time.Minute
	defaultPingTimeout = 2 * time.Second
	pingAfter          = time.Second
)

var _ gateway.RoundTripper = (*Client)(nil)

// Close closes all connections. Requests that run break off.
func (c *Client) Close() error { return c.pool.close() }

// RoundTrip sends one request; see gateway.RoundTripper. Its body is written
// as the back end asks for it, while the response is read. A request is sent a
// second time, on a new connection, only if a kept connection ended before any
// byte of a response came and the request may be repeated, or nothing of it had
// left. Parameters that do not fit a packet are an error that wraps
// gateway.ErrTooLarge. A Read of req.Body that is under way when the response
// ends is not waited for; none begins after it.
func (c *Client) RoundTrip(ctx context.Context, req *gateway.Request) (*gateway.Response, error) {
	out, err := c.outgoing(req)
	if err != nil {
		return nil, c.wrap(err)
	}
	defer c.free(out.packets)
	for fresh := false; ; fresh = true {
		resp, kept, err := c.try(ctx, out, fresh)
		var dead *deadError
		switch {
		case err == nil:
			return resp, nil
		case ctx.Err() != nil:
			return nil, c.wrap(fmt.Errorf("the request was given up: %w", context.Cause(ctx)))
		case !kept || fresh || !errors.As(err, &dead) || !out.mayRepeat(req, dead):
			return nil, c.wrap(err)
		}
		if err := out.rewind(req, dead); err != nil {
			return nil, c.wrap(err)
		}
	}
}

func (c *Client) wrap(err error) error { return fmt.Errorf("ajp: %s: %w", c.Address, err) }

// deadError is the end of a connection before any byte of a response.
type deadError struct {
	err    error
	unsent bool // nothing of the request can have been seen
}

func (e *deadError) Error() string {
	return gateway.ErrNotAnswered.Error() + ": " + e.err.Error()
}

func (e *deadError) Unwrap() []error { return []error{gateway.ErrNotAnswered, e.err} }

// outgoing is a request in its encoding.
type outgoing struct {
	method  string
	packets []byte    // FORWARD_REQUEST, and the body if that is small
	body    io.Reader // else; nil: there is no more
	length  int64     // of body
	max     int       // bytes of a packet
}

// outgoing encodes a request. A body that fits a packet goes with it: so a
// client that is slow to send one holds no connection.
func (c *Client) outgoing(req *gateway.Request) (*outgoing, error) {
	max, err := packetSize(c.PacketSize)
	switch {
	case err != nil:
		return nil, err
	case req.Role != gateway.Responder:
		return nil, fmt.Errorf("%w: the protocol has no role %s", gateway.ErrUnsupported, req.Role)
	case req.Body == nil && req.ContentLength != 0 || req.ContentLength < 0:
		return nil, fmt.Errorf("%w: a length of %d without a body", gateway.ErrBody, req.ContentLength)
	}
	f, err := requestOf(req, c.Attributes, c.Secret)
	if err != nil {
		return nil, err
	}
	out := &outgoing{method: f.method, max: max}
	var fits bool
	if out.packets, fits = f.append(c.buffer(), max); !fits {
		c.free(out.packets)
		return nil, fmt.Errorf("%w: its parameters take more than the %d bytes of a packet", gateway.ErrTooLarge, max)
	}
	switch {
	case req.ContentLength == 0:
	case req.ContentLength > int64(max-chunkHead):
		out.body, out.length = req.Body, req.ContentLength
	default:
		b := make([]byte, req.ContentLength)
		if err := readAll(req.Body, b); err != nil {
			c.free(out.packets)
			return nil, err
		}
		out.packets = appendChunk(out.packets, b)
	}
	return out, nil
}

// readAll fills b with a body that has no more than that.
func readAll(body io.Reader, b []byte) error {
	if n, err := io.ReadFull(body, b); err != nil {
		return bodyError(int64(len(b)-n), err)
	}
	var more [1]byte
	switch n, err := io.ReadFull(body, more[:]); {
	case n > 0:
		return fmt.Errorf("%w: it is longer than its length says", gateway.ErrBody)
	case !errors.Is(err, io.EOF):
		return bodyError(0, err)
	}
	return nil
}

// bodyError is for a body that ends or fails with missing bytes to come.
func bodyError(missing int64, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends %d bytes before its length", gateway.ErrBody, missing)
	}
	return fmt.Errorf("%w: %w", gateway.ErrBody, err)
}

// mayRepeat reports whether the request may be sent again.
func (o *outgoing) mayRepeat(req *gateway.Request, dead *deadError) bool {
	return (dead.unsent || gateway.Idempotent(o.method)) && (o.body == nil || dead.unsent || req.GetBody != nil)
}

// rewind goes back to the start of the body.
func (o *outgoing) rewind(req *gateway.Request, dead *deadError) error {
	if o.body == nil || dead.unsent { // nobody has read it
		return nil
	}
	body, err := req.GetBody()
	if err != nil {
		return fmt.Errorf("%w: %w", gateway.ErrBody, err)
	}
	o.body = body
	return nil
}

// try sends the request once. kept says that the connection had served others.
func (c *Client) try(ctx context.Context, out *outgoing, fresh bool) (resp *gateway.Response, kept bool, err error) {
	s, err := c.lease(ctx, fresh)
	if err != nil {
		return nil, false, err
	}
	kept = s.used
	resp, err = s.roundTrip(ctx, out)
	return resp, kept, err
}

// ping reports whether the back end still serves a connection.
func (s *clientConn) ping(timeout time.Duration) bool { return s.pong(timeout) == nil }

// pong asks for a CPONG, and returns why none came.
func (s *clientConn) pong(timeout time.Duration) error {
	s.until = time.Time{} // the next request's is later than this
	if err := s.nc.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if _, err := s.nc.Write(appendCPing(nil)); err != nil {
		return err
	}
	for {
		payload, ok, err := s.in.take()
		switch {
		case ok && bytes.Equal(payload, []byte{typeCPong}) && s.in.buffered() == 0:
			return nil
		case ok:
			return errNoPong
		case err != nil:
			return fmt.Errorf("%w: %w", gateway.ErrBadResponse, err)
		}
		if err := s.in.fill(); err != nil {
			return err
		}
	}
}

func (c *Client) buffer() []byte {
	if b, ok := c.buffers.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, firstBuffer)
}

func (c *Client) free(b []byte) { c.buffers.Put(&b) }
