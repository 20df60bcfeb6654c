package listen

// This file: connections whose write deadline renews itself.
//
// A timer change per response costs more than the response's system call
// saves, so the deadline is moved only when less than half the time-out is
// left of it: on the hot path a write is one look at the clock. A deadline
// that fires early for that reason, or in the middle of a long transfer, is
// not the end: as long as the client took something since, or was not silent
// for the whole time-out, the rest is sent under a new deadline.

import (
	"errors"
	"io"
	"math"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// guard is the write deadline of one connection. The writes themselves come
// one at a time; a deadline may be set from another goroutine.
type guard struct {
	limit *atomic.Int64 // the listener's time-out in nanoseconds; 0: none

	mu       sync.Mutex
	deadline time.Time // as the connection has it
	custom   bool      // a handler set its own, which stands
}

// renew makes sure that at least half the time-out lies ahead.
func (g *guard) renew(c net.Conn, now time.Time) {
	timeout := time.Duration(g.limit.Load())
	g.mu.Lock()
	defer g.mu.Unlock()
	if timeout > 0 && !g.custom && g.deadline.Sub(now) < timeout/2 {
		g.moveLocked(c, now.Add(timeout))
	}
}

func (g *guard) moveLocked(c net.Conn, to time.Time) {
	g.deadline = to
	_ = c.SetWriteDeadline(to) // fails on a closed connection alone, as the write will
}

// set is a handler's SetWriteDeadline, through http.ResponseController. The
// zero time gives the connection back to the guard. net/http sends one after
// each response, whether or not there was a deadline: then nothing is done.
func (g *guard) set(c net.Conn, t time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.IsZero() {
		if g.custom {
			g.custom = false
			g.moveLocked(c, time.Time{}) // the next write sees it as due
		}
		return nil
	}
	g.custom, g.deadline = true, t
	return c.SetWriteDeadline(t)
}

// again decides after a write that failed whether to go on with the rest.
// n is what the client took of it, last when it last took something.
func (g *guard) again(c net.Conn, err error, n int64, last *time.Time) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	timeout := time.Duration(g.limit.Load())
	now := time.Now()
	if n > 0 {
		*last = now
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if timeout <= 0 || g.custom || now.Sub(*last) >= timeout {
		return false
	}
	g.moveLocked(c, last.Add(timeout))
	return true
}

// write is Write for both kinds of connection; inner is the one inside.
func (g *guard) write(inner net.Conn, b []byte) (int, error) {
	last := time.Now()
	g.renew(inner, last)
	n, err := inner.Write(b)
	for step := n; err != nil && g.again(inner, err, int64(step), &last); {
		step, err = inner.Write(b[n:])
		n += step
	}
	return n, err
}

// tcpConn embeds the connection, so that CloseWrite, SyscallConn and the like
// stay visible to net/http.
type tcpConn struct {
	*net.TCPConn
	plain   net.Conn // the same connection: how bytes go and come
	guard   guard
	reading readDeadline
	life    life
	buffers *sync.Pool // the listener's, of *[copyBuffer]byte
}

func (c *tcpConn) Write(b []byte) (int, error)               { return c.guard.write(c.plain, b) }
func (c *tcpConn) Read(b []byte) (int, error)                { return c.life.read(c.reading.read(c.plain, b)) }
func (c *tcpConn) SetReadDeadline(t time.Time) error         { return c.reading.set(c.TCPConn, t) }
func (c *tcpConn) SetWriteDeadline(t time.Time) error        { return c.guard.set(c.TCPConn, t) }
func (c *tcpConn) SetDeadline(t time.Time) error             { return setBoth(c, t) }
func (c *tcpConn) ReadFrom(src io.Reader) (n int64, e error) { return c.readFrom(src) }

type unixConn struct {
	*net.UnixConn
	plain   net.Conn // as in tcpConn
	guard   guard
	reading readDeadline
	life    life
}

func (c *unixConn) Write(b []byte) (int, error)        { return c.guard.write(c.plain, b) }
func (c *unixConn) Read(b []byte) (int, error)         { return c.life.read(c.reading.read(c.plain, b)) }
func (c *unixConn) SetReadDeadline(t time.Time) error  { return c.reading.set(c.UnixConn, t) }
func (c *unixConn) SetWriteDeadline(t time.Time) error { return c.guard.set(c.UnixConn, t) }
func (c *unixConn) SetDeadline(t time.Time) error      { return setBoth(c, t) }

func (c *tcpConn) Close() error  { return c.life.close(c.TCPConn) }
func (c *unixConn) Close() error { return c.life.close(c.UnixConn) }

// life tells a listener's owner of a connection's first byte and of its end,
// each once.
type life struct {
	count        func(conns, fresh int)
	began, ended atomic.Bool
}

func (c *life) read(n int, err error) (int, error) {
	if n > 0 && !c.began.Load() && !c.began.Swap(true) && c.count != nil {
		c.count(0, -1)
	}
	return n, err
}

func (c *life) close(inner net.Conn) error {
	err := inner.Close()
	if c.count == nil || c.ended.Swap(true) {
		return err
	}
	if c.began.Swap(true) {
		c.count(-1, 0)
	} else {
		c.count(-1, -1)
	}
	return err
}

// raw is a connection's RawConn and no more: os.File.WriteTo, which io.Copy
// tries first, would find package net's own methods on it and send the file
// past Write and its deadline.
type raw struct{ syscall.RawConn }

func (c *tcpConn) SyscallConn() (syscall.RawConn, error)  { return rawOnly(c.TCPConn) }
func (c *unixConn) SyscallConn() (syscall.RawConn, error) { return rawOnly(c.UnixConn) }

func rawOnly(c syscall.Conn) (syscall.RawConn, error) {
	r, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	return raw{r}, nil
}

func setBoth(c net.Conn, t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// pieceSize is how much of a file goes out under one deadline. Sent in one
// call, a stalled download would be noticed as late as two time-outs after
// the last of its many megabytes.
const pieceSize = 1 << 20

// copyBuffer is what one read takes from a source that sendfile cannot serve.
const copyBuffer = 32 << 10

// readFrom keeps sendfile: net.TCPConn.ReadFrom uses it for a file inside an
// io.LimitedReader. Other sources go through Write, because the generic copy
// of package net loses what it had read when a deadline fires.
func (c *tcpConn) readFrom(src io.Reader) (int64, error) {
	limited, ok := src.(*io.LimitedReader)
	if !ok {
		limited = &io.LimitedReader{R: src, N: math.MaxInt64}
	}
	if _, ok := limited.R.(syscall.Conn); !ok {
		buf := c.buffers.Get().(*[copyBuffer]byte)
		defer c.buffers.Put(buf)
		// Write alone is visible to io.CopyBuffer: no way back to ReadFrom.
		return io.CopyBuffer(struct{ io.Writer }{c}, src, buf[:])
	}
	var n int64
	for limited.N > 0 {
		piece := &io.LimitedReader{R: limited.R, N: min(limited.N, pieceSize)}
		sent, err := c.sendPiece(piece)
		n += sent
		limited.N -= sent
		if err != nil {
			return n, err
		}
		if piece.N > 0 { // the file ends here
			return n, nil
		}
	}
	return n, nil
}

// sendPiece sends until piece is used up or its source ends.
func (c *tcpConn) sendPiece(piece *io.LimitedReader) (n int64, err error) {
	last := time.Now()
	c.guard.renew(c.TCPConn, last)
	for {
		before := piece.N
		sent, err := c.TCPConn.ReadFrom(piece)
		n += sent
		if err == nil {
			return n, nil
		}
		// On a file system without sendfile the generic copy ran; what it had
		// read and not sent is lost, and to go on would leave a hole.
		lost := before-piece.N != sent
		if lost || !c.guard.again(c.TCPConn, err, sent, &last) {
			return n, err
		}
	}
}
