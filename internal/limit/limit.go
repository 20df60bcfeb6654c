// Package limit says how much: how slowly a body may come, how large it may be,
// how many requests and connections there may be.
//
// # Requests
//
// Requests.Wrap bounds the requests of each key, whatever a key is: a client, a
// user, a header. How many may come in a time is rate.go's matter, and how many
// may run at a time. State is what is known of the keys; it is bounded, and it
// outlives the handlers that are made anew when a configuration changes.
//
// Connections counts connections when they are accepted, before anything is read
// of them.
//
// # Bodies
//
// Size refuses bodies that are too large. Body keeps a client from holding a
// request by sending its body slowly, or not at all.
//
// Body wraps a handler. A request without a body passes through untouched. To
// one that has a body it gives a Body whose Read
//
//   - fails when no byte comes for Limits.Timeout;
//   - fails when, after that time, the bytes came at less than Limits.MinRate
//     on average. Only time spent waiting for the client counts, so that a
//     handler may take its own time between two reads;
//   - clears the connection's read deadline when the body ends, so that
//     the server, which watches for the client's leaving from then on, does not
//     take an old deadline for it, and the connection can be kept.
//
// The error is os.ErrDeadlineExceeded for errors.Is. What to answer (408) is
// the handler's choice; the request's context is done by then, as the server
// ends it with the first failed read. What a handler leaves unread, the server
// reads after it, up to 256 KiB, to keep the connection: this is under a
// deadline of the same length.
//
// A Body within another one, nearer to the handler, changes the limits of the
// bodies that reach it.
package limit

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// Limits of a request's body. The zero value limits nothing.
type Limits struct {
	// Timeout without a byte of the body. It is never shorter than that, and
	// may be half as long again. 0: no limit, and no MinRate either.
	Timeout time.Duration

	// MinRate is how many bytes a second must come on average, once the
	// client was waited for longer than Timeout. 0: any.
	MinRate int64
}

// Body guards the reading of next's request bodies.
func Body(next http.Handler, limits Limits) http.Handler {
	if limits.Timeout <= 0 {
		return next
	}
	return &guard{next, limits}
}

type guard struct {
	next   http.Handler
	limits Limits
}

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		g.next.ServeHTTP(w, r)
		return
	}
	if b, ok := r.Body.(*body); ok { // of a Body around this one
		b.limits = g.limits
		g.next.ServeHTTP(w, r)
		return
	}
	b := &body{inner: r.Body, limits: g.limits, conn: http.NewResponseController(w)}
	r.Body = b
	// After a refusal the server looks at its own body again: it lingers for a
	// client that is still sending, where a reset could overtake the answer.
	defer func() {
		b.leave()
		r.Body = b.inner
	}()
	g.next.ServeHTTP(w, r)
}

// body is used by one goroutine at a time, as any io.Reader.
type body struct {
	inner  io.ReadCloser
	limits Limits
	conn   *http.ResponseController

	deadline time.Time     // as the connection has it; zero: none
	waited   time.Duration // for the client, in all
	got      int64         // bytes
	ended    bool          // read to its end
	err      error         // why reading is over
}

var _ io.ReadCloser = (*body)(nil)

func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	start := time.Now()
	if err := b.renew(start); err != nil {
		b.err = err
		return 0, err
	}
	n, err := b.inner.Read(p)
	b.waited += time.Since(start)
	b.got += int64(n)
	switch {
	case err == io.EOF:
		b.ended = true
		b.clear()
	case err != nil:
		err = fmt.Errorf("cannot read the request's body: %w", err)
	case b.tooSlow():
		err = fmt.Errorf("request body comes too slowly, %d bytes in %v: %w", b.got, b.waited.Round(time.Millisecond), os.ErrDeadlineExceeded)
	}
	b.err = err
	return n, err
}

// renew makes sure that at least the time-out lies ahead. Half as much again
// is set, so that a quick body moves the deadline once and not at every read.
func (b *body) renew(now time.Time) error {
	if b.deadline.Sub(now) >= b.limits.Timeout {
		return nil
	}
	b.deadline = now.Add(b.limits.Timeout + b.limits.Timeout/2)
	if err := b.conn.SetReadDeadline(b.deadline); err != nil {
		return fmt.Errorf("cannot guard the request's body: %w", err)
	}
	return nil
}

func (b *body) clear() {
	if !b.deadline.IsZero() {
		b.deadline = time.Time{}
		_ = b.conn.SetReadDeadline(time.Time{}) // fails on a connection that is gone, as any use will
	}
}

func (b *body) tooSlow() bool {
	if b.waited <= b.limits.Timeout {
		return false
	}
	return float64(b.got) < float64(b.limits.MinRate)*b.waited.Seconds()
}

// Close leaves the rest unread.
func (b *body) Close() error { return b.inner.Close() }

// leave bounds what the server still reads of the body once the handler is
// done. It sets its own deadline for the next request after that.
func (b *body) leave() {
	if !b.ended && b.err == nil {
		_ = b.conn.SetReadDeadline(time.Now().Add(b.limits.Timeout)) // as in clear
	}
}
