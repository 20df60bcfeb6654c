package fcgi

// The web server's side: a client of FastCGI programs. This file: its
// options, and a request's way to a connection and, if that turns out dead, to
// another. conns.go keeps the connections and learn.go asks the program about
// them; send.go is a request as records; exchange.go is one request on a
// connection of its own, and mux.go a connection that many share.

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"millrace/gateway"
)

// Reuse says whether connections are kept for further requests.
type Reuse uint8

const (
	// ReuseAuto asks the program by FCGI_GET_VALUES, once. One that does not
	// answer gets a connection a request. One that takes several requests at a
	// time (FCGI_MPXS_CONNS) shares its connections among them.
	//
	// Any other serves one connection at a time with each of its processes, so
	// that a kept connection occupies a process while nothing is asked of it.
	// Such a connection is kept for a second, and not at all while a new one has
	// been waiting for its first byte for some milliseconds, which may be because
	// all processes are occupied. So neither our own requests nor those of others
	// wait long for a process that does nothing; and where there are as many
	// processes as requests at a time, all connections are kept.
	ReuseAuto   Reuse = iota
	ReuseNever        // a connection a request
	ReuseAlways       // keep connections for IdleTimeout, without asking; none is shared
)

// Client sends requests to a FastCGI program. The zero value of each field but
// Address works. It is safe for concurrent use.
type Client struct {
	// Address is "host:port" or "unix:/path". Dial opens a connection to it;
	// nil: gateway.Dial does.
	Address string
	Dial    func(ctx context.Context) (net.Conn, error)

	ConnectTimeout time.Duration // 0: 10 s

	// Timeout is how long the program may be silent: neither a byte of the
	// response nor room for one of the request. It may take half as long again
	// until that is noticed. What is spent on waiting for the request's Body
	// does not count. 0: 60 s.
	Timeout time.Duration

	// MaxHead is how many bytes the head of a response may have. 0:
	// gateway.DefaultMaxHead.
	MaxHead int

	Reuse Reuse

	// MaxConns is how many connections are open at a time at most; a request
	// beyond waits for its turn, as long as its context allows. Where a program
	// serves one connection with each of its processes, give the number of
	// processes: connections are kept best then. 0: the program's
	// FCGI_MAX_CONNS under ReuseAuto, else no limit. (A 1 from a program that
	// shares no connections is what libfcgi says of each of its processes,
	// however many they are, and is no limit.)
	MaxConns int

	// MaxRequests is how many requests share a connection at a time: at most
	// so many, if the program says FCGI_MPXS_CONNS, and never more than its
	// FCGI_MAX_REQS. 1: none share. 0: 64.
	MaxRequests int

	// IdleTimeout closes a kept connection that had no request for so long.
	// 0: 30 s; 1 s for one that occupies a process (see ReuseAuto).
	IdleTimeout time.Duration

	pool pool
}

const (
	defaultIdleTimeout = 30 * time.Second
	defaultMpxRequests = 64
)

var _ gateway.RoundTripper = (*Client)(nil)

// Close closes all connections. Requests that run break off.
func (c *Client) Close() error { return c.pool.close() }

func (c *Client) timeout() time.Duration { return or(c.Timeout, gateway.DefaultTimeout) }

// RoundTrip sends one request; see gateway.RoundTripper. Its body is written
// while the response is read.
//
// A request is sent a second time, on a new connection, only if a kept
// connection ended before any byte of a response came, and the request is
// replayable or nothing of it has been seen. One that may not be repeated is
// given a kept connection only after a look whether it is still open.
func (c *Client) RoundTrip(ctx context.Context, req *gateway.Request) (*gateway.Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for after := anyAge; ; {
		resp, err := c.try(ctx, req, after)
		var dead *deadError
		switch {
		case err == nil:
			return resp, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case after == anyAge && errors.As(err, &dead) && dead.mayRepeat(req):
			if req, err = again(req); err != nil {
				return nil, err
			}
			after = c.pool.opened()
			continue
		}
		return nil, fmt.Errorf("fcgi: %s: %w", c.Address, err)
	}
}

// again is the request with its body anew.
func again(req *gateway.Request) (*gateway.Request, error) {
	if req.Body == nil {
		return req, nil
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, fmt.Errorf("fcgi: %w: %w", gateway.ErrBody, err)
	}
	next := *req
	next.Body = body
	return &next, nil
}

// try sends the request once.
func (c *Client) try(ctx context.Context, req *gateway.Request, after int) (*gateway.Response, error) {
	if err := check(req); err != nil {
		return nil, err
	}
	s, m, err := c.lease(ctx, after, req.Replayable(), leavesAtOnce(req))
	switch {
	case err != nil:
		return nil, err
	case m != nil:
		return m.roundTrip(ctx, req)
	}
	return s.roundTrip(ctx, req)
}

// leavesAtOnce reports whether a request leaves in one write, and can be sent
// again if that finds the connection closed.
func leavesAtOnce(req *gateway.Request) bool {
	if req.Body == nil {
		return req.Data == nil
	}
	_, inMemory := req.Body.(interface{ Len() int })
	return inMemory && req.Data == nil && req.GetBody != nil && req.ContentLength <= smallBody
}

// deadError is the end of a connection before any byte of a response.
type deadError struct {
	err     error
	kept    bool // it had served others: it may have been about to end
	unsent  bool // nothing of the request can have been seen
	refused bool // the program asks for another connection
}

// mayRepeat reports whether the request may be sent again.
func (e *deadError) mayRepeat(req *gateway.Request) bool {
	fresh := (req.Body == nil || req.GetBody != nil) && req.Data == nil
	return e.refused && fresh || e.kept && (req.Replayable() || e.unsent && fresh)
}

func (e *deadError) Error() string {
	return gateway.ErrNotAnswered.Error() + ": " + e.err.Error()
}
func (e *deadError) Unwrap() []error { return []error{gateway.ErrNotAnswered, e.err} }
