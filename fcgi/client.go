package fcgi

// The web server's side: a client of FastCGI programs. This file: its
// options, and a request's way to a connection and, if that turns out dead, to
// another. conns.go keeps the connections; exchange.go is one request on a
// connection of its own; mux.go is a connection that many share.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"millrace/gateway"
)

// Reuse says whether connections are kept for further requests.
type Reuse uint8

const (
	// ReuseAuto keeps connections to a program that answers FCGI_GET_VALUES,
	// which is asked once, and opens no more of them than its FCGI_MAX_CONNS.
	// Others get a connection a request: a kept one would pin a program that
	// serves one connection at a time, and let all others wait.
	ReuseAuto   Reuse = iota
	ReuseNever        // a connection a request
	ReuseAlways       // keep connections without asking
)

// Client sends requests to a FastCGI program. The zero value of each field but
// Address works. It is safe for concurrent use.
type Client struct {
	// Address is "host:port" or "unix:/path". Dial opens a connection to it;
	// nil: gateway.Dial does.
	Address string
	Dial    func(ctx context.Context) (net.Conn, error)

	ConnectTimeout time.Duration // 0: 10 s
	Timeout        time.Duration // without a byte from the program, or taken by it; it may take half as long again; 0: 60 s

	// MaxHead is how many bytes the head of a response may have. 0:
	// gateway.DefaultMaxHead.
	MaxHead int

	Reuse Reuse

	// MaxConns is how many connections are open at a time at most; a request
	// beyond waits for its turn, as long as its context allows. 0: what the
	// program told of FCGI_MAX_CONNS, if connections are kept; else no limit.
	// A program that runs as several processes on one socket tells of one
	// process only: give the number of processes here.
	MaxConns int

	// MaxRequests is how many requests share a connection at a time: at most
	// so many, if the program says FCGI_MPXS_CONNS, and never more than its
	// FCGI_MAX_REQS. 1: none share. 0: 64.
	MaxRequests int

	// IdleTimeout closes a kept connection that had no request for so long.
	// 0: 30 s.
	IdleTimeout time.Duration

	pool pool
}

const (
	defaultIdleTimeout = 30 * time.Second
	defaultMpxRequests = 64
	smallBody          = 32 << 10 // a body up to this leaves in one write with the parameters
)

var _ gateway.RoundTripper = (*Client)(nil)

// Close closes all connections. Requests that run break off.
func (c *Client) Close() error { return c.pool.close() }

// RoundTrip sends one request; see gateway.RoundTripper. Its body is written
// while the response is read. A request is sent a second time, on a new
// connection, only if a kept connection ended before any byte of a response
// came and the request is replayable.
func (c *Client) RoundTrip(ctx context.Context, req *gateway.Request) (*gateway.Response, error) {
	for fresh := false; ; fresh = true {
		resp, kept, err := c.try(ctx, req, fresh)
		var again *deadError
		switch {
		case err == nil:
			return resp, nil
		case errors.As(err, &again) && kept && !fresh && again.mayRepeat(req) && ctx.Err() == nil:
			if req.Body != nil {
				body, rewindErr := req.GetBody()
				if rewindErr != nil {
					return nil, fmt.Errorf("fcgi: %w: %w", gateway.ErrBody, rewindErr)
				}
				next := *req
				next.Body = body
				req = &next
			}
			continue
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("fcgi: %s: %w", c.Address, err)
	}
}

// deadError is the end of a connection before any byte of a response.
type deadError struct {
	err    error
	unsent bool // nothing of the request can have been seen
}

// mayRepeat reports whether the request may be sent again.
func (e *deadError) mayRepeat(req *gateway.Request) bool {
	return req.Replayable() || e.unsent && (req.Body == nil || req.GetBody != nil) && req.Data == nil
}

func (e *deadError) Error() string {
	return gateway.ErrNotAnswered.Error() + ": " + e.err.Error()
}
func (e *deadError) Unwrap() []error { return []error{gateway.ErrNotAnswered, e.err} }

// try sends the request once. kept says that the connection had served others.
func (c *Client) try(ctx context.Context, req *gateway.Request, fresh bool) (resp *gateway.Response, kept bool, err error) {
	s, m, err := c.lease(ctx, fresh)
	switch {
	case err != nil:
		return nil, false, err
	case m != nil:
		return m.roundTrip(ctx, req)
	}
	kept = s.used
	resp, err = s.roundTrip(ctx, req)
	return resp, kept, err
}

// begin appends BEGIN_REQUEST and the parameters.
func begin(b []byte, id uint16, req *gateway.Request, keep bool) ([]byte, error) {
	b = appendBegin(b, id, req.Role, keep)
	head := len(b)
	b = append(b, make([]byte, HeaderLen)...)
	if i := indexRole(req.Params); i < 0 {
		b = AppendPair(b, "FCGI_ROLE", req.Role.String())
	}
	for i := range req.Params {
		b = AppendPair(b, req.Params[i].Name, req.Params[i].Value)
		if len(b) > 16<<20 {
			return b, fmt.Errorf("%w: parameters of more than 16 MiB", gateway.ErrTooLarge)
		}
	}
	if len(b)-head-HeaderLen > MaxContent {
		b = split(b, head, id)
	} else {
		AppendHeader(b[:head], Header{Type: Params, ID: id, Length: len(b) - head - HeaderLen})
	}
	return AppendHeader(b, Header{Type: Params, ID: id}), nil
}

func indexRole(params []gateway.Param) int {
	for i := range params {
		if params[i].Name == "FCGI_ROLE" {
			return i
		}
	}
	return -1
}

// split makes several records of parameters that do not fit one.
func split(b []byte, head int, id uint16) []byte {
	all := append([]byte(nil), b[head+HeaderLen:]...)
	b = b[:head]
	for len(all) > 0 {
		n := min(len(all), MaxContent)
		b = AppendHeader(b, Header{Type: Params, ID: id, Length: n})
		b = append(b, all[:n]...)
		all = all[n:]
	}
	return b
}

// inputs are the streams that follow the parameters.
type inputs struct {
	id     uint16
	body   io.Reader
	left   int64
	data   io.Reader // of a filter, else nil
	dataIn int64
	role   gateway.Role
}

func inputsOf(id uint16, req *gateway.Request) inputs {
	in := inputs{id: id, body: req.Body, left: req.ContentLength, role: req.Role}
	if req.Body == nil {
		in.left = 0
	}
	if req.Role == gateway.Filter {
		in.data, in.dataIn = req.Data, req.DataLength
	}
	return in
}

// small reports whether all of it leaves with the parameters.
func (in *inputs) small() bool { return in.left+in.dataIn <= smallBody }

// next appends records of at most one buffer's size. more is false with the
// last.
func (in *inputs) next(b []byte) (_ []byte, more bool, err error) {
	for room := smallBody; room > 0; {
		var n int
		switch {
		case in.role == gateway.Authorizer:
			return b, false, nil // it has no input
		case in.left > 0:
			b, n, err = appendFrom(b, Stdin, in.id, in.body, min(in.left, int64(room)))
			in.left -= int64(n)
		case in.left == 0:
			b = AppendHeader(b, Header{Type: Stdin, ID: in.id})
			in.left = -1
		case in.role != gateway.Filter:
			return b, false, nil
		case in.dataIn > 0:
			b, n, err = appendFrom(b, Data, in.id, in.data, min(in.dataIn, int64(room)))
			in.dataIn -= int64(n)
		default:
			return AppendHeader(b, Header{Type: Data, ID: in.id}), false, nil
		}
		if err != nil {
			return b, false, err
		}
		room -= n
		if n > 0 && in.left > 0 && in.left > int64(room) {
			break // what has come leaves
		}
	}
	return b, true, nil
}

// finish appends the ends of the streams that have not ended.
func (in *inputs) finish(b []byte) []byte {
	if in.role == gateway.Authorizer {
		return b
	}
	if in.left >= 0 {
		b = AppendHeader(b, Header{Type: Stdin, ID: in.id})
	}
	if in.role == gateway.Filter {
		b = AppendHeader(b, Header{Type: Data, ID: in.id})
	}
	return b
}

// appendFrom appends a record with what one read gives, which goes behind the
// header's room without a copy.
func appendFrom(b []byte, t Type, id uint16, src io.Reader, n int64) ([]byte, int, error) {
	head := len(b)
	if need := head + HeaderLen + int(n); cap(b) < need+64 {
		b = append(make([]byte, 0, need+64), b...)
	}
	if src == nil {
		return b, 0, fmt.Errorf("%w: %d bytes are announced and there is no reader", gateway.ErrBody, n)
	}
	got, err := 0, error(nil)
	for tries := 0; got == 0 && err == nil && tries < 100; tries++ {
		got, err = src.Read(b[head+HeaderLen : head+HeaderLen+int(n)])
	}
	if got > 0 {
		b = AppendHeader(b[:head], Header{Type: t, ID: id, Length: got})
		return b[:head+HeaderLen+got], got, nil // an error comes again
	}
	switch {
	case err == nil:
		err = io.ErrNoProgress
	case errors.Is(err, io.EOF):
		err = fmt.Errorf("it is shorter than announced: %w", io.ErrUnexpectedEOF)
	}
	return b, 0, fmt.Errorf("%w: %w", gateway.ErrBody, err)
}
