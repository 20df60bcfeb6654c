package ajp

// One request on a server's connection: its body, its response, its end.

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"millrace/gateway"
)

// requestBody is what a handler reads. What the front server has sent waits in
// data; more is asked for when that is empty. All is guarded by conn.mu.
type requestBody struct {
	conn    *serverConn
	arrived sync.Cond
	data    []byte // that has come; read up to at
	at      int
	left    int64 // to come; negative: not known
	credit  int   // how much of it was asked for
	waiting bool  // for a packet
	bare    bool  // packets without an inner length
	decided bool  // whether bare
	err     error // after data; io.EOF at the end
}

// maxCredit bounds what a front server may send at once, however often it was
// asked for more and sent less.
const maxCredit = 64 << 10

func newBody(c *serverConn, length int64) *requestBody {
	bare := c.server.Lighttpd && length > 0 // it always knows the length
	b := &requestBody{conn: c, left: length, bare: bare, decided: bare}
	b.arrived.L = &c.mu
	if length > 0 { // the first part comes unasked
		b.waiting, b.credit = true, c.max
	}
	return b
}

// Read asks for more when it has none.
func (b *requestBody) Read(p []byte) (int, error) {
	b.conn.mu.Lock()
	defer b.conn.mu.Unlock()
	for b.at == len(b.data) {
		switch {
		case b.err != nil:
			return 0, b.err
		case len(p) == 0:
			return 0, nil
		case b.waiting:
			b.arrived.Wait()
		default:
			b.ask()
		}
	}
	n := copy(p, b.data[b.at:])
	if b.at += n; b.at == len(b.data) {
		b.data, b.at = b.data[:0], 0
	}
	return n, nil
}

// ask asks for as much as a packet can hold. It lets conn.mu go meanwhile.
func (b *requestBody) ask() {
	n := b.conn.max - chunkHead
	if b.left >= 0 {
		n = int(min(int64(n), b.left))
	}
	b.waiting = true
	b.credit = min(b.credit+n, maxCredit)
	b.conn.mu.Unlock()
	err := b.conn.ask(b, n)
	b.conn.mu.Lock()
	if err != nil {
		b.fail(err)
	}
}

// fail ends the body; what has come can still be read.
func (b *requestBody) fail(err error) {
	if b.err == nil {
		b.err = err
	}
	b.waiting = false
	b.arrived.Broadcast()
}

// take is for a packet that comes while the request runs: it can only be a part
// of the body. conn.mu is held. An error is the front server's fault.
func (x *exchange) take(c *serverConn, payload []byte) error {
	if x.body == nil || !x.body.waiting && len(payload) == 0 {
		if len(payload) == 0 {
			return c.stray()
		}
		return fmt.Errorf("ajp: %d bytes that were not asked for, while a request runs", len(payload))
	}
	b := x.body
	data, err := b.parse(payload)
	switch {
	case err != nil:
		return err
	case len(data) > b.credit || b.left >= 0 && int64(len(data)) > b.left:
		return fmt.Errorf("ajp: %d bytes of body that were not asked for", len(data))
	}
	b.waiting = false
	b.credit -= len(data)
	b.data = append(b.data, data...)
	switch {
	case b.left > 0 && len(data) == 0:
		b.fail(fmt.Errorf("ajp: the body ends %d bytes short of its Content-Length: %w", b.left, io.ErrUnexpectedEOF))
	case b.left > 0:
		if b.left -= int64(len(data)); b.left == 0 {
			b.fail(io.EOF)
		}
	case len(data) == 0:
		b.fail(io.EOF)
	}
	b.arrived.Broadcast()
	return nil
}

// parse takes the data out of a packet. lighttpd leaves the inner length out,
// which the first packet shows: its length does not fit.
func (b *requestBody) parse(payload []byte) ([]byte, error) {
	if b.bare {
		return payload, nil
	}
	data, err := parseChunk(payload)
	if err != nil && !b.decided && b.left > 0 && int64(len(payload)) <= b.left {
		b.conn.server.warnOnce.Do(func() {
			b.conn.log.Warn("a front server sends body packets without their inner length, as lighttpd does; if it is lighttpd, say so (Server.Lighttpd): its paths are decoded, too")
		})
		b.bare, err = true, nil
		data = payload
	}
	b.decided = true
	return data, err
}

// ask sends a GET_BODY_CHUNK, and before it what waits to be sent.
func (c *serverConn) ask(b *requestBody, n int) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.mu.Lock()
	runs := c.running != nil && c.running.body == b
	c.mu.Unlock()
	if !runs { // the handler has returned, and left somebody reading
		return http.ErrBodyReadAfterClose
	}
	c.hold()
	c.closeChunk()
	c.out = appendGetBody(c.out, n)
	return c.sendLocked()
}

// stream writes a response.
type stream struct {
	conn    *serverConn
	x       *exchange
	flushed bool // since the last write
}

var (
	_ gateway.Stream = (*stream)(nil)
	_ io.ReaderFrom  = (*stream)(nil)
)

// sendSize is how much of a response is collected before it is sent.
const sendSize = 24 << 10

// errReturned is for a handler that writes after its return: by then the
// connection is another request's.
var errReturned = errors.New("ajp: the handler has returned")

var errHeadTooLarge = errors.New("ajp: the response's head does not fit a packet")

// WriteHead holds the head back for the first bytes of the body. One that does
// not fit a packet cannot be sent at all; the response is a 500 then.
func (s *stream) WriteHead(status int, header http.Header) error {
	c := s.conn
	c.writing.Lock()
	defer c.writing.Unlock()
	if s.x.over {
		return errReturned
	}
	c.hold()
	start := len(c.out)
	var fits bool
	if c.out, fits = appendHead(c.out, status, header, c.max, c.server.Lighttpd); fits {
		return c.failed
	}
	size := len(c.out) - start
	c.log.Error("a response's head does not fit; raise PacketSize on both sides, or send fewer headers",
		"uri", s.x.request.RequestURI, "bytes", size, "packet", c.max)
	s.x.replaced = true
	c.out, _ = appendHead(c.out[:start], http.StatusInternalServerError, nil, c.max, false)
	return errHeadTooLarge
}

// Write appends to the packet that is open, and sends what is enough.
func (s *stream) Write(b []byte) (int, error) {
	c := s.conn
	c.writing.Lock()
	defer c.writing.Unlock()
	if s.x.over {
		return 0, errReturned
	}
	total := len(b)
	s.flushed = s.flushed && total == 0
	for len(b) > 0 {
		if c.failed != nil {
			return total - len(b), c.failed
		}
		if c.chunk < 0 {
			c.chunk = len(c.out)
			c.out = beginPacket(c.out, toFront)
			c.out = append(c.out, typeSendBodyChunk, 0, 0)
		}
		room := c.max - 1 - (len(c.out) - c.chunk)
		n := min(room, len(b))
		c.out = append(c.out, b[:n]...)
		b = b[n:]
		if n == room {
			c.closeChunk()
		}
		if len(c.out) >= sendSize {
			c.closeChunk()
			_ = c.sendLocked() // it stays in failed
		}
	}
	return total, c.failed
}

// ReadFrom spares io.Copy its buffer.
func (s *stream) ReadFrom(r io.Reader) (int64, error) {
	b := s.conn.server.buffer()
	defer s.conn.server.free(b)
	return io.CopyBuffer(struct{ io.Writer }{s}, struct{ io.Reader }{r}, b[:cap(b)])
}

// Flush sends what is held, and an empty SEND_BODY_CHUNK after it: mod_proxy_ajp
// and mod_jk then pass on to the client what they have, as for Tomcat.
func (s *stream) Flush() error {
	c := s.conn
	c.writing.Lock()
	defer c.writing.Unlock()
	if s.x.over {
		return errReturned
	}
	c.closeChunk()
	if !s.flushed {
		c.out = appendBodyChunk(c.out, "")
		s.flushed = true
	}
	return c.sendLocked()
}

// SetReadDeadline is for reads of the body. A deadline that passes ends the
// connection after this response.
func (s *stream) SetReadDeadline(t time.Time) error {
	s.x.timed = true
	return s.conn.conn.SetReadDeadline(t)
}

// SetWriteDeadline is the connection's.
func (s *stream) SetWriteDeadline(t time.Time) error {
	s.x.timed = true
	return s.conn.conn.SetWriteDeadline(t)
}

// hold sees to a buffer for what is sent. writing is held.
func (c *serverConn) hold() {
	if c.out == nil {
		c.out = c.server.buffer()
	}
}

// closeChunk completes the SEND_BODY_CHUNK that is open. writing is held.
func (c *serverConn) closeChunk() {
	if c.chunk < 0 {
		return
	}
	n := len(c.out) - c.chunk - sendHead
	c.out[c.chunk+5], c.out[c.chunk+6] = byte(n>>8), byte(n)
	c.out = append(c.out, 0)
	endPacket(c.out, c.chunk, c.max)
	c.chunk = -1
}

// sendLocked writes out. writing is held.
func (c *serverConn) sendLocked() error {
	if c.failed == nil && len(c.out) > 0 {
		_, c.failed = c.conn.Write(c.out)
	}
	c.out = c.out[:0]
	return c.failed
}

// handle runs one request after the other.
func (c *serverConn) handle() {
	defer close(c.stopped)
	handler := c.server.handler()
	for x := range c.requests {
		var w gateway.ResponseWriter // not used again: a handler may keep it, against the rules, beyond its return
		w.Reset(&stream{conn: c, x: x}, x.request.Method)
		complete := w.Run(handler, x.request, c.server.log()) // which names the client as the peer
		c.finish(x, complete || x.replaced)
	}
}

// finish ends a request. What was cut short gets no END_RESPONSE: the front
// server must see that it is not whole.
func (c *serverConn) finish(x *exchange, complete bool) {
	reuse := c.release(x, complete)
	x.cancel()
	if x.timed {
		_ = c.conn.SetDeadline(time.Time{})
	}
	if reuse {
		c.idle()
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	x.over = true
	if complete {
		c.closeChunk()
		c.out = appendEnd(c.out, reuse)
		_ = c.sendLocked()
	}
	c.chunk = -1
	c.server.free(c.out)
	c.out = nil
	open := c.conn.End()
	switch {
	case !complete || c.failed != nil:
		c.conn.Close()
	case !reuse:
		c.linger()
	case !open: // END_RESPONSE has promised more
		_ = c.conn.SetReadDeadline(time.Now().Add(gateway.Linger))
	}
}

// release makes the connection ready for the next request, before the front
// server is told so; false if there will be none. A part of the body that is
// still on its way forbids it: it could pass for a request.
func (c *serverConn) release(x *exchange, complete bool) (reuse bool) {
	draining := c.conn.Draining()
	c.mu.Lock()
	defer c.mu.Unlock()
	reuse = complete && !x.replaced && !c.broken && !draining
	if b := x.body; b != nil {
		reuse = reuse && !b.waiting
		b.at = len(b.data)
		b.err = http.ErrBodyReadAfterClose
		b.waiting = false
		b.arrived.Broadcast()
	}
	c.running = nil
	c.closing = !reuse
	return reuse
}

// appendBodyChunk appends a short SEND_BODY_CHUNK.
func appendBodyChunk(b []byte, data string) []byte {
	start := len(b)
	b = beginPacket(b, toFront)
	b = append(b, typeSendBodyChunk)
	b = appendString(b, data) // a length, the data, a NUL
	endPacket(b, start, MaxPacketSize)
	return b
}

// buffer is an empty one for a response's packets.
func (s *Server) buffer() []byte {
	if b, ok := s.buffers.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, sendSize+DefaultPacketSize)
}

func (s *Server) free(b []byte) {
	if cap(b) >= sendSize {
		s.buffers.Put(&b)
	}
}
