package fcgi

// One request on a connection of its own. Whoever wants the response reads the
// connection: no goroutine stands between, and a slow reader slows the program
// and nobody else.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"millrace/gateway"
)

// single is a connection that serves one request at a time.
type single struct {
	c      *Client
	nc     net.Conn
	socket *gateway.Socket // nil: nc has none
	in     reader
	out    []byte
	keep   bool
	born   int       // its number
	opened time.Time // when
	used   bool      // it has served a request
	since  time.Time // idle since
	until  time.Time // the deadline that the connection has
	x      *exchange // that runs, for Read
	ask    []byte    // what leaves with the next Read
	look   bool      // before that, whether the connection has ended
	once   sync.Once
}

const outBuffer = 2 << 10

var outBuffers = sync.Pool{New: func() any { return new([outBuffer]byte) }}

func (c *Client) newSingle(nc net.Conn, born int, keep bool) *single {
	s := &single{c: c, nc: nc, socket: gateway.NewSocket(nc), born: born, keep: keep, opened: time.Now(), out: outBuffers.Get().(*[outBuffer]byte)[:0]}
	s.in = newReader(s)
	return s
}

// close closes the connection for good.
func (s *single) close() {
	s.once.Do(func() {
		s.nc.Close()
		p := &s.c.pool
		p.mu.Lock()
		delete(p.singles, s)
		p.heardLocked(s)
		p.mu.Unlock()
		p.gone()
	})
}

// discard closes a connection that nobody uses, and gives its buffers to
// whoever comes next.
func (s *single) discard() {
	s.close()
	s.in.free()
	if cap(s.out) == outBuffer {
		outBuffers.Put((*[outBuffer]byte)(s.out[:outBuffer]))
	}
	s.out = nil
}

// extend moves the deadline when less than Timeout is left of it. Setting it
// before each read would cost as much as the read; so it is set for half as
// long again.
func (s *single) extend() error {
	timeout := s.c.timeout()
	now := time.Now()
	if s.until.Sub(now) >= timeout {
		return nil
	}
	s.until = now.Add(timeout + timeout/2)
	return s.nc.SetDeadline(s.until)
}

// Read is the connection's, for the record reader. A program that takes input
// meanwhile is not late.
func (s *single) Read(b []byte) (int, error) {
	if err := s.extend(); err != nil {
		return 0, err
	}
	for {
		n, err := s.receive(b)
		if n > 0 || !isTimeout(err) {
			return n, err
		}
		grace := s.x.grace(s.c.timeout())
		if grace == 0 {
			return 0, err
		}
		s.until = time.Now().Add(grace)
		if err := s.nc.SetReadDeadline(s.until); err != nil {
			return 0, err
		}
	}
}

// receive reads once, after it has sent what is to be asked.
func (s *single) receive(b []byte) (int, error) {
	if s.socket == nil {
		return s.nc.Read(b)
	}
	ask := s.ask
	if s.ask = nil; ask == nil {
		return s.socket.Read(b)
	}
	sent, n, err := s.socket.Ask(ask, b, s.look)
	switch {
	case sent == len(ask):
		s.x.wrote(sent, false, nil)
	case errors.Is(err, gateway.ErrStale):
	default: // the program may have answered all the same
		s.x.wrote(sent, false, err)
		return s.socket.Read(b)
	}
	return n, err
}

const singleID = 1

// exchange is a response under way; it is the response's Body.
type exchange struct {
	upload
	s       *single
	ctx     context.Context
	stop    func() bool // takes the watch on ctx off
	stderr  io.Writer
	pending []byte // of STDOUT, in the reader's buffer
	some    bool   // a record has come
	left    int64  // of Content-Length; negative: not known
	drop    bool   // there is no body to pass on
	ended   bool   // END_REQUEST has come
	err     error  // what Read returns from now on
	in      inputs
	over    atomic.Bool // the exchange has ended, by itself or by Close
}

func (s *single) roundTrip(ctx context.Context, req *gateway.Request) (*gateway.Response, error) {
	x := &exchange{s: s, ctx: ctx, stderr: req.Stderr, left: -1}
	s.x = x
	x.in.init(singleID, req)
	b, err := begin(s.out[:0], singleID, req, s.keep)
	ready := x.in.ready()
	for more := ready; more && err == nil; {
		b, more, err = x.in.next(b)
	}
	if cap(b) <= 64<<10 {
		s.out = b[:0]
	}
	if err != nil {
		s.c.pool.put(s) // nothing was sent
		return nil, err
	}
	x.stop = gateway.AfterFunc(ctx, s.close)
	kept := s.used
	s.used = true
	if err = s.extend(); err == nil {
		switch {
		case ready && s.socket != nil:
			s.ask, s.look = b, kept
		case ready:
			x.write(b, false)
		default:
			x.active = true
			s.out = nil // it is the sender's
			go x.send(b)
		}
		var head *gateway.Head
		if head, err = x.head(); err == nil {
			x.left = head.ContentLength
			if bodyless(req, head.Status) {
				x.drop, x.left = true, -1
			}
			return &gateway.Response{Head: *head, Body: x}, nil
		}
	}
	x.stop()
	s.close()
	return nil, x.explain(err, kept)
}

// bodyless reports whether a response has no body whatever its head says.
func bodyless(req *gateway.Request, status int) bool {
	return status == http.StatusNoContent || status == http.StatusNotModified || req.Param("REQUEST_METHOD") == http.MethodHead
}

// write writes a part of the request; more says that it is not the last. That
// the program does not want it is no failure yet: it may have answered.
func (x *exchange) write(b []byte, more bool) bool {
	n, err := x.s.nc.Write(b)
	x.wrote(n, more, err)
	return err == nil
}

// send writes the request while the response is read.
func (x *exchange) send(b []byte) {
	for more := true; more; b = b[:0] {
		x.wait(true)
		var err error
		b, more, err = x.in.next(b)
		if err != nil {
			x.fail(err)
			x.s.close() // half a body must not pass for a whole one
			return
		}
		x.wait(false)
		_ = x.s.nc.SetWriteDeadline(time.Now().Add(x.s.c.timeout())) // an error shows in the write
		if !x.write(b, more) {
			return
		}
	}
}

// explain finds the error that counts for a response without a head, or one
// that is cut.
func (x *exchange) explain(err error, kept bool) error {
	_, sent, sendErr := x.state()
	switch {
	case x.ctx.Err() != nil:
		return x.ctx.Err()
	case errors.Is(sendErr, gateway.ErrBody):
		return sendErr
	case isTimeout(err):
		return fmt.Errorf("%w: nothing came for %v", gateway.ErrTimeout, x.s.c.timeout())
	case !x.some && lost(err):
		if sendErr != nil {
			err = sendErr
		}
		return &deadError{err: cut(err), kept: kept, unsent: sent == 0}
	case lost(err):
		return fmt.Errorf("the connection ends inside a response: %w", io.ErrUnexpectedEOF)
	case errors.Is(err, ErrProtocol):
		return fmt.Errorf("%w: %w", gateway.ErrBadResponse, err)
	}
	return err
}

// lost reports whether an error is the connection's end.
func lost(err error) bool {
	var op *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, gateway.ErrStale) ||
		errors.Is(err, io.ErrClosedPipe) || errors.As(err, &op)
}

// head reads up to the end of the response's head.
func (x *exchange) head() (*gateway.Head, error) {
	head, rest, err := readHead(or(x.s.c.MaxHead, gateway.DefaultMaxHead), x.next)
	x.pending = rest
	return head, err
}

// errEnd is the proper end of a response.
var errEnd = errors.New("fcgi: the response has ended")

// next is the next part of STDOUT; errEnd: there is none.
func (x *exchange) next() ([]byte, error) {
	for {
		b, err := x.s.in.content()
		if err != nil || len(b) > 0 {
			return b, err
		}
		h, err := x.s.in.next()
		if err != nil {
			return nil, err
		}
		if !x.some {
			x.some = true
			x.s.c.pool.heard(x.s)
		}
		switch {
		case h.ID == 0: // UNKNOWN_TYPE and the like; nothing was asked
			if err := x.log(nil); err != nil {
				return nil, err
			}
		case h.ID != singleID:
			return nil, fmt.Errorf("%w: %v for request %d, which was not begun", ErrProtocol, h.Type, h.ID)
		case h.Type == Stdout:
		case h.Type == Stderr:
			if err := x.log(x.stderr); err != nil {
				return nil, err
			}
		case h.Type == EndRequest:
			return nil, x.end()
		default:
			return nil, fmt.Errorf("%w: %v from a program", ErrProtocol, h.Type)
		}
	}
}

// log passes on a record that is no part of the response.
func (x *exchange) log(w io.Writer) error {
	for {
		b, err := x.s.in.content()
		if err != nil || len(b) == 0 {
			return err
		}
		if w != nil {
			_, _ = w.Write(b) // a log that fails does not fail the request
		}
	}
}

// end reads END_REQUEST.
func (x *exchange) end() error {
	b, err := x.s.in.whole(nil)
	if err != nil {
		return err
	}
	e, err := parseEnd(b)
	if err != nil {
		return err
	}
	x.ended = true
	x.s.in.skipPadding()
	return e.err()
}

// err is what the protocol's status means; errEnd is that of a response.
func (e endBody) err() error {
	switch e.status {
	case RequestComplete:
		return errEnd
	case Overloaded:
		return fmt.Errorf("%w (FCGI_OVERLOADED)", gateway.ErrOverloaded)
	case UnknownRole:
		return fmt.Errorf("%w (FCGI_UNKNOWN_ROLE)", gateway.ErrUnsupported)
	case CantMpxConn:
		return errCantMpx
	}
	return fmt.Errorf("%w: %w: %v in END_REQUEST", gateway.ErrBadResponse, ErrProtocol, e.status)
}

var errCantMpx = errors.New("the program takes one request at a time from a connection (FCGI_CANT_MPX_CONN)")

// Read is the response's body.
func (x *exchange) Read(b []byte) (int, error) {
	for x.err == nil {
		switch {
		case x.over.Load():
			return 0, http.ErrBodyReadAfterClose
		case len(x.pending) > 0 && !x.drop:
			if x.left == 0 {
				x.pending, x.drop, x.left = nil, true, -1
				surplus(x.stderr)
				continue
			}
			n := copy(b, x.pending)
			if x.left >= 0 {
				n = int(min(int64(n), x.left))
				x.left -= int64(n)
			}
			x.pending = x.pending[n:]
			if n > 0 || len(b) == 0 {
				return n, nil
			}
		}
		part, err := x.next()
		if err != nil {
			x.finish(err)
			break
		}
		x.pending = part
	}
	return 0, x.err
}

// surplus tells of a response that is longer than it said.
func surplus(stderr io.Writer) {
	if stderr != nil {
		_, _ = io.WriteString(stderr, "fcgi: the response is longer than its Content-Length; the rest is cut\n")
	}
}

// finish ends the exchange; errEnd is the proper end.
func (x *exchange) finish(err error) {
	cancelled := !x.stop()
	closed := x.over.Swap(true)
	switch {
	case err != errEnd:
		x.err = fmt.Errorf("fcgi: %s: %w", x.s.c.Address, x.explain(err, false))
	case x.left > 0:
		x.err = short(x.s.c.Address, x.left)
	default:
		x.err = io.EOF
	}
	// Bytes that follow END_REQUEST belong to nobody; input that was not taken
	// would follow in the next request's place.
	active, _, _ := x.state()
	if !x.s.keep || !x.ended || cancelled || closed || active || x.s.in.inside() {
		x.pending = nil
		x.s.discard()
		return
	}
	x.s.c.pool.put(x.s)
}

func short(address string, left int64) error {
	return fmt.Errorf("fcgi: %s: the response ends %d bytes before its Content-Length: %w", address, left, io.ErrUnexpectedEOF)
}

// Close ends the exchange; unless the response has ended, the connection's end
// tells the program. It may be called while another goroutine reads.
func (x *exchange) Close() error {
	if !x.over.Swap(true) {
		x.stop()
		x.s.close()
	}
	return nil
}
