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
	"time"

	"millrace/gateway"
)

// single is a connection that serves one request at a time.
type single struct {
	c     *Client
	nc    net.Conn
	in    reader
	out   []byte
	keep  bool
	used  bool      // it has served a request
	since time.Time // idle since
	until time.Time // the deadline that the connection has
	once  sync.Once
}

func (c *Client) newSingle(nc net.Conn, keep bool) *single {
	s := &single{c: c, nc: nc, keep: keep}
	s.in = newReader(s)
	p := &c.pool
	p.mu.Lock()
	if p.singles == nil {
		p.singles = map[*single]struct{}{}
	}
	p.singles[s] = struct{}{}
	p.mu.Unlock()
	return s
}

// close closes the connection for good.
func (s *single) close() {
	s.once.Do(func() {
		s.nc.Close()
		p := &s.c.pool
		p.mu.Lock()
		delete(p.singles, s)
		p.mu.Unlock()
		p.gone()
	})
}

// extend moves the deadline when less than Timeout is left of it. Setting it
// before each read would cost as much as the read; so it is set for half as
// long again.
func (s *single) extend() error {
	timeout := or(s.c.Timeout, gateway.DefaultTimeout)
	now := time.Now()
	if s.until.Sub(now) >= timeout {
		return nil
	}
	s.until = now.Add(timeout + timeout/2)
	return s.nc.SetDeadline(s.until)
}

// Read is the connection's, for the record reader.
func (s *single) Read(b []byte) (int, error) {
	if err := s.extend(); err != nil {
		return 0, err
	}
	return s.nc.Read(b)
}

const singleID = 1

// exchange is a response under way; it is the response's Body.
type exchange struct {
	s       *single
	ctx     context.Context
	stop    func() bool // takes the watch on ctx off
	stderr  io.Writer
	pending []byte // of STDOUT, in the reader's buffer
	some    bool   // a byte has come
	left    int64  // of Content-Length; negative: not known
	drop    bool   // there is no body to pass on
	ended   bool
	err     error // what Read returns from now on

	mu      sync.Mutex
	sending bool  // the input is still on its way
	sendErr error // why it is not
}

func (s *single) roundTrip(ctx context.Context, req *gateway.Request) (*gateway.Response, error) {
	x := &exchange{s: s, ctx: ctx, stderr: req.Stderr, left: -1}
	in := inputsOf(singleID, req)
	b, err := begin(s.out[:0], singleID, req, s.keep)
	more := true
	if err == nil && in.small() {
		b, more, err = in.next(b)
	}
	if cap(b) <= 64<<10 {
		s.out = b[:0]
	}
	if err != nil {
		s.release(s.keep) // nothing was sent
		return nil, err
	}
	if ctx.Done() != nil {
		x.stop = context.AfterFunc(ctx, s.close)
	}
	s.used = true
	if err := s.extend(); err != nil {
		return nil, x.failed(&deadError{err: err, unsent: true})
	}
	n, err := s.nc.Write(b)
	switch {
	case err != nil:
		// The program may have answered already, and closed: that it did not
		// want the rest is no failure.
		x.sending, x.sendErr = true, err
	case more:
		x.sending = true
		go x.send(in)
	}
	head, err := x.head()
	if err != nil {
		if x.stop != nil {
			x.stop()
		}
		s.close()
		return nil, x.explain(err, n)
	}
	x.left = head.ContentLength
	if bodyless(req, head.Status) {
		x.drop, x.left = true, -1
	}
	return &gateway.Response{Head: *head, Body: x}, nil
}

// bodyless reports whether a response has no body whatever its head says.
func bodyless(req *gateway.Request, status int) bool {
	return status == http.StatusNoContent || status == http.StatusNotModified || req.Param("REQUEST_METHOD") == http.MethodHead
}

// failed closes what could not be used.
func (x *exchange) failed(err error) error {
	if x.stop != nil {
		x.stop()
	}
	x.s.close()
	return err
}

// explain finds the error that counts for a response without a head; sent is
// how many bytes of the request left.
func (x *exchange) explain(err error, sent int) error {
	x.mu.Lock()
	sendErr := x.sendErr
	x.mu.Unlock()
	var timeout net.Error
	switch {
	case x.ctx.Err() != nil:
		return x.ctx.Err()
	case errors.Is(sendErr, gateway.ErrBody):
		return sendErr
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("%w: nothing came for %v", gateway.ErrTimeout, or(x.s.c.Timeout, gateway.DefaultTimeout))
	case !x.some && lost(err):
		if sendErr != nil {
			err = sendErr
		}
		return &deadError{err: err, unsent: sent == 0}
	case lost(err):
		return fmt.Errorf("%w: the connection ends inside the response's head", gateway.ErrBadResponse)
	case errors.Is(err, ErrProtocol):
		return fmt.Errorf("%w: %w", gateway.ErrBadResponse, err)
	}
	return err
}

// lost reports whether an error is the connection's end.
func lost(err error) bool {
	var op *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &op)
}

// send writes the input while the response is read.
func (x *exchange) send(in inputs) {
	var err error
	b := make([]byte, 0, smallBody+HeaderLen+64)
	for more := true; more && err == nil; {
		if b, more, err = in.next(b[:0]); err != nil {
			break
		}
		_ = x.s.nc.SetWriteDeadline(time.Now().Add(or(x.s.c.Timeout, gateway.DefaultTimeout)))
		_, err = x.s.nc.Write(b)
	}
	x.mu.Lock()
	if err == nil {
		x.sending = false
	}
	x.sendErr = err
	x.mu.Unlock()
	if errors.Is(err, gateway.ErrBody) {
		x.s.close() // half a body must not pass for a whole one
	}
}

// head reads up to the end of the response's head.
func (x *exchange) head() (*gateway.Head, error) {
	most := or(x.s.c.MaxHead, gateway.DefaultMaxHead)
	var collected []byte
	for {
		part, err := x.next()
		if err != nil {
			if errors.Is(err, io.EOF) && x.ended {
				err = fmt.Errorf("%w: it ends before its head does: %.64q", gateway.ErrBadResponse, collected)
			}
			return nil, err
		}
		all := part
		if collected != nil {
			collected = append(collected, part...)
			all = collected
		}
		h, n, err := gateway.ParseHead(all)
		switch {
		case err != nil:
			return nil, err
		case n > most, n == 0 && len(all) > most:
			return nil, fmt.Errorf("%w: a head of more than %d bytes", gateway.ErrBadResponse, most)
		case n > 0:
			x.pending = all[n:]
			return h, nil
		case collected == nil:
			collected = append(make([]byte, 0, 2*len(part)), part...)
		}
	}
}

// next is the next part of STDOUT; io.EOF with ended set is the response's end.
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
		x.some = true
		switch {
		case h.ID == 0: // UNKNOWN_TYPE and the like; nothing was asked
			if _, err := x.s.in.whole(nil); err != nil {
				return nil, err
			}
		case h.ID != singleID:
			return nil, fmt.Errorf("%w: %v for request %d, which was not begun", ErrProtocol, h.Type, h.ID)
		case h.Type == Stdout:
		case h.Type == Stderr:
			if err := x.log(); err != nil {
				return nil, err
			}
		case h.Type == EndRequest:
			return nil, x.end()
		default:
			return nil, fmt.Errorf("%w: %v from a program", ErrProtocol, h.Type)
		}
	}
}

// log passes on a record of STDERR.
func (x *exchange) log() error {
	for {
		b, err := x.s.in.content()
		if err != nil || len(b) == 0 {
			return err
		}
		if x.stderr != nil {
			_, _ = x.stderr.Write(b) // a log that fails does not fail the request
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
	if err := e.err(); err != nil {
		return err
	}
	return io.EOF
}

// err is what the protocol's status means.
func (e endBody) err() error {
	switch e.status {
	case RequestComplete:
		return nil
	case Overloaded:
		return fmt.Errorf("%w (FCGI_OVERLOADED)", gateway.ErrOverloaded)
	case UnknownRole:
		return fmt.Errorf("%w (FCGI_UNKNOWN_ROLE)", gateway.ErrUnsupported)
	case CantMpxConn:
		return errCantMpx
	}
	return fmt.Errorf("%w: %v in END_REQUEST", ErrProtocol, e.status)
}

var errCantMpx = errors.New("the program takes one request at a time from a connection (FCGI_CANT_MPX_CONN)")

// Read is the response's body.
func (x *exchange) Read(b []byte) (int, error) {
	for x.err == nil {
		if len(x.pending) > 0 && !x.drop {
			if x.left == 0 {
				x.surplus()
				continue
			}
			if x.left > 0 && int64(len(x.pending)) > x.left && int64(len(b)) > x.left {
				b = b[:x.left]
			}
			n := copy(b, x.pending)
			x.pending = x.pending[n:]
			if x.left > 0 {
				x.left -= int64(n)
			}
			return n, nil
		}
		part, err := x.next()
		if err != nil {
			x.finish(err)
			continue
		}
		x.pending = part
	}
	return 0, x.err
}

// surplus cuts a response that is longer than it said.
func (x *exchange) surplus() {
	x.pending, x.drop, x.left = nil, true, -1
	if x.stderr != nil {
		_, _ = io.WriteString(x.stderr, "fcgi: the response is longer than its Content-Length; the rest is cut\n")
	}
}

// finish ends the exchange; io.EOF is the proper end.
func (x *exchange) finish(err error) {
	cancelled := x.stop != nil && !x.stop()
	x.mu.Lock()
	sending := x.sending
	x.mu.Unlock()
	if !errors.Is(err, io.EOF) || !x.ended {
		x.s.close()
		if x.err = x.explain(err, 1); lost(x.err) {
			x.err = fmt.Errorf("fcgi: %s: the connection ends inside a response: %w", x.s.c.Address, io.ErrUnexpectedEOF)
		}
		return
	}
	x.err = io.EOF
	if x.left > 0 {
		x.err = fmt.Errorf("fcgi: %s: the response ends %d bytes before its Content-Length: %w", x.s.c.Address, x.left, io.ErrUnexpectedEOF)
	}
	// Bytes that follow END_REQUEST belong to nobody; input that was not taken
	// would follow in the next request's place.
	clean := x.s.in.left+x.s.in.pad == 0 && !x.s.in.buffered()
	x.s.release(x.s.keep && clean && !sending && !cancelled)
}

// Close ends the exchange; unless the response has ended, the connection's end
// tells the program.
func (x *exchange) Close() error {
	if x.err == nil {
		if x.stop != nil {
			x.stop()
		}
		x.s.close()
		x.err = errors.New("fcgi: read of a closed response")
	}
	return nil
}

// release gives the connection back.
func (s *single) release(reuse bool) {
	if reuse {
		s.c.pool.put(s)
		return
	}
	s.close()
}
