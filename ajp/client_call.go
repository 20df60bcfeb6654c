package ajp

// One request on a client's connection. Whoever wants the response reads the
// connection; a large body is written by a goroutine, as the back end asks.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"

	"millrace/gateway"
)

// call is a request under way; it is the response's Body.
type call struct {
	s       *clientConn
	ctx     context.Context
	stop    func() bool // takes the watch on ctx off
	pending []byte      // of the body, in the reader's buffer
	some    bool        // a byte of the response has come
	left    int64       // of Content-Length; negative: not known
	drop    bool        // what comes of the body is not passed on
	err     error       // what Read returns from now on

	asks chan int      // for the sender; nil: there is none
	quit chan struct{} // closed when nobody wants the rest of the request

	mu       sync.Mutex
	released bool  // the connection is not ours any more
	closed   bool  // by Close
	owed     int   // parts of the body that the back end is to get
	writing  bool  // one of them
	after    bool  // the connection goes back when that is written
	waiting  bool  // for the request's body: the back end is not late
	sendErr  error // why the sender has stopped
}

// maxOwed is how many parts of a body a back end may wait for: the first,
// which it gets unasked, and one that it has asked for.
const maxOwed = 2

func (s *clientConn) roundTrip(ctx context.Context, out *outgoing) (*gateway.Response, error) {
	x := &call{s: s, ctx: ctx, left: -1}
	if ctx.Done() != nil {
		x.stop = gateway.AfterFunc(ctx, s.close)
	}
	s.used = true
	s.extend()
	n, err := s.nc.Write(out.packets)
	switch {
	case err != nil && n == 0:
		x.leave(false)
		return nil, x.explain(&deadError{err: err, unsent: true})
	case err != nil: // the back end may have answered all the same
		x.sendErr = err
	case out.body != nil:
		x.asks, x.quit, x.owed = make(chan int, maxOwed), make(chan struct{}), 1
		go x.send(out.body, out.length, out.max)
	}
	head, err := x.head()
	if err != nil {
		x.leave(false)
		if err = x.explain(err); x.some && lost(err) {
			err = fmt.Errorf("%w: the connection ends within the response's head: %w", gateway.ErrBadResponse, err)
		}
		return nil, err
	}
	x.left = head.ContentLength
	if bodyless(out.method, head.Status) {
		x.drop, x.left = true, -1
	}
	if x.drop || x.left == 0 { // whoever expects no body may not read to its end
		for x.err == nil && s.in.ready() {
			x.next()
		}
	}
	return &gateway.Response{Head: *head, Body: x}, nil
}

// leave gives the connection up, or back. It says whether it was still ours.
func (x *call) leave(reuse bool) bool {
	watched := x.stop == nil || x.stop()
	x.mu.Lock()
	ours := !x.released
	x.released = true
	reuse = reuse && watched && x.sendErr == nil
	// The back end may answer what has reached it before its sender knows.
	x.after = x.after || ours && reuse && x.owed == 1 && x.writing
	reuse = reuse && x.owed == 0
	after := x.after
	x.mu.Unlock()
	switch {
	case !ours:
		return false
	case after:
	case reuse:
		x.s.release()
	default:
		x.s.close()
	}
	if x.quit != nil {
		close(x.quit)
	}
	return true
}

// head reads up to SEND_HEADERS.
func (x *call) head() (*gateway.Head, error) {
	most := x.s.c.MaxHead
	if most == 0 {
		most = gateway.DefaultMaxHead
	}
	for {
		payload, err := x.packet()
		switch {
		case err != nil:
			return nil, err
		case len(payload) == 0:
			continue
		case payload[0] != typeSendHeaders:
			return nil, fmt.Errorf("%w: message type %d where SEND_HEADERS should be", gateway.ErrBadResponse, payload[0])
		case len(payload) > most:
			return nil, fmt.Errorf("%w: a head of more than %d bytes", gateway.ErrBadResponse, most)
		}
		h, err := parseHead(payload)
		if err != nil {
			err = fmt.Errorf("%w: %w", gateway.ErrBadResponse, err)
		}
		return h, err
	}
}

// packet is the next packet but for GET_BODY_CHUNK, which is seen to; then it
// is empty.
func (x *call) packet() ([]byte, error) {
	for {
		payload, ok, err := x.s.in.take()
		switch {
		case err != nil:
			return nil, fmt.Errorf("%w: %w", gateway.ErrBadResponse, err)
		case !ok:
			if err := x.fill(); err != nil {
				return nil, err
			}
			continue
		case len(payload) == 0:
			return nil, fmt.Errorf("%w: an empty packet", gateway.ErrBadResponse)
		case payload[0] != typeGetBodyChunk:
			return payload, nil
		}
		n, err := parseGetBody(payload)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", gateway.ErrBadResponse, err)
		}
		return nil, x.asked(n)
	}
}

// fill reads once. The time in which the back end waits for the request's body
// does not count.
func (x *call) fill() error {
	for {
		x.s.extend()
		if x.s.in.buffered() == headerSize {
			acknowledge(x.s.nc) // flup writes headers by themselves, and waits as lighttpd does
		}
		err := x.s.in.fill()
		x.some = x.some || x.s.in.buffered() > 0
		if err == nil || !isTimeout(err) {
			return err
		}
		x.mu.Lock()
		waiting := x.waiting
		x.mu.Unlock()
		if !waiting {
			return err
		}
	}
}

// lost reports whether an error is the connection's end.
func lost(err error) bool {
	var op *net.OpError
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &op)
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// asked is for a GET_BODY_CHUNK.
func (x *call) asked(n int) error {
	if x.asks == nil { // all that there was has been sent
		_, err := x.s.nc.Write(appendChunk(nil, nil))
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.owed == maxOwed {
		return fmt.Errorf("%w: GET_BODY_CHUNK again before the last one was answered", gateway.ErrBadResponse)
	}
	x.owed++
	x.asks <- n // has room for all that is owed
	return nil
}

// send writes the body: one part unasked, then one for each GET_BODY_CHUNK, and
// an empty packet for each that asks for more than there is.
func (x *call) send(body io.Reader, left int64, max int) {
	packet := make([]byte, 0, max)
	part := make([]byte, max-chunkHead)
	for want := len(part); ; {
		n, err := x.part(body, part[:want], left)
		left -= int64(n)
		if err == nil {
			packet = appendChunk(packet[:0], part[:n])
			x.s.extend()
			x.mu.Lock()
			x.writing = true
			x.mu.Unlock()
			_, err = x.s.nc.Write(packet)
		}
		if x.sent(err); err != nil { // the response may be there all the same
			return
		}
		select {
		case want = <-x.asks:
			want = min(want, len(part))
		case <-x.quit:
			return
		}
	}
}

// sent says that a part has been sent, or why not.
func (x *call) sent(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.owed--
	x.writing = false
	x.sendErr = err
	switch {
	case x.after && err == nil:
		x.s.release()
	case x.after:
		x.s.close()
	}
	if errors.Is(err, gateway.ErrBody) && !x.released {
		x.s.close() // half a body must not pass for a whole one
	}
}

var errOver = errors.New("the response is complete")

// part reads as much of the body as is there, one byte at least. The last part
// is given only when the body has ended with it: a back end must not take a
// body that goes on for a whole one.
func (x *call) part(body io.Reader, b []byte, left int64) (n int, err error) {
	b = b[:min(int64(len(b)), left)]
	for n == 0 && len(b) > 0 && err == nil {
		n, err = x.read(body, b)
	}
	for more := 0; n > 0 && int64(n) == left && err == nil; {
		if more, err = x.read(body, make([]byte, 1)); more > 0 {
			return 0, fmt.Errorf("%w: it is longer than its length says", gateway.ErrBody)
		}
	}
	switch {
	case errors.Is(err, errOver):
		return 0, err
	case err == nil, n > 0 && errors.Is(err, io.EOF): // it comes again, if too early
		return n, nil
	}
	return 0, bodyError(left, err)
}

// read is a Read of the request's body.
func (x *call) read(body io.Reader, b []byte) (int, error) {
	x.mu.Lock()
	if x.released {
		x.mu.Unlock()
		return 0, errOver
	}
	x.waiting = true
	x.mu.Unlock()
	n, err := body.Read(b)
	x.s.extend()
	x.mu.Lock()
	x.waiting = false
	x.mu.Unlock()
	return n, err
}

// Read is the response's body. It takes what has come, and waits only when that
// is nothing.
func (x *call) Read(b []byte) (n int, err error) {
	x.mu.Lock()
	closed := x.closed
	x.mu.Unlock()
	switch {
	case closed:
		return 0, http.ErrBodyReadAfterClose
	case len(b) == 0:
		return 0, nil
	}
	for {
		m := copy(b[n:], x.pending)
		n += m
		x.pending = x.pending[m:]
		switch {
		case len(x.pending) > 0:
			return n, nil
		case x.err != nil:
			return n, x.err
		case n > 0 && !x.s.in.ready():
			return n, nil
		}
		x.next()
	}
}

// next takes the next packet of the body.
func (x *call) next() {
	payload, err := x.packet()
	switch {
	case err != nil:
		x.finish(false, err)
	case len(payload) == 0:
	case payload[0] == typeSendBodyChunk:
		data, err := parseBodyChunk(payload)
		if err != nil {
			x.finish(false, fmt.Errorf("%w: %w", gateway.ErrBadResponse, err))
			return
		}
		x.add(data)
	case payload[0] == typeEndResponse:
		reuse, err := parseEnd(payload)
		switch {
		case err != nil:
			err = fmt.Errorf("%w: %w", gateway.ErrBadResponse, err)
		case x.left > 0:
			err = fmt.Errorf("the response ends %d bytes before its Content-Length: %w", x.left, io.ErrUnexpectedEOF)
		}
		x.finish(reuse, err)
	default:
		x.finish(false, fmt.Errorf("%w: message type %d within a response", gateway.ErrBadResponse, payload[0]))
	}
}

// add takes data of the body. What is more than Content-Length has announced
// is cut, and so is the body of a response that has none.
func (x *call) add(data []byte) {
	switch {
	case x.drop:
		return
	case x.left >= 0 && int64(len(data)) > x.left:
		data, x.drop = data[:x.left], true
	}
	if x.left >= 0 {
		x.left -= int64(len(data))
	}
	x.pending = data
}

// finish ends the call; properly, if err is nil. What follows END_RESPONSE belongs to nobody, and
// forbids that the connection be used again.
func (x *call) finish(reuse bool, err error) {
	x.leave(reuse && x.s.in.buffered() == 0)
	if err == nil {
		x.err = io.EOF
		return
	}
	x.err = x.s.c.wrap(x.explain(err))
}

// explain finds the error that counts.
func (x *call) explain(err error) error {
	x.mu.Lock()
	sendErr := x.sendErr
	x.mu.Unlock()
	var dead *deadError
	switch {
	case x.ctx.Err() != nil:
		return fmt.Errorf("the request was given up: %w", context.Cause(x.ctx))
	case errors.Is(sendErr, gateway.ErrBody):
		return sendErr
	case errors.As(err, &dead), errors.Is(err, gateway.ErrBadResponse):
		return err
	case isTimeout(err):
		return fmt.Errorf("%w: nothing came for %v", gateway.ErrTimeout, x.s.timeout())
	case !x.some:
		if sendErr != nil {
			err = sendErr
		}
		return &deadError{err: err}
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return err
}

// Close ends the call; the end of the connection tells the back end, unless
// the response has ended. It may be called while another goroutine reads.
func (x *call) Close() error {
	x.mu.Lock()
	x.closed = true
	x.mu.Unlock()
	x.leave(false)
	return nil
}
