package h1

// This file: the body of a request.

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"millrace/internal/field"
)

// maxDrain is how much of a body that its handler has left is read to keep the
// connection.
const maxDrain = 256 << 10

// body is a request's, of a known length or in chunks.
type body struct {
	ex *exchange

	mu     sync.Mutex
	left   int64 // of the body; of the present chunk, if there are chunks
	chunks *chunks
	err    error // io.EOF: it is all read
	closed bool
}

var _ io.ReadCloser = (*body)(nil)

func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.readLocked(p)
	if err != nil && err != io.EOF {
		b.ex.ctx.cancel() // as in net/http: who cannot be read from will not be answered, mostly
	}
	return n, err
}

// readLocked notes the body's end, and why there is none.
func (b *body) readLocked(p []byte) (n int, err error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.err = b.ex.res.goOn(); b.err != nil {
		return 0, b.err
	}
	c := b.ex.c
	if b.chunks != nil {
		n, err = b.chunks.read(c, p)
	} else {
		if int64(len(p)) > b.left {
			p = p[:b.left]
		}
		n, err = c.read(p)
		if b.left -= int64(n); b.left == 0 {
			err = io.EOF
		} else if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
	}
	if b.err = err; err == io.EOF {
		c.releaseIfEmpty()
		c.watch()
	}
	return n, err
}

// Close leaves the rest of the body unread.
func (b *body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return nil
}

// drain reads what is left, if that is little and comes soon. False: the
// connection is of no further use; so also if another goroutine reads now. The
// handler finds the body closed where something was taken from it.
func (b *body) drain() bool {
	if !b.mu.TryLock() {
		return false
	}
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err == io.EOF
	}
	if b.chunks == nil && b.left > maxDrain {
		return false
	}
	c := b.ex.c
	piece := c.srv.buffers.getSmall()
	defer piece.release()
	end := time.Now().Add(farewellTotal)
	for n := 0; n <= maxDrain; {
		c.readUntil(end)
		step, err := b.readLocked(piece.b)
		n += step
		b.closed = b.closed || n > 0 || err != io.EOF
		switch {
		case err == io.EOF:
			return true
		case err != nil:
			if !errors.Is(err, os.ErrDeadlineExceeded) { // it is late; the response may still be wanted
				b.ex.ctx.cancel()
			}
			return false
		}
	}
	return false
}

// over ends the handler's use of the body, and the read that a goroutine of
// the handler's waits in. all: the body is read to its end.
func (b *body) over() (all bool) {
	if !b.mu.TryLock() {
		_ = b.ex.c.rwc.SetReadDeadline(time.Unix(1, 0)) // fails on a closed connection alone
		b.mu.Lock()
	}
	defer b.mu.Unlock()
	b.closed = true
	return b.err == io.EOF
}

// consumeBody reads what the handler has left of the body before the response
// leaves: some clients send all before they read anything. What remains
// unread costs the connection. So does what turns out to be malformed; the
// answer stays the handler's, as in net/http: it has done what it answers
// without the body, and no byte behind that is taken for a request.
func (w *response) consumeBody() {
	if !w.ex.hasBody || w.close || w.duplex || w.taken {
		return
	}
	if !w.ex.body.drain() {
		w.close = true
	}
}

// chunks decodes a chunked body (RFC 9112, section 7.1), strictly.
type chunks struct {
	left    uint64 // of the present chunk
	begun   bool   // a chunk was there: its CR LF comes next
	over    int    // bytes of overhead beyond what chunks may have
	trailer int    // bytes
}

const (
	maxSizeLine = 256      // a chunk's size with its extensions
	maxDigits   = 15       // of the size, so that it fits an int64
	maxOverhead = 16 << 10 // bytes that are no data, beyond 16 a chunk and twice its data
	maxTrailer  = 16 << 10
)

var (
	errChunk    = errors.New("h1: malformed chunk")
	errOverhead = errors.New("h1: too much in the chunks that is no data")
	errTrailer  = errors.New("h1: malformed or too long trailer")
)

// read is a Read that returns io.EOF behind the trailer. It does not wait for
// more once it has something.
func (k *chunks) read(c *conn, p []byte) (int, error) {
	n := 0
	for {
		if k.left == 0 {
			if n > 0 && !c.hasLine(k.begun) {
				return n, nil
			}
			if err := k.next(c); err != nil {
				return n, err
			}
		}
		if len(p) == n {
			return n, nil
		}
		step, err := c.read(p[n:min(len(p), n+int(min(k.left, 1<<30)))])
		n += step
		k.left -= uint64(step)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil || k.left > 0 {
			return n, err
		}
	}
}

// next reads up to the data of the next chunk, or to the end: io.EOF.
func (k *chunks) next(c *conn) error {
	if k.begun {
		if err := lineEnd(c); err != nil {
			return err
		}
	}
	k.begun = true
	size, length, err := sizeLine(c)
	if err != nil {
		return err
	}
	if k.over = max(0, k.over+length-16); k.over > maxOverhead {
		return errOverhead
	}
	k.over -= int(min(2*min(size, maxOverhead), uint64(k.over)))
	if k.left = size; size > 0 {
		return nil
	}
	return k.end(c)
}

// lineEnd takes CR LF and nothing else.
func lineEnd(c *conn) error {
	for _, want := range [...]byte{'\r', '\n'} {
		b, err := c.readByte()
		if err != nil {
			return err
		}
		if b != want {
			return errChunk
		}
	}
	return nil
}

// sizeLine reads a chunk's size and its extensions, which are dropped. length
// is the line's. No white space goes before an extension, though RFC 9112,
// 7.1.1 would have it read: nobody sends it, and servers differ over it.
func sizeLine(c *conn) (size uint64, length int, err error) {
	digits, extension := 0, false
	for length = 1; length <= maxSizeLine; length++ {
		b, err := c.readByte()
		if err != nil {
			return 0, 0, err
		}
		switch {
		case b == '\r' && digits > 0:
			if b, err = c.readByte(); err != nil {
				return 0, 0, err
			}
			if b != '\n' {
				return 0, 0, errChunk
			}
			return size, length + 1, nil
		case extension && field.IsValueByte(b):
		case extension:
			return 0, 0, errChunk
		case classes[b]&hexByte != 0 && digits < maxDigits:
			digits++
			size = size<<4 | uint64(hexValue(b))
		case b == ';' && digits > 0:
			extension = true
		default:
			return 0, 0, errChunk
		}
	}
	return 0, 0, errChunk
}

func hexValue(b byte) byte {
	switch {
	case b <= '9':
		return b - '0'
	case b <= 'F':
		return b - 'A' + 10
	}
	return b - 'a' + 10
}

// end reads the trailer and drops it. Its lines have the form of a header's.
func (k *chunks) end(c *conn) error {
	for {
		line, err := trailerLine(c, maxTrailer-k.trailer)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			return io.EOF
		}
		k.trailer += len(line) + 2
		name, value := field.Cut(string(line), ':')
		if len(name) == len(line) || !field.IsToken(name) || !field.IsValue(value) {
			return errTrailer
		}
	}
}

func trailerLine(c *conn, room int) ([]byte, error) {
	var line []byte
	for len(line) < room {
		b, err := c.readByte()
		if err != nil {
			return nil, err
		}
		if b != '\r' {
			if b == '\n' {
				return nil, errTrailer
			}
			line = append(line, b)
			continue
		}
		if b, err = c.readByte(); err != nil {
			return nil, err
		}
		if b != '\n' {
			return nil, errTrailer
		}
		return line, nil
	}
	return nil, errTrailer
}
