package h1client

// This file: the body of a response (RFC 9112, sections 6 and 7).

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"

	"millrace/gateway"
)

// framing is how a body ends.
type framing uint8

const (
	byLength framing = iota
	byChunks
	byEnd // of the connection
)

// message is a response under way, and its Body.
type message struct {
	resp   gateway.Response
	c      *Client
	ctx    context.Context
	stop   func() bool // takes the watch on ctx off
	fields Fields      // of the request
	up     *sender     // nil: the request was sent at once
	kept   bool        // the connection had served a request before
	some   bool        // a byte has come

	own sync.Mutex
	k   *conn // nil: given back, or away; guarded by own

	mu       sync.Mutex // of whoever reads
	closed   bool
	buf      *buffer // nil: nothing is in it
	r, w     int     // what came and is not decoded: buf.b[r:w]
	plain    []byte  // the body as far as it is here; part of buf
	framing  framing
	bodyless bool  // there is none, whatever the head says
	left     int64 // bytes that are to come, by length
	chunks   chunked
	keep     bool  // the connection may be kept after the body
	careless bool  // an interim response was
	surplus  bool  // something came behind the body
	err      error // behind plain; io.EOF: it is whole
}

var _ io.ReadCloser = (*message)(nil)

// errSurplus is told by Close.
var errSurplus = errors.New("something came behind the end of the response; the connection is closed")

// abandon closes the connection, if it is not given back.
func (m *message) abandon() {
	m.own.Lock()
	defer m.own.Unlock()
	if m.k != nil {
		m.k.close()
	}
}

// end takes the connection away from the exchange.
func (m *message) end() *conn {
	m.own.Lock()
	k := m.k
	m.k = nil
	m.own.Unlock()
	if m.stop != nil {
		m.stop()
	}
	return k
}

// fill reads more behind what is in the buffer.
func (m *message) fill() error {
	b := m.buf.b
	switch {
	case m.r == m.w:
		m.r, m.w = 0, 0
	case m.w == len(b) && m.r > 0:
		m.w = copy(b, b[m.r:m.w])
		m.r = 0
	case m.w == len(b):
		bigger := &buffer{append(b, make([]byte, len(b))...)}
		m.buf.free()
		m.buf = bigger
	}
	n, err := m.k.read(m.buf.b[m.w:])
	m.w += n
	if n > 0 {
		m.some = true
		return nil // the error comes again
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// decode takes what is in the buffer.
func (m *message) decode() {
	switch m.framing {
	case byLength:
		n := int(min(int64(m.w-m.r), m.left))
		m.plain = m.buf.b[m.r : m.r+n]
		m.r += n
		if m.left -= int64(n); m.left == 0 {
			m.finish()
		}
	case byEnd:
		m.plain = m.buf.b[m.r:m.w]
		m.r = m.w
	case byChunks:
		from := m.r
		to := from
		for !m.chunks.done {
			data, used, err := m.chunks.next(m.buf.b[m.r:m.w])
			if err != nil {
				m.fail(err)
				break
			}
			if used == 0 {
				break
			}
			to += copy(m.buf.b[to:], data)
			m.r += used
		}
		m.plain = m.buf.b[from:to]
		if m.chunks.done && m.err == nil {
			m.resp.Trailer = m.chunks.trailer
			m.finish()
		}
	}
}

// finish is called at the end of a body that is whole.
func (m *message) finish() {
	m.err = io.EOF
	more := m.r < m.w
	m.surplus = more && !m.bodyless
	k := m.end()
	switch {
	case k == nil:
	case m.keep && !more && m.up.isDone():
		m.c.keep(k)
	default:
		k.close()
	}
}

// fail ends a body before its time.
func (m *message) fail(err error) {
	m.err = m.why(err)
	m.abandon()
	m.end()
}

// why is the reason for an error: what ended the exchange goes before what the
// connection says of it.
func (m *message) why(err error) error {
	upErr := m.up.failure()
	switch {
	case m.ctx.Err() != nil:
		return context.Cause(m.ctx)
	case errors.Is(upErr, gateway.ErrBody):
		return upErr
	case isTimeout(err) || errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("nothing from the back end for %v: %w", m.c.timeout(), gateway.ErrTimeout)
	}
	return err
}

// Read gives io.EOF with the last bytes where it can.
func (m *message) Read(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for {
		switch {
		case m.closed:
			return 0, http.ErrBodyReadAfterClose
		case len(p) == 0:
			return 0, nil
		case len(m.plain) > 0:
			n := copy(p, m.plain)
			m.plain = m.plain[n:]
			if len(m.plain) == 0 && m.err != nil {
				m.drop()
				return n, m.err
			}
			return n, nil
		case m.err != nil:
			m.drop()
			return 0, m.err
		}
		if n, err, ok := m.readThrough(p); ok {
			return n, err
		}
		if m.buf == nil {
			m.buf = getBuffer()
		}
		if err := m.fill(); err != nil {
			m.cut(err)
			continue
		}
		m.decode()
	}
}

// readThrough reads straight into p where nothing has to be decoded. ok is
// false where it cannot.
func (m *message) readThrough(p []byte) (n int, err error, ok bool) {
	most := int64(len(p))
	switch {
	case m.r < m.w:
		return 0, nil, false
	case m.framing == byLength:
		most = min(most, m.left)
	case m.framing == byChunks:
		if m.chunks.left < bufferSize/2 {
			return 0, nil, false
		}
		most = min(most, m.chunks.left)
	}
	if m.framing != byChunks {
		m.drop()
	}
	n, err = m.k.read(p[:most])
	switch m.framing {
	case byLength:
		if m.left -= int64(n); m.left == 0 {
			m.finish()
			return n, io.EOF, true
		}
	case byChunks:
		m.chunks.took(int64(n))
	}
	if err != nil {
		m.cut(err)
	}
	return n, m.err, true
}

// cut takes an error of the connection, which may be the body's end.
func (m *message) cut(err error) {
	switch {
	case err != io.EOF:
		m.fail(err)
	case m.framing == byEnd:
		m.finish()
	case m.framing == byLength:
		m.fail(fmt.Errorf("the response ends %d bytes before its Content-Length: %w", m.left, io.ErrUnexpectedEOF))
	default:
		m.fail(fmt.Errorf("the response ends before its last chunk: %w", io.ErrUnexpectedEOF))
	}
}

// drop gives the buffer back.
func (m *message) drop() {
	if m.buf != nil {
		m.buf.free()
		m.buf, m.plain, m.r, m.w = nil, nil, 0, 0
	}
}

// Whole is the body, if all of it is here: then the server is free. It is valid
// until Close.
func (m *message) Whole() (body []byte, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.plain, m.err == io.EOF && !m.closed
}

// Close ends the exchange. Its error is a warning.
func (m *message) Close() error {
	m.abandon() // a Read that waits ends
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil
	}
	m.closed = true
	if k := m.end(); k != nil {
		k.close()
	}
	m.drop()
	if m.surplus {
		return errSurplus
	}
	return nil
}
