package fcgi

// A connection that many requests share. One goroutine reads it and hands each
// stream its bytes; a stream that nobody reads fills its own pipe and holds up
// no other.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"millrace/gateway"
)

// mux is a client's shared connection.
type mux struct {
	c   *Client
	nc  net.Conn
	in  reader
	out output
	max int

	// Guarded by pool.mu.
	taken   int // requests that have a place
	used    bool
	retired bool      // takes no more
	since   time.Time // idle since, when taken is 0

	mu      sync.Mutex
	streams map[uint16]*stream
	lastID  uint16
	dead    error
}

// stream is one request of a mux.
type stream struct {
	m      *mux
	id     uint16
	stdout pipe
	stderr io.Writer

	mu      sync.Mutex
	some    bool  // a record has come
	sent    error // why the input is not
	sending bool  // the input is on its way
	ended   bool  // END_REQUEST has come
	cancel  bool  // ABORT_REQUEST was sent: nobody waits for the end
}

func newMux(c *Client, nc net.Conn, in reader, requests int) *mux {
	m := &mux{c: c, nc: nc, in: in, max: requests, streams: map[uint16]*stream{}, since: time.Now()}
	m.out.init(deadlineWriter{nc, or(c.Timeout, gateway.DefaultTimeout)})
	return m
}

// deadlineWriter gives each write its time.
type deadlineWriter struct {
	net.Conn
	timeout time.Duration
}

func (w deadlineWriter) Write(b []byte) (int, error) {
	if err := w.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
		return 0, err
	}
	return w.Conn.Write(b)
}

// add gives a stream its id.
func (m *mux) add(s *stream) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead != nil {
		return m.dead
	}
	for {
		m.lastID++
		if m.lastID != 0 && m.streams[m.lastID] == nil {
			s.id = m.lastID
			m.streams[s.id] = s
			return nil
		}
	}
}

// leave gives a stream's place free.
func (m *mux) leave(s *stream) {
	m.mu.Lock()
	if m.streams[s.id] == s {
		delete(m.streams, s.id)
	}
	m.mu.Unlock()
	p := &m.c.pool
	p.mu.Lock()
	m.taken--
	m.used = true
	retired := m.retired
	if m.taken == 0 {
		m.since = time.Now()
		p.sweepLocked(or(m.c.IdleTimeout, defaultIdleTimeout))
	}
	p.wakeLocked(1)
	p.mu.Unlock()
	if retired {
		m.closeIfLeft()
	}
}

// read hands out what comes, until the connection ends.
func (m *mux) read() {
	err := m.records()
	m.nc.Close()
	p := &m.c.pool
	p.mu.Lock()
	m.retired = true
	if i := slices.Index(p.muxes, m); i >= 0 {
		p.muxes = slices.Delete(p.muxes, i, i+1)
	}
	p.mu.Unlock()
	p.gone()
	m.mu.Lock()
	m.dead = &deadError{err: err, unsent: true}
	streams := m.streams
	m.streams = map[uint16]*stream{}
	m.mu.Unlock()
	for _, s := range streams {
		s.stdout.finish(s.cutOff(err))
	}
}

// cutOff is what the connection's end means to a stream.
func (s *stream) cutOff(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.some && (lost(err) || errors.Is(err, ErrProtocol)) {
		return &deadError{err: err}
	}
	return fmt.Errorf("the connection ends inside a response: %w: %w", err, io.ErrUnexpectedEOF)
}

func (m *mux) records() error {
	for {
		h, err := m.in.next()
		if err != nil {
			return err
		}
		if h.ID == 0 {
			if _, err := m.in.whole(nil); err != nil {
				return err
			}
			continue
		}
		m.mu.Lock()
		s := m.streams[h.ID]
		m.mu.Unlock()
		if s == nil {
			return fmt.Errorf("%w: %v for request %d, which was not begun", ErrProtocol, h.Type, h.ID)
		}
		if err := s.record(h); err != nil {
			return err
		}
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
		case h.Type == Stdout:
			if err := s.stdout.write(b); err != nil {
				s.abort(err)
			}
		case s.stderr != nil:
			_, _ = s.stderr.Write(b) // a log that fails does not fail the request
		}
	}
}

func (s *stream) end() error {
	b, err := s.m.in.whole(nil)
	if err != nil {
		return err
	}
	e, err := parseEnd(b)
	if err != nil {
		return err
	}
	err = e.err()
	switch {
	case err == nil:
		err = io.EOF
	case errors.Is(err, errCantMpx):
		s.m.c.pool.unshare()
		err = &deadError{err: err, unsent: true}
	}
	s.stdout.finish(err)
	s.mu.Lock()
	s.ended = true
	sending := s.sending
	s.mu.Unlock()
	if !sending { // else the sender leaves: the id must not be another's before
		s.m.leave(s)
	}
	return nil
}

// unshare notes that connections are not to be shared after all.
func (p *pool) unshare() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limits.mpx, p.limits.requests = false, 1
	for _, m := range p.muxes {
		m.retired = true
	}
}

// abort ends the stream early. Its place is free when the program has said
// END_REQUEST; one that does not say it loses the connection.
func (s *stream) abort(why error) {
	s.stdout.finish(why)
	s.mu.Lock()
	again := s.cancel || s.ended
	s.cancel = true
	s.mu.Unlock()
	if !again {
		_ = s.m.out.send(AppendHeader(nil, Header{Type: AbortRequest, ID: s.id})) // an error shows at the reader
		time.AfterFunc(or(s.m.c.Timeout, gateway.DefaultTimeout), func() { s.m.overdue(s) })
	}
}

// overdue retires the connection if an aborted stream has still not ended, and
// closes it when no other one is left.
func (m *mux) overdue(s *stream) {
	m.mu.Lock()
	there := m.streams[s.id] == s
	m.mu.Unlock()
	if !there {
		return
	}
	m.c.pool.mu.Lock()
	m.retired = true
	m.c.pool.mu.Unlock()
	m.closeIfLeft()
}

// closeIfLeft closes a retired connection that only aborted streams are on.
func (m *mux) closeIfLeft() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.streams {
		s.mu.Lock()
		cancelled := s.cancel
		s.mu.Unlock()
		if !cancelled {
			return
		}
	}
	m.nc.Close()
}

func (m *mux) roundTrip(ctx context.Context, req *gateway.Request) (resp *gateway.Response, kept bool, err error) {
	p := &m.c.pool
	p.mu.Lock()
	kept = m.used
	p.mu.Unlock()
	s := &stream{m: m, stderr: req.Stderr}
	s.stdout.init()
	s.stdout.spill = true
	if err := m.add(s); err != nil {
		m.leave(s)
		return nil, true, err
	}
	in := inputsOf(s.id, req)
	b, err := begin(make([]byte, 0, 2<<10), s.id, req, true)
	more := true
	if err == nil && in.small() {
		b, more, err = in.next(b)
	}
	if err != nil {
		m.leave(s) // nothing was sent
		return nil, kept, err
	}
	body := &muxBody{s: s, ctx: ctx, left: -1, timeout: or(m.c.Timeout, gateway.DefaultTimeout)}
	if ctx.Done() != nil {
		body.stop = context.AfterFunc(ctx, func() { s.abort(context.Cause(ctx)) })
	}
	s.sending = more
	m.out.use(1)
	_ = m.out.send(b) // an error the reader sees too, and ends all streams
	m.out.use(-1)
	if more { // after an error as well: it ends at once then
		go s.send(in)
	}
	head, err := body.head(or(m.c.MaxHead, gateway.DefaultMaxHead))
	if err != nil {
		body.quit()
		return nil, kept, body.explain(err)
	}
	body.left = head.ContentLength
	if bodyless(req, head.Status) {
		body.drop, body.left = true, -1
	}
	return &gateway.Response{Head: *head, Body: body}, kept, nil
}

// send writes the input while the response is read. Input that the program
// has answered without is cut at once; its end is sent all the same, so that a
// program that waits for it can forget the request.
func (s *stream) send(in inputs) {
	b := make([]byte, 0, smallBody+HeaderLen+64)
	for more := true; more; {
		s.mu.Lock()
		over := s.cancel || s.ended
		s.mu.Unlock()
		var err error
		if over {
			b, more = in.finish(b[:0]), false
		} else if b, more, err = in.next(b[:0]); err != nil {
			s.mu.Lock()
			s.sent = err
			s.mu.Unlock()
			s.abort(err)
			continue
		}
		if s.m.out.send(b) != nil {
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

// muxBody is a response's body.
type muxBody struct {
	s       *stream
	ctx     context.Context
	stop    func() bool
	timeout time.Duration
	pending []byte
	left    int64
	drop    bool
	err     error
}

// head reads up to the end of the response's head.
func (b *muxBody) head(most int) (*gateway.Head, error) {
	buf := make([]byte, 0, 4<<10)
	for {
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, len(buf))
		}
		_ = b.s.stdout.SetReadDeadline(time.Now().Add(b.timeout))
		n, err := b.s.stdout.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = fmt.Errorf("%w: it ends before its head does: %.64q", gateway.ErrBadResponse, buf)
			}
			return nil, err
		}
		h, n, err := gateway.ParseHead(buf)
		switch {
		case err != nil:
			return nil, err
		case n > most, n == 0 && len(buf) > most:
			return nil, fmt.Errorf("%w: a head of more than %d bytes", gateway.ErrBadResponse, most)
		case n > 0:
			b.pending = buf[n:]
			return h, nil
		}
	}
}

// explain finds the error that counts.
func (b *muxBody) explain(err error) error {
	b.s.mu.Lock()
	sendErr := b.s.sent
	b.s.mu.Unlock()
	switch {
	case b.ctx.Err() != nil:
		return b.ctx.Err()
	case sendErr != nil:
		return sendErr
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w: nothing came for %v", gateway.ErrTimeout, b.timeout)
	}
	return err
}

// quit ends the stream if it has not ended, and lets go of its bytes.
func (b *muxBody) quit() {
	if b.stop != nil {
		b.stop()
	}
	if _, ended := b.s.stdout.ended(); !ended {
		b.s.abort(os.ErrClosed)
	}
	b.s.stdout.close()
}

// Read is the response's body.
func (b *muxBody) Read(p []byte) (int, error) {
	for b.err == nil {
		n, err := 0, error(nil)
		if len(b.pending) > 0 {
			n = copy(p, b.pending)
			b.pending = b.pending[n:]
		} else {
			_ = b.s.stdout.SetReadDeadline(time.Now().Add(b.timeout))
			n, err = b.s.stdout.Read(p)
		}
		switch {
		case b.drop:
			n = 0
		case b.left >= 0 && int64(n) > b.left:
			n = int(b.left)
			b.left, b.drop = -1, true
			if b.s.stderr != nil {
				_, _ = io.WriteString(b.s.stderr, "fcgi: the response is longer than its Content-Length; the rest is cut\n")
			}
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

func (b *muxBody) end(err error) {
	switch {
	case !errors.Is(err, io.EOF):
		b.err = fmt.Errorf("fcgi: %s: %w", b.s.m.c.Address, b.explain(err))
	case b.left > 0:
		b.err = fmt.Errorf("fcgi: %s: the response ends %d bytes before its Content-Length: %w", b.s.m.c.Address, b.left, io.ErrUnexpectedEOF)
	default:
		b.err = io.EOF
	}
	b.quit()
}

// Close ends the stream; unless the response has ended, the program is told by
// ABORT_REQUEST.
func (b *muxBody) Close() error {
	if b.err == nil {
		b.err = errors.New("fcgi: read of a closed response")
		b.quit()
	}
	return nil
}

var _ io.ReadCloser = (*muxBody)(nil)
