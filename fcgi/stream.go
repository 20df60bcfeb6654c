package fcgi

// One request on a shared connection, and its response.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"millrace/gateway"
)

// stream is one request of a mux; its place is taken until END_REQUEST has
// come and nothing more of it is sent.
type stream struct {
	upload
	m      *mux
	id     uint16
	kept   bool // the connection had others before it
	in     inputs
	stdout pipe

	dropped int // bytes that came after it was aborted; the reader's

	mu      sync.Mutex
	stderr  io.Writer
	started bool // the program may have seen something of it
	sending bool // the input is on its way
	some    bool // a record has come
	ended   bool // END_REQUEST has come
	cancel  bool // nobody waits for the end
}

var sendBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 2<<10); return &b }}

func (m *mux) roundTrip(ctx context.Context, req *gateway.Request) (*gateway.Response, error) {
	s := &stream{m: m, stderr: req.Stderr, started: true}
	s.stdout.init()
	s.stdout.hurry = true
	s.in.init(0, req)
	ready := s.in.ready()
	if !ready {
		s.started, s.sending, s.active = false, true, true
	}
	if err := m.add(s); err != nil {
		m.leave(s)
		return nil, err
	}
	s.in.id = s.id
	buffer := sendBuffers.Get().(*[]byte)
	b, err := begin((*buffer)[:0], s.id, req, true)
	for more := ready; more && err == nil; {
		b, more, err = s.in.next(b)
	}
	if err != nil {
		m.leave(s) // nothing was sent
		return nil, err
	}
	body := &muxBody{s: s, ctx: ctx, left: -1}
	if ctx.Done() != nil {
		body.stop = gateway.AfterFunc(ctx, func() { s.abort(context.Cause(ctx)) })
	}
	if ready {
		m.out.use(1)
		_ = m.out.send(b) // an error the reader sees too, and ends all streams
		m.out.use(-1)
		if cap(b) <= 2*smallBody {
			*buffer = b
			sendBuffers.Put(buffer)
		}
	} else {
		go s.send(b)
	}
	head, err := body.head()
	if err != nil {
		body.quit()
		return nil, body.explain(err)
	}
	body.left = head.ContentLength
	if bodyless(req, head.Status) {
		body.drop, body.left = true, -1
	}
	return &gateway.Response{Head: *head, Body: body}, nil
}

// send writes the request while the response is read. Input that the program
// has answered without is cut at once; its end is sent all the same, so that a
// program that waits for it can forget the request.
func (s *stream) send(b []byte) {
	for more := true; more; b = b[:0] {
		s.wait(true)
		var err error
		b, more, err = s.in.next(b)
		if err != nil {
			s.fail(err)
			s.abort(err)
		} else {
			s.wait(false)
		}
		s.mu.Lock()
		over, unsent := s.cancel || s.ended, !s.started
		s.started = s.started || !over
		s.mu.Unlock()
		switch {
		case over && unsent:
			s.m.leave(s)
			return
		case over:
			b, more = s.in.finish(b[:0]), false
		}
		err = s.m.out.send(b)
		s.wrote(len(b), more, err)
		if err != nil {
			break // the reader sees it too
		}
	}
	s.mu.Lock()
	s.sending = false
	ended := s.ended
	s.mu.Unlock()
	if ended {
		s.m.leave(s)
	}
}

// record takes a record of the stream. An error is the connection's.
func (s *stream) record(h Header) error {
	s.mu.Lock()
	s.some = true
	s.mu.Unlock()
	switch h.Type {
	case Stdout, Stderr:
	case EndRequest:
		return s.end()
	default:
		return fmt.Errorf("%w: %v from a program", ErrProtocol, h.Type)
	}
	for {
		b, err := s.m.in.content()
		switch {
		case err != nil || len(b) == 0:
			return err
		case h.Type == Stderr:
			s.log(b)
		case s.givenUp():
			s.unheard(len(b))
		default:
			if err := s.stdout.write(b); err != nil {
				s.abort(err)
			}
		}
	}
}

// unheardMax is how many bytes of an aborted response a program may still
// send.
const unheardMax = 1 << 20

// unheard counts what comes for an aborted stream. A program that does not
// stop (net/http/fcgi knows no abort once the input has ended) would go on for
// ever: its connection takes nothing more, and closes with the last of the
// others.
func (s *stream) unheard(n int) {
	before := s.dropped
	s.dropped += n
	if before <= unheardMax && s.dropped > unheardMax {
		s.m.overdue(s)
	}
}

// log passes on what the program says, as long as somebody listens.
func (s *stream) log(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stderr != nil {
		_, _ = s.stderr.Write(b) // a log that fails does not fail the request
	}
}

// end takes END_REQUEST.
func (s *stream) end() error {
	b, err := s.m.in.whole(nil)
	if err != nil {
		return err
	}
	e, err := parseEnd(b)
	if err != nil {
		return err
	}
	if err = e.err(); errors.Is(err, errCantMpx) {
		s.m.c.pool.unshare()
		err = &deadError{err: err, refused: true}
	}
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return fmt.Errorf("%w: request %d is ended a second time", ErrProtocol, s.id)
	}
	s.ended = true
	sending := s.sending
	s.mu.Unlock()
	s.stdout.finish(err)
	if !sending { // else the sender leaves: the id must not be another's before
		s.m.leave(s)
	}
	return nil
}

// cutOff ends the stream when the connection has ended.
func (s *stream) cutOff(err error) {
	s.mu.Lock()
	some, started := s.some, s.started
	s.mu.Unlock()
	if !some && (lost(err) || errors.Is(err, ErrProtocol)) {
		err = &deadError{err: cut(err), kept: s.kept, unsent: !started}
	} else if lost(err) {
		err = fmt.Errorf("the connection ends inside a response: %w", io.ErrUnexpectedEOF)
	} else {
		err = fmt.Errorf("%w: %w: %w", gateway.ErrBadResponse, err, io.ErrUnexpectedEOF)
	}
	s.stdout.finish(err)
}

// abort ends the stream early. Its place is free when the program has said
// END_REQUEST; one that does not say it loses the connection.
func (s *stream) abort(why error) {
	s.stdout.finish(why)
	s.mu.Lock()
	over, started := s.cancel || s.ended, s.started
	s.cancel = true
	s.mu.Unlock()
	if !over && started { // else the sender leaves
		_ = s.m.out.send(AppendHeader(nil, Header{Type: AbortRequest, ID: s.id})) // an error shows at the reader
		time.AfterFunc(s.m.c.timeout(), func() { s.m.overdue(s) })
	}
}

func (s *stream) givenUp() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cancel
}

// muxBody is a response's body.
type muxBody struct {
	s       *stream
	ctx     context.Context
	stop    func() bool
	pending []byte
	left    int64 // of Content-Length; negative: not known
	drop    bool  // there is no body to pass on
	err     error // what Read returns from now on
	over    atomic.Bool
}

// inTime has read wait for the stream's next bytes. A program that takes input
// meanwhile is not late.
func (b *muxBody) inTime(read func(time.Time) error) error {
	timeout := b.s.m.c.timeout()
	for wait := timeout; ; {
		err := read(time.Now().Add(wait))
		if !isTimeout(err) {
			return err
		}
		if wait = b.s.grace(timeout); wait == 0 {
			return err
		}
	}
}

// head reads up to the end of the response's head.
func (b *muxBody) head() (*gateway.Head, error) {
	head, rest, err := readHead(or(b.s.m.c.MaxHead, gateway.DefaultMaxHead), func() (part []byte, err error) {
		err = b.inTime(func(deadline time.Time) (err error) {
			part, err = b.s.stdout.grab(deadline)
			return err
		})
		return part, err
	})
	b.pending = rest
	return head, err
}

// explain finds the error that counts.
func (b *muxBody) explain(err error) error {
	_, _, sendErr := b.s.state()
	switch {
	case b.ctx.Err() != nil:
		return b.ctx.Err()
	case errors.Is(sendErr, gateway.ErrBody):
		return sendErr
	case isTimeout(err):
		return fmt.Errorf("%w: nothing came for %v", gateway.ErrTimeout, b.s.m.c.timeout())
	}
	return err
}

// quit ends the stream if it has not ended, and lets go of its bytes.
func (b *muxBody) quit() {
	b.over.Store(true)
	if b.stop != nil {
		b.stop()
	}
	if !b.s.stdout.ended() {
		b.s.abort(os.ErrClosed)
	}
	b.s.stdout.close()
	b.s.mu.Lock()
	b.s.stderr = nil // the caller's again
	b.s.mu.Unlock()
}

// Read is the response's body.
func (b *muxBody) Read(p []byte) (int, error) {
	for b.err == nil && len(p) > 0 {
		if b.over.Load() {
			return 0, http.ErrBodyReadAfterClose
		}
		n, err := 0, error(nil)
		if len(b.pending) > 0 {
			n = copy(p, b.pending)
			b.pending = b.pending[n:]
		} else {
			err = b.inTime(func(deadline time.Time) (err error) {
				n, err = b.s.stdout.readBy(p, deadline)
				return err
			})
		}
		switch {
		case b.drop:
			n = 0
		case b.left >= 0 && int64(n) > b.left:
			n = int(b.left)
			b.left, b.drop = -1, true
			b.s.mu.Lock()
			surplus(b.s.stderr)
			b.s.mu.Unlock()
		case b.left >= 0:
			b.left -= int64(n)
		}
		if err != nil {
			b.end(err)
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, b.err
}

// end ends the response; errEnd is its proper end.
func (b *muxBody) end(err error) {
	address := b.s.m.c.Address
	switch {
	case b.over.Load():
		b.err = http.ErrBodyReadAfterClose
	case err != errEnd:
		b.err = fmt.Errorf("fcgi: %s: %w", address, b.explain(err))
	case b.left > 0:
		b.err = short(address, b.left)
	default:
		b.err = io.EOF
	}
	b.quit()
}

// Close ends the stream; unless the response has ended, the program is told by
// ABORT_REQUEST. It may be called while another goroutine reads.
func (b *muxBody) Close() error {
	if !b.over.Load() {
		b.quit()
	}
	return nil
}

var _ io.ReadCloser = (*muxBody)(nil)
