package h1

// This file: the http.ResponseWriter that a handler gets. What it writes is
// collected in one buffer and leaves in as few system calls as may be; how the
// buffer is laid out is said in encode.go.

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// response is one request's, and of no use once its handler has returned.
type response struct {
	c      *conn
	ex     *exchange
	header http.Header

	status  int
	length  int64 // as the handler declared it; -1: it did not
	written int64 // of the body

	wrote   bool        // WriteHeader was called
	sent    bool        // the head is composed: only the body can grow
	done    atomic.Bool // the handler has returned
	taken   bool        // hijacked
	isHead  bool
	http11  bool
	keep10  bool // an HTTP/1.0 client that asked to be kept
	close   bool // the connection, after this response
	asked   bool // so by the client, who sends nothing more, then
	duplex  bool
	chunked bool
	raw     bool // the end of the connection is the end of the body
	timed   bool // the handler has set a write deadline
	limited bool // and limits of its writes

	has fields // what the handler's header has
	out layout

	expects    bool        // the client has asked for 100 Continue
	continuing sync.Mutex  // while that is written, by whoever reads the body
	mayGoOn    atomic.Bool // it may be
}

var (
	_ http.ResponseWriter = (*response)(nil)
	_ http.Flusher        = (*response)(nil)
	_ http.Hijacker       = (*response)(nil)
	_ io.ReaderFrom       = (*response)(nil)
	_ io.StringWriter     = (*response)(nil)
)

func (w *response) Header() http.Header {
	if w.header == nil {
		w.header = make(http.Header)
	}
	return w.header
}

func (w *response) WriteHeader(status int) {
	switch {
	case w.taken || w.done.Load():
		w.c.srv.log().Error("a handler writes a response's header when it is over", "peer", w.c.remote, "status", status)
		return
	case w.wrote:
		w.c.srv.log().Error("a handler writes a response's header twice", "peer", w.c.remote, "status", status, "first", w.status)
		return
	case status < 100 || status > 999:
		panic("h1: invalid status " + strconv.Itoa(status))
	}
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.noContinue()
	}
	if status < 200 && status != http.StatusSwitchingProtocols {
		w.informational(status)
		return
	}
	w.wrote, w.status = true, status
	w.encodeHeader()
}

// errOver is for a handler that goes on after it has returned.
var errOver = errors.New("h1: the handler has returned, its response is over")

// bodyAllowed is RFC 9110's rule about statuses.
func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

func (w *response) Write(b []byte) (int, error) {
	n, err := w.mayWrite(len(b))
	if err != nil || n == 0 {
		return 0, err
	}
	if w.isHead {
		w.sniff(b)
		return len(b), nil
	}
	return len(b), w.emit(b)
}

func (w *response) WriteString(s string) (int, error) {
	n, err := w.mayWrite(len(s))
	if err != nil || n == 0 {
		return 0, err
	}
	if !w.isHead && !w.sent && w.out.room() >= len(s) {
		w.out.end += copy(w.out.buf.b[w.out.end:], s)
		return len(s), nil
	}
	if w.isHead {
		w.sniff([]byte(s))
		return len(s), nil
	}
	return len(s), w.emit([]byte(s))
}

// mayWrite counts n bytes of the body.
func (w *response) mayWrite(n int) (int, error) {
	switch {
	case w.taken:
		return 0, http.ErrHijacked
	case w.done.Load():
		return 0, errOver
	case !w.wrote:
		w.WriteHeader(http.StatusOK)
	}
	switch {
	case n == 0:
		return 0, nil
	case !bodyAllowed(w.status):
		return 0, http.ErrBodyNotAllowed
	}
	w.written += int64(n)
	if w.length >= 0 && w.written > w.length {
		return 0, http.ErrContentLength
	}
	return n, w.c.werr
}

// emit puts b behind what there is of the body.
func (w *response) emit(b []byte) error {
	if !w.sent {
		if w.out.room() < len(b) && w.length >= 0 && w.out.end+len(b)+tailRoom <= largeBuffer {
			w.out.grow(&w.c.srv.buffers, len(b)) // all of it leaves at once
		}
		if w.out.room() >= len(b) {
			w.out.end += copy(w.out.buf.b[w.out.end:], b)
			return nil
		}
		w.sniff(b)
		w.compose(false)
		if err := w.flush(); err != nil {
			return err
		}
	}
	if !w.chunked {
		if w.out.room() >= len(b) {
			w.out.end += copy(w.out.buf.b[w.out.end:], b)
			return nil
		}
		if err := w.flush(); err != nil {
			return err
		}
		return w.c.write(b)
	}
	if w.out.room() < len(b) && len(w.out.buf.b) < largeBuffer {
		w.out.grow(&w.c.srv.buffers, min(len(b), largeBuffer-w.out.end-tailRoom))
	}
	for {
		n := copy(w.out.buf.b[w.out.end:len(w.out.buf.b)-tailRoom], b)
		w.out.end += n
		if b = b[n:]; len(b) == 0 {
			return nil
		}
		if err := w.flush(); err != nil {
			return err
		}
	}
}

func (w *response) Flush() { _ = w.FlushError() } // http.Flusher has no way to say it

// FlushError is Flush for http.ResponseController.
func (w *response) FlushError() error {
	switch {
	case w.taken:
		return http.ErrHijacked
	case w.done.Load():
		return errOver
	}
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	if !w.sent {
		w.compose(false)
	}
	return w.flush()
}

// Hijack hands the connection over, with what of it was read too far.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.taken || w.done.Load() {
		return nil, nil, http.ErrHijacked
	}
	w.noContinue()
	// Nobody else reads once the client may speak the other protocol: what a
	// look at a reset connection is told, the next one is not.
	w.c.unwatch()
	if w.c.left.Load() && w.c.r == w.c.w { // a look is under way
		w.c.leaves()
	}
	if w.wrote {
		if err := w.FlushError(); err != nil {
			return nil, nil, err
		}
	}
	w.taken = true
	w.out.release()
	c := w.c
	rest := c.handOver()
	_ = c.rwc.SetDeadline(time.Time{}) // fails on a closed connection alone
	in := bufio.NewReader(io.MultiReader(strings.NewReader(rest), c.rwc))
	_, _ = in.Peek(len(rest)) // so that Buffered tells of it
	return c.rwc, bufio.NewReadWriter(in, bufio.NewWriter(c.rwc)), nil
}

// SetReadDeadline is for http.ResponseController.
func (w *response) SetReadDeadline(t time.Time) error {
	if w.done.Load() && !w.taken {
		return errOver
	}
	return w.c.rwc.SetReadDeadline(t)
}

// SetWriteDeadline is for http.ResponseController.
func (w *response) SetWriteDeadline(t time.Time) error {
	if w.done.Load() && !w.taken {
		return errOver
	}
	w.timed = true
	return w.c.rwc.SetWriteDeadline(t)
}

// SetWriteLimit gives the writes of this response a time-out and a minimum rate
// of their own, on connections that have such limits (package listen); 0: those
// of the connection.
func (w *response) SetWriteLimit(timeout time.Duration, minRate int64) error {
	l := w.c.writeLimits()
	if w.done.Load() || l == nil {
		return http.ErrNotSupported
	}
	w.limited = true
	l.SetWriteLimit(timeout, minRate)
	return nil
}

// writeLimiter is a connection that bounds how slowly a client may take what is
// written.
type writeLimiter interface {
	SetWriteLimit(timeout time.Duration, minRate int64)
}

// writeLimits is the connection, or the one below TLS; nil: it has no limits.
func (c *conn) writeLimits() writeLimiter {
	for rwc := c.rwc; ; {
		if l, ok := rwc.(writeLimiter); ok {
			return l
		}
		below, ok := rwc.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		rwc = below.NetConn()
	}
}

// EnableFullDuplex is for http.ResponseController: the body may be read while
// the response is written.
func (w *response) EnableFullDuplex() error {
	w.duplex = true
	return nil
}

// goOn says 100 Continue to a client that waits for it.
func (w *response) goOn() error {
	if !w.mayGoOn.Load() {
		return nil
	}
	w.continuing.Lock()
	defer w.continuing.Unlock()
	if !w.mayGoOn.Swap(false) {
		return nil
	}
	return w.c.write(continueLine)
}

var continueLine = []byte("HTTP/1.1 100 Continue\r\n\r\n")

// noContinue: the response comes in place of 100 Continue.
func (w *response) noContinue() {
	if !w.expects {
		return
	}
	w.continuing.Lock() // also for one that is being written
	defer w.continuing.Unlock()
	if w.mayGoOn.Swap(false) {
		w.close = true // whether the body comes now, nobody knows
	}
}

// finish sends what is left once the handler has returned.
func (w *response) finish() {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	w.done.Store(true)
	if !w.sent {
		w.compose(true)
	} else {
		w.terminate()
	}
	_ = w.flush() // noted in the connection
	w.out.release()
	if w.limited {
		w.c.writeLimits().SetWriteLimit(0, 0)
	}
	if w.timed {
		_ = w.c.rwc.SetWriteDeadline(time.Time{}) // fails on a closed connection alone
	}
}

// short reports whether the client got less than it was told to expect.
func (w *response) short() bool {
	return w.length >= 0 && !w.isHead && bodyAllowed(w.status) && w.written != w.length
}
