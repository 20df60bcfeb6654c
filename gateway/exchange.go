package gateway

// This file is the client's side of the protocols that spend a connection on
// each request and answer with a head and a body without framing.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// Exchange is one request over one connection of its own, answered by a head
// and a body without framing: the whole of a client of SCGI and uwsgi but for
// the encoding of its parameters. It is a RoundTripper.
//
// It writes the request and reads the response at once, since an app may
// answer before it has read its input, and stops writing when the response is
// complete. The connection is closed at the end of the response's Body.
type Exchange struct {
	Protocol string // begins the errors: "scgi"

	Address        string                                      // see Dial
	Dial           func(ctx context.Context) (net.Conn, error) // nil: the function Dial with Address and ConnectTimeout
	ConnectTimeout time.Duration                               // 0: DefaultConnectTimeout

	// Timeout is how long the back end may be silent: neither a byte of the
	// response nor room for one of the request. What is spent on waiting for
	// the request's Body does not count. 0: DefaultTimeout.
	Timeout time.Duration

	MaxHead int // bytes of the response's head; 0: DefaultMaxHead

	// Encode appends what goes before the body of the request.
	Encode func(b []byte, req *Request) ([]byte, error)
}

var _ RoundTripper = (*Exchange)(nil)

// smallBody is the size up to which a body leaves in one write with what goes
// before it.
const smallBody = 16 << 10

// largePart is what is read of a larger one at a time.
const largePart = 32 << 10

// RoundTrip sends one request. A Read of req.Body that is under way when the
// response ends is not waited for; none begins after it.
func (e *Exchange) RoundTrip(ctx context.Context, req *Request) (*Response, error) {
	switch {
	case req.Role != Responder:
		return nil, fmt.Errorf("%s: the protocol has no role %s: %w", e.Protocol, req.Role, ErrUnsupported)
	case req.Body == nil && req.ContentLength != 0, req.ContentLength < 0:
		return nil, fmt.Errorf("%s: a length of %d without a body: %w", e.Protocol, req.ContentLength, ErrBody)
	}
	out := getBuffer()
	var err error
	if out.b, err = e.Encode(out.b, req); err != nil {
		out.free()
		return nil, err
	}
	conn, err := e.dial(ctx)
	if err != nil {
		out.free()
		return nil, err
	}
	x := &exchange{protocol: e.Protocol, conn: conn, timeout: e.Timeout, left: -1}
	if x.timeout == 0 {
		x.timeout = DefaultTimeout
	}
	x.release = AfterFunc(ctx, func() {
		x.fail(fmt.Errorf("%s: the request was given up: %w", x.protocol, context.Cause(ctx)))
	})
	if req.Body == nil {
		_ = conn.SetWriteDeadline(time.Now().Add(x.timeout))
		x.write(out.b)
		out.free()
	} else {
		go x.send(out, req.Body, req.ContentLength)
	}
	maxHead := e.MaxHead
	if maxHead == 0 {
		maxHead = DefaultMaxHead
	}
	head, err := x.readHead(maxHead)
	if err != nil {
		x.fail(err)
		x.end()
		return nil, err
	}
	if req.Param("REQUEST_METHOD") == http.MethodHead || head.Status == http.StatusNoContent || head.Status == http.StatusNotModified {
		x.left = 0 // whatever follows is no body (RFC 9110, section 6.4.1)
	} else {
		x.left = head.ContentLength
	}
	if x.left == 0 {
		x.end()
		x.drop()
	}
	return &Response{Head: *head, Body: x}, nil
}

func (e *Exchange) dial(ctx context.Context) (net.Conn, error) {
	var conn net.Conn
	var err error
	if e.Dial == nil {
		conn, err = Dial(ctx, e.Address, e.ConnectTimeout)
	} else if conn, err = e.Dial(ctx); err != nil && !errors.Is(err, ErrUnreachable) {
		err = fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.Protocol, err)
	}
	return conn, nil
}

// exchange is an Exchange that is under way, and its response's Body.
type exchange struct {
	protocol string
	conn     net.Conn
	timeout  time.Duration
	release  func() bool // of the context

	// The reader's own.
	in   *buffer
	rest []byte // part of in: came with the head
	left int64  // bytes until the end; negative: until the connection ends

	mu       sync.Mutex
	waiting  bool  // for the request's body: the back end is not late
	over     bool  // the connection is closed
	closed   bool  // Close was called
	err      error // why it is over, if it failed
	writeErr error
}

// fail ends the exchange before its time; the first reason counts.
func (x *exchange) fail(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.over {
		x.over, x.err = true, err
		_ = x.conn.Close()
	}
}

// end ends the exchange.
func (x *exchange) end() {
	x.fail(nil)
	x.release()
}

// expect gives the back end its time from now on.
func (x *exchange) expect() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.waiting {
		_ = x.conn.SetReadDeadline(time.Now().Add(x.timeout)) // an error shows in the Read
	}
}

// read is a Read of the connection. What ended the exchange goes before what
// the connection says of it.
func (x *exchange) read(b []byte) (int, error) {
	x.expect()
	n, err := x.conn.Read(b)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.err != nil:
		err = x.err
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = x.late()
	default:
		err = fmt.Errorf("%s: %w", x.protocol, err)
	}
	return n, err
}

func (x *exchange) late() error {
	return fmt.Errorf("%s: nothing from the back end for %v: %w", x.protocol, x.timeout, ErrTimeout)
}

// readHead reads the head, and what came with it.
func (x *exchange) readHead(limit int) (*Head, error) {
	x.in = getBuffer()
	b := x.in.b
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := x.read(b[len(b):max(len(b), min(cap(b), limit))])
		from := len(b)
		b = b[:len(b)+n]
		x.in.b = b
		if headEnds(b, from) {
			head, size, err := ParseHead(b)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", x.protocol, err)
			}
			x.rest = b[size:]
			return head, nil
		}
		switch {
		case err != nil:
			return nil, x.headless(len(b), err)
		case len(b) >= limit:
			return nil, fmt.Errorf("%s: the response's head has more than %d bytes: %w", x.protocol, limit, ErrBadResponse)
		}
	}
}

// headEnds reports whether the empty line that ends a head is in b, whose
// first from bytes are known not to hold it: so each byte is looked at once,
// and not again with every piece that comes.
func headEnds(b []byte, from int) bool {
	at := max(from-2, 0)
	if at == 0 && headEnd(b[:min(len(b), 2)]) != 0 {
		return true
	}
	for {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			return false
		}
		at += i + 1
		if headEnd(b[at:min(len(b), at+2)]) != 0 {
			return true
		}
	}
}

// headless is the error for a connection that ended with n bytes of a head.
func (x *exchange) headless(n int, err error) error {
	x.mu.Lock()
	cause, writeErr := x.err, x.writeErr
	x.mu.Unlock()
	switch {
	case cause != nil:
		return cause
	case errors.Is(err, ErrTimeout):
		return err
	case n > 0:
		return fmt.Errorf("%s: the response ends within its head, after %d bytes: %w", x.protocol, n, ErrBadResponse)
	case writeErr != nil:
		return fmt.Errorf("%s: %w: %w", x.protocol, writeErr, ErrNotAnswered)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%s: %w", x.protocol, ErrNotAnswered)
	}
	return fmt.Errorf("%w: %w", err, ErrNotAnswered)
}

// write is a Write to the connection. Its failure is not yet that of the
// exchange: the answer may be there all the same.
func (x *exchange) write(b []byte) bool {
	_, err := x.conn.Write(b)
	switch {
	case err == nil:
		return true
	case errors.Is(err, os.ErrDeadlineExceeded):
		x.fail(x.late())
		return false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.writeErr = err
	return false
}

// send writes what out holds and then size bytes of body.
func (x *exchange) send(out *buffer, body io.Reader, size int64) {
	defer out.free()
	whole := size <= smallBody
	room := largePart
	if whole {
		room = int(size) + 1
	}
	b := out.grow(room)
	for {
		n, end, err := x.next(body, b[len(b):cap(b)], size)
		if err != nil {
			x.fail(err)
			return
		}
		b = b[:len(b)+n]
		size -= int64(n)
		if !end && whole {
			continue
		}
		if !x.write(b) {
			return
		}
		x.expect()
		if end {
			return
		}
		b = b[:0]
	}
}

// errOver is for a request whose rest nobody wants.
var errOver = errors.New("gateway: the response is complete")

// next reads a part of the request's body, of which left bytes are to come.
// The last part is given only when the body has ended with it: a back end must
// not take a body that goes on for a whole one.
func (x *exchange) next(body io.Reader, b []byte, left int64) (n int, end bool, err error) {
	b = b[:min(int64(len(b)), left+1)]
	n, err = x.readBody(body, b)
	more := 0
	for int64(n) == left && more == 0 && err == nil {
		more, err = x.readBody(body, make([]byte, 1))
	}
	switch {
	case errors.Is(err, errOver):
		return 0, false, err
	case int64(n+more) > left:
		return 0, false, fmt.Errorf("%s: the request's body is longer than its length says: %w", x.protocol, ErrBody)
	case err == nil:
		return n, false, nil
	case !errors.Is(err, io.EOF):
		return 0, false, fmt.Errorf("%s: %w: %w", x.protocol, ErrBody, err)
	case int64(n) < left:
		return 0, false, fmt.Errorf("%s: the request's body ends %d bytes before its length: %w", x.protocol, left-int64(n), ErrBody)
	}
	return n, true, nil
}

// readBody is a Read of the request's body, during which the back end's time
// does not run.
func (x *exchange) readBody(body io.Reader, b []byte) (int, error) {
	x.mu.Lock()
	if x.over {
		x.mu.Unlock()
		return 0, errOver
	}
	x.waiting = true
	_ = x.conn.SetReadDeadline(time.Time{})
	x.mu.Unlock()
	n, err := body.Read(b)
	x.mu.Lock()
	x.waiting = false
	x.mu.Unlock()
	x.expect()
	return n, err
}

// Read is that of the response's Body. Where the length is known, io.EOF comes
// with the last bytes.
func (x *exchange) Read(b []byte) (int, error) {
	x.mu.Lock()
	closed, over, err := x.closed, x.over, x.err
	x.mu.Unlock()
	switch {
	case closed:
		return 0, http.ErrBodyReadAfterClose
	case err != nil:
		return 0, err
	case over:
		return 0, io.EOF
	case len(b) == 0:
		return 0, nil
	}
	if x.left >= 0 {
		b = b[:min(int64(len(b)), x.left)]
	}
	var n int
	if len(x.rest) > 0 {
		n = copy(b, x.rest)
		x.rest = x.rest[n:]
	} else {
		x.drop()
		n, err = x.read(b)
	}
	if x.left >= 0 {
		x.left -= int64(n)
	}
	switch {
	case x.left == 0, x.left < 0 && errors.Is(err, io.EOF):
		x.end()
		x.drop()
		return n, io.EOF
	case errors.Is(err, io.EOF):
		err = fmt.Errorf("%s: the response ends %d bytes before its Content-Length: %w", x.protocol, x.left, io.ErrUnexpectedEOF)
		fallthrough
	case err != nil:
		x.fail(err)
		x.release()
	}
	return n, err
}

// drop gives the buffer of the head back.
func (x *exchange) drop() {
	if x.in != nil {
		x.in.free()
		x.in, x.rest = nil, nil
	}
}

// Close ends the exchange. It may be called while another goroutine reads.
func (x *exchange) Close() error {
	x.mu.Lock()
	x.closed = true
	x.mu.Unlock()
	x.end()
	return nil
}

// buffer is bytes that are used again.
type buffer struct{ b []byte }

const (
	bufferSize = 8 << 10
	bufferKept = 64 << 10 // a larger one is not kept for the next request
)

var buffers = sync.Pool{New: func() any { return &buffer{make([]byte, 0, bufferSize)} }}

// getBuffer returns an empty buffer.
func getBuffer() *buffer { return buffers.Get().(*buffer) }

// free gives the buffer to whoever comes next.
func (b *buffer) free() {
	if cap(b.b) <= bufferKept {
		b.b = b.b[:0]
		buffers.Put(b)
	}
}

// grow makes room for n bytes more, and returns what the buffer holds.
func (b *buffer) grow(n int) []byte {
	if cap(b.b)-len(b.b) < n {
		b.b = append(make([]byte, 0, len(b.b)+n), b.b...)
	}
	return b.b
}
