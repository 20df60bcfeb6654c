package listen

// This file: connections whose write deadline renews itself.
//
// A timer change per response costs more than the response's system call
// saves, so the deadline is moved only when less than half the time-out is
// left of it: on the hot path a write is one look at the clock. A deadline
// that fires early for that reason, or in the middle of a long transfer, is
// not the end: as long as the client took something since, or was not silent
// for the whole time-out, the rest is sent under a new deadline.
//
// A client that takes less than the minimum rate, over a time-out or longer, is
// cut off as well: a byte a minute would hold a response for ever. What it has
// taken is what its system has acknowledged, where ours tells (outqueue_linux.go):
// a socket says that there is room in it only when a third of it is free, so that
// a client which takes less than that in a time-out would look like one that is
// gone. Elsewhere it is what the socket takes of us, once its buffer is full: the
// write that is tried again at each deadline fills whatever is free.

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
	rate  *atomic.Int64 // the listener's minimum rate, in bytes a second; 0: any; nil: 0

	own struct{ timeout, rate atomic.Int64 } // of the present response; 0: the listener's

	mu       sync.Mutex
	deadline time.Time // as the connection has it
	custom   bool      // a handler set its own, which stands
}

// renew makes sure that at least half the time-out lies ahead.
func (g *guard) renew(c net.Conn, now time.Time) {
	timeout := g.timeout()
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

func (g *guard) timeout() time.Duration {
	if own := g.own.timeout.Load(); own > 0 {
		return time.Duration(own)
	}
	return time.Duration(g.limit.Load())
}

func (g *guard) minRate() int64 {
	if own := g.own.rate.Load(); own > 0 {
		return own
	}
	if g.rate == nil {
		return 0
	}
	return g.rate.Load()
}

// setOwn sets the limits of the present response; 0: the listener's.
func (g *guard) setOwn(timeout time.Duration, rate int64) {
	if was := g.own.timeout.Swap(int64(timeout)); was != int64(timeout) {
		g.mu.Lock()
		defer g.mu.Unlock()
		if !g.custom {
			g.deadline = time.Time{} // the next write sees it as due
		}
	}
	g.own.rate.Store(rate)
}

// stall is one write that takes long.
type stall struct {
	last  time.Time // when the client last took something
	from  time.Time // when the first deadline fired: the socket's buffer is full; zero: none has
	taken int64     // since then

	queued int64 // in the socket when the last deadline fired
	looked bool  // queued is known
}

// progress is what the client took since the last deadline, of which n went into
// the socket. known is false at the first one: what the socket held before that
// nobody knows.
func (s *stall) progress(c net.Conn, n int64) (taken int64, known bool) {
	queued, ok := outQueue(c)
	if !ok {
		return n, true
	}
	taken, known = n+s.queued-queued, s.looked
	s.queued, s.looked = queued, true
	if !known {
		return n, false
	}
	return max(taken, 0), true
}

// again decides after a write that failed whether to go on with the rest.
// n is what the client took of it.
func (g *guard) again(c net.Conn, err error, n int64, s *stall) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	timeout, now := g.timeout(), time.Now()
	n, known := s.progress(c, n)
	switch {
	case n > 0:
		s.last = now
	case !known && now.Sub(s.last) > timeout/2: // a look more, to see whether the client takes something
		s.last = now.Add(-timeout / 2)
	}
	if s.from.IsZero() {
		s.from = now
	} else {
		s.taken += n
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if timeout <= 0 || g.custom || now.Sub(s.last) >= timeout || s.tooSlow(now, timeout, g.minRate()) {
		return false
	}
	g.moveLocked(c, s.last.Add(timeout))
	return true
}

// tooSlow reports whether the client takes less than a rate.
func (s *stall) tooSlow(now time.Time, timeout time.Duration, rate int64) bool {
	over := now.Sub(s.from)
	return over >= timeout && float64(s.taken) < float64(rate)*over.Seconds()
}

// write is Write for both kinds of connection; inner is the one inside.
func (g *guard) write(inner net.Conn, b []byte) (int, error) {
	s := stall{last: time.Now()}
	g.renew(inner, s.last)
	n, err := inner.Write(b)
	for step := n; err != nil && g.again(inner, err, int64(step), &s); {
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
	ends    *proxied   // nil: those of the socket
	buffers *sync.Pool // the listener's, of *[copyBuffer]byte
}

func (c *tcpConn) Write(b []byte) (int, error)               { return c.guard.write(c.plain, b) }
func (c *tcpConn) Read(b []byte) (int, error)                { return c.life.read(c.reading.read(c.plain, b)) }
func (c *tcpConn) ReadLate(l lender) (int, error)            { return c.life.read(c.reading.readLate(c.plain, l)) }
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
	ends    *proxied // as in tcpConn
}

func (c *unixConn) Write(b []byte) (int, error) { return c.guard.write(c.plain, b) }
func (c *unixConn) Read(b []byte) (int, error)  { return c.life.read(c.reading.read(c.plain, b)) }
func (c *unixConn) ReadLate(l lender) (int, error) {
	return c.life.read(c.reading.readLate(c.plain, l))
}
func (c *unixConn) SetReadDeadline(t time.Time) error  { return c.reading.set(c.UnixConn, t) }
func (c *unixConn) SetWriteDeadline(t time.Time) error { return c.guard.set(c.UnixConn, t) }
func (c *unixConn) SetDeadline(t time.Time) error      { return setBoth(c, t) }

// SetWriteLimit gives the present response a time-out and a minimum rate of its
// own; 0: those of the listener.
func (c *tcpConn) SetWriteLimit(timeout time.Duration, minRate int64) {
	c.guard.setOwn(timeout, minRate)
}

// SetWriteLimit is as tcpConn's.
func (c *unixConn) SetWriteLimit(timeout time.Duration, minRate int64) {
	c.guard.setOwn(timeout, minRate)
}

// WriteTo is what io.Copy looks for, and would find package net's: that knows
// nothing of read deadlines that have moved, nor of a first byte.
func (c *tcpConn) WriteTo(dst io.Writer) (int64, error) {
	buf := c.buffers.Get().(*[copyBuffer]byte)
	defer c.buffers.Put(buf)
	return io.CopyBuffer(dst, struct{ io.Reader }{c}, buf[:])
}

func (c *tcpConn) Close() error  { return c.life.close(c.TCPConn) }
func (c *unixConn) Close() error { return c.life.close(c.UnixConn) }

// life tells a listener's owner of a connection's first byte and of its end,
// each once.
type life struct {
	count        func(conns, fresh int)
	leave        func() // the Entry's; nil: it was not asked
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
	if c.ended.Swap(true) {
		return err
	}
	if c.leave != nil {
		c.leave()
	}
	if c.count == nil {
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

// sendAny is sendPiece as package net does it.
func (c *tcpConn) sendAny(piece *io.LimitedReader) (n int64, err error) {
	s := stall{last: time.Now()}
	c.guard.renew(c.TCPConn, s.last)
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
		if lost || !c.guard.again(c.TCPConn, err, sent, &s) {
			return n, err
		}
	}
}
