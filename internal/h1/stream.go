package h1

// This file: the bytes of a connection, in and out.

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"time"
)

// fill reads more behind what is buffered, which stays in one piece.
func (c *conn) fill() error {
	if c.late != nil && c.r == c.w {
		c.drop()
		n, err := c.late.ReadLate(c)
		c.w = n
		return err
	}
	switch {
	case c.in == nil:
		c.in, c.r, c.w = c.srv.buffers.getSmall(), 0, 0
	case c.r == c.w:
		c.r, c.w = 0, 0
	case c.w == len(c.in.b) && c.r > 0:
		c.w = copy(c.in.b, c.in.b[c.r:c.w])
		c.r = 0
	case c.w == len(c.in.b):
		bigger := c.srv.buffers.getFor(2 * len(c.in.b))
		copy(bigger.b, c.in.b)
		c.in.release()
		c.in = bigger
	}
	n, err := c.rwc.Read(c.in.b[c.w:])
	c.w += n
	if n > 0 {
		return nil // the error comes again
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// lateReader is a connection that takes memory for a read when there is
// something to be read.
type lateReader interface {
	ReadLate(l interface {
		Lend() []byte
		TakeBack()
	}) (int, error)
}

// Lend gives the connection a buffer, for what comes.
func (c *conn) Lend() []byte {
	c.in, c.r, c.w = c.srv.buffers.getSmall(), 0, 0
	return c.in.b
}

// TakeBack is for a buffer into which nothing came.
func (c *conn) TakeBack() { c.drop() }

// read is a Read of what comes next.
func (c *conn) read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if c.r == c.w {
		if len(p) >= smallBuffer {
			c.drop()
			return c.rwc.Read(p)
		}
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.in.b[c.r:c.w])
	c.r += n
	return n, nil
}

func (c *conn) readByte() (byte, error) {
	if c.r == c.w {
		if err := c.fill(); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
	}
	c.r++
	return c.in.b[c.r-1], nil
}

// hasLine reports whether the rest of a chunk's frame is buffered: a line, or
// with behind two of them.
func (c *conn) hasLine(behind bool) bool {
	if c.r == c.w {
		return false
	}
	b := c.in.b[c.r:c.w]
	if behind {
		if len(b) < 2 {
			return false
		}
		b = b[2:]
	}
	return bytes.IndexByte(b, '\n') >= 0
}

// releaseIfEmpty gives the buffer back if there is nothing in it.
func (c *conn) releaseIfEmpty() {
	if c.in != nil && c.r == c.w {
		c.drop()
	}
}

func (c *conn) drop() {
	c.in.release()
	c.in, c.r, c.w = nil, 0, 0
}

// write sends b. After an error there is nothing more to be sent.
func (c *conn) write(b []byte) error { return c.send(b, false) }

// send is write; more says that a file follows at once.
func (c *conn) send(b []byte, more bool) error {
	if c.werr != nil {
		return c.werr
	}
	if d := c.srv.WriteTimeout; d > 0 {
		_ = c.rwc.SetWriteDeadline(time.Now().Add(d)) // fails on a closed connection alone
	}
	var err error
	if more && c.holds != nil {
		_, err = c.holds.WriteMore(b)
	} else {
		_, err = c.rwc.Write(b)
	}
	if err != nil {
		c.failed(err)
	}
	return err
}

// failed notes an error of writing, which ends the request's context.
func (c *conn) failed(err error) {
	c.werr = err
	if ex := c.ex.Load(); ex != nil {
		ex.ctx.cancel()
	}
}

// refusalText is the whole response to a request that is refused.
func refusalText(no *refusal, date string) []byte {
	text := strconv.Itoa(no.status) + " " + http.StatusText(no.status)
	return []byte("HTTP/1.1 " + text + "\r\nDate: " + date + "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: " +
		strconv.Itoa(len(text)+len(": ")+len(no.why)+1) + "\r\nConnection: close\r\n\r\n" + text + ": " + no.why + "\n")
}

const (
	farewellPause = 500 * time.Millisecond // without a byte
	farewellTotal = 2 * time.Second
	farewellBytes = 8 << 20
)

// farewell closes this side, and reads for a while what the client still sends:
// a close before it has all come would reset the connection, and may take the
// answer from the client (RFC 9112, 9.6).
func (c *conn) farewell() {
	if half, ok := c.rwc.(interface{ CloseWrite() error }); ok {
		if half.CloseWrite() != nil {
			return
		}
	}
	b := c.srv.buffers.getSmall()
	defer b.release()
	end := time.Now().Add(farewellTotal)
	for n := 0; n < farewellBytes; {
		c.readUntil(end)
		step, err := c.rwc.Read(b.b)
		if n += step; err != nil {
			return
		}
	}
}

// more reports whether the client has sent what nobody will read.
func (c *conn) more() bool { return c.r < c.w || c.seat.taken() && c.seat.more() }

// readUntil sets the deadline of a read of what is not wanted.
func (c *conn) readUntil(end time.Time) {
	until := time.Now().Add(farewellPause)
	if until.After(end) {
		until = end
	}
	_ = c.rwc.SetReadDeadline(until) // fails on a closed connection alone
}

// handOver lets go of the connection, and returns what was read of it beyond
// the request.
func (c *conn) handOver() string {
	c.unwatch()
	rest := ""
	if c.in != nil {
		rest = string(c.in.b[c.r:c.w])
	}
	c.drop()
	c.handed = true
	c.srv.forget(c)
	return rest
}
