package main

// This file is one request over any protocol: the clients, the answer, and
// what an error means to whoever asked.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"millrace/ajp"
	"millrace/fcgi"
	"millrace/gateway"
	"millrace/scgi"
	"millrace/uwsgi"
)

// dialer opens the connections of a request.
type dialer func(context.Context) (net.Conn, error)

// answer is a response over any protocol.
type answer struct {
	gateway.Head
	first string // the line that the head begins with: "Status: 200 OK", "HTTP/1.1 200 OK"
	body  io.ReadCloser
}

// send sends a message over a connection of its own, and returns the answer
// when its head is there. An error, also of the body, wraps one of the
// gateway's, or io.ErrUnexpectedEOF for a response that is cut short.
func (o *outgoing) send(ctx context.Context, e *endpoint, m *message, dial dialer, stderr io.Writer) (*answer, error) {
	if e.protocol == protoHTTP {
		return o.sendHTTP(ctx, m, dial)
	}
	req := *m.cgi
	req.Stderr = stderr
	if m.body != nil {
		req.Body, req.ContentLength = m.body.reader(), m.body.size
	}
	if m.data != nil {
		req.Data = m.data.reader()
	}
	c := o.client(e, dial, 0)
	resp, err := c.RoundTrip(ctx, &req)
	if err != nil {
		c.Close()
		return nil, err
	}
	return &answer{
		Head:  resp.Head,
		first: strings.TrimSpace(fmt.Sprintf("Status: %d %s", resp.Status, http.StatusText(resp.Status))),
		body:  closers{resp.Body, c},
	}, nil
}

// client is a protocol's own, for a gateway protocol.
type client interface {
	gateway.RoundTripper
	io.Closer
}

// client makes one. kept is how many connections AJP keeps, and may use; 0:
// each request gets a new one, as over the other protocols.
func (o *outgoing) client(e *endpoint, dial dialer, kept int) client {
	switch e.protocol {
	case protoFastCGI:
		return &fcgi.Client{Address: e.address, Dial: dial, ConnectTimeout: o.connectTimeout, Timeout: o.timeout, Reuse: fcgi.ReuseNever}
	case protoSCGI:
		return unkept{&scgi.Client{Address: e.address, Dial: dial, ConnectTimeout: o.connectTimeout, Timeout: o.timeout}}
	case protoUWSGI:
		return unkept{&uwsgi.Client{Address: e.address, Dial: dial, ConnectTimeout: o.connectTimeout, Timeout: o.timeout}}
	}
	c := &ajp.Client{Address: e.address, Dial: dial, ConnectTimeout: o.connectTimeout, Timeout: o.timeout, Secret: o.secret, MaxIdle: kept, MaxConns: kept, PingTimeout: -1}
	if kept == 0 {
		c.MaxIdle = -1
	}
	for _, p := range o.params { // what the protocol has no place for, which is asked for by name
		name, _, _ := strings.Cut(p, "=")
		c.Attributes = append(c.Attributes, name)
	}
	return c
}

// sharedClient makes one with a single connection, which so many requests share.
func (o *outgoing) sharedClient(e *endpoint, dial dialer, requests int) client {
	return &fcgi.Client{Address: e.address, Dial: dial, ConnectTimeout: o.connectTimeout, Timeout: o.timeout, MaxConns: 1, MaxRequests: requests}
}

// unkept is a client that has nothing to close.
type unkept struct{ gateway.RoundTripper }

func (unkept) Close() error { return nil }

// closers is a body behind which something else is closed.
type closers struct {
	io.ReadCloser
	then io.Closer
}

func (c closers) Close() error { return errors.Join(c.ReadCloser.Close(), c.then.Close()) }

func (o *outgoing) sendHTTP(ctx context.Context, m *message, dial dialer) (*answer, error) {
	r := m.http.Clone(ctx)
	r.RequestURI = "" // of a server's request
	if m.body != nil {
		r.Body = io.NopCloser(m.body.reader())
		if m.body.size == 0 {
			r.Body = http.NoBody
		}
	}
	if r.Header["User-Agent"] == nil {
		r.Header["User-Agent"] = []string{""} // or net/http sends its own
	}
	var conn atomic.Pointer[silenceConn] // a dial may go on when its request is given up
	connect := func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, err := dial(ctx)
		if err != nil {
			return nil, err
		}
		conn.Store(&silenceConn{Conn: c, timeout: o.timeout})
		return conn.Load(), nil
	}
	t := &http.Transport{DialContext: connect, DisableCompression: true, DisableKeepAlives: true, MaxResponseHeaderBytes: gateway.DefaultMaxHead}
	resp, err := t.RoundTrip(r)
	if err != nil {
		return nil, o.httpError(err, conn.Load())
	}
	a := &answer{
		Head:  gateway.Head{Status: resp.StatusCode, Header: resp.Header, ContentLength: resp.ContentLength},
		first: resp.Proto + " " + resp.Status,
		body:  httpBody{resp.Body, o},
	}
	return a, nil
}

// httpError says in the gateway's errors what became of an HTTP request. How
// net/http words the end of a connection depends on the moment that it comes;
// so the connection tells whether anything was answered.
func (o *outgoing) httpError(err error, conn *silenceConn) error {
	switch {
	case errors.Is(err, gateway.ErrUnreachable), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w: nothing came for %v", gateway.ErrTimeout, o.timeout)
	case conn != nil && !conn.heard.Load():
		return fmt.Errorf("%w: %w", gateway.ErrNotAnswered, err)
	}
	return fmt.Errorf("%w: %w", gateway.ErrBadResponse, err)
}

// httpBody is a response's body.
type httpBody struct {
	io.ReadCloser
	o *outgoing
}

func (b httpBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = fmt.Errorf("%w: nothing came for %v", gateway.ErrTimeout, b.o.timeout)
	default:
		err = fmt.Errorf("%w: %w", io.ErrUnexpectedEOF, err)
	}
	return n, err
}

// silenceConn is a connection on which the peer must not be silent: neither a
// byte from it nor room for one to it. The time runs anew with each.
type silenceConn struct {
	net.Conn
	timeout time.Duration
	heard   atomic.Bool // a byte has come
}

func (c *silenceConn) expect() error { return c.SetDeadline(time.Now().Add(c.timeout)) }

func (c *silenceConn) Read(b []byte) (int, error) {
	if err := c.expect(); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.heard.Store(true)
	}
	return n, err
}

func (c *silenceConn) Write(b []byte) (int, error) {
	if err := c.expect(); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// explain makes what a user can act on of the error of a request.
func explain(e *endpoint, err error) error {
	var known *failure
	if errors.As(err, &known) {
		return known
	}
	hint := "-v shows what went over the connection"
	name := e.protocol.String()
	switch {
	case errors.Is(err, gateway.ErrUnreachable):
		hint = "is it running, and at this address?"
		switch {
		case errors.Is(err, fs.ErrNotExist):
			hint = "there is no such socket; is the back end running?"
		case errors.Is(err, fs.ErrPermission):
			hint = "the socket's mode does not let this user in"
		case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
			hint = "is the address right, and no firewall between? --connect-timeout gives it longer"
		case e.tls:
			hint = "is it running, and does it speak TLS? -k takes any certificate"
		}
	case errors.Is(err, gateway.ErrTimeout):
		hint = "--timeout gives it longer; does it speak " + name + "?"
	case errors.Is(err, context.DeadlineExceeded):
		hint = "--max-time gives it longer"
	case errors.Is(err, gateway.ErrNotAnswered):
		hint = "does it speak " + name + ", and may this machine connect?"
		if e.protocol == protoAJP {
			hint = "does it speak AJP, and is the --secret right?"
		}
	case errors.Is(err, gateway.ErrBadResponse):
		hint = "does it speak " + name + "? -v shows what came"
	case errors.Is(err, gateway.ErrUnsupported):
		hint = "the program at that address does not do this: is it the right one?"
	case errors.Is(err, gateway.ErrTooLarge):
		hint = "send less, or use another protocol"
	case errors.Is(err, gateway.ErrOverloaded):
		hint = "the program says so itself: ask again later"
	case errors.Is(err, io.ErrUnexpectedEOF):
		hint = "the program, or what is before it, broke the response off: its log may say why"
	}
	return &failure{fmt.Sprintf("%s: %v", e.given, err), hint}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
