package h1

// This file: one connection, from request to request.

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// The phases of a connection. Only that it waits without a byte can be changed
// by others than its own goroutine.
const (
	busy    int32 = iota // it has a goroutine, and perhaps a request
	waiting              // its goroutine waits for a request's first byte
	parked               // it has no goroutine: the poller tells of the next byte
	ended
)

// conn is a connection.
type conn struct {
	srv   *Server
	rwc   net.Conn
	from  io.ReaderFrom // rwc, if it can send files; else nil
	holds moreWriter    // rwc, if it can hold a head back; else nil
	late  lateReader    // rwc, if it can wait without a buffer; else nil
	seat  seat          // of the poller; without one, a goroutine waits
	guard *watcher      // without a seat: who looks for the client's leaving
	phase atomic.Int32

	remote string
	local  net.Addr
	tls    *tls.ConnectionState

	in       *buffer   // nil: nothing is buffered
	r, w     int       // in.b[r:w] is to be read
	fresh    bool      // no byte has ever come
	idle     bool      // no byte has come since the last response
	since    time.Time // it was accepted, or became idle
	blanks   int       // empty lines that are passed over before the next request
	handed   bool      // hijacked
	werr     error
	ex       atomic.Pointer[exchange] // the request that runs
	left     atomic.Bool              // the client has closed its side
	watching atomic.Bool              // nothing more of the request is to come
}

// exchange is one request and its response.
type exchange struct {
	c       *conn
	req     http.Request
	ctx     requestContext
	url     url.URL
	res     response
	body    body
	chunks  chunks
	hasBody bool
}

// blank is what requests are copies of: only so can they have a context
// without being made twice.
var blank = &http.Request{}

// errOut says that there is no next request: the connection closes, without an
// answer.
var errOut = errors.New("h1: no further request")

// errParked says that the poller has the connection now.
var errParked = errors.New("h1: parked")

// serve answers requests until the connection ends or is parked.
func (c *conn) serve() {
	err := errOut
	defer func() {
		if err != errParked {
			c.end(recover(), err)
		}
	}()
	if err = c.begin(); err != nil {
		return
	}
	for err == nil {
		err = c.one()
	}
}

// begin completes what is known of the connection.
func (c *conn) begin() error {
	if c.remote != "" {
		return nil
	}
	c.local = c.rwc.LocalAddr()
	if a := c.rwc.RemoteAddr(); a != nil {
		c.remote = a.String()
	}
	switch t := c.rwc.(type) {
	case *tls.Conn:
		return c.handshake(t)
	case interface{ ConnectionState() tls.ConnectionState }:
		state := t.ConnectionState()
		c.tls = &state
	}
	return nil
}

// handshake ends TLS's, if whoever accepted the connection has not.
func (c *conn) handshake(t *tls.Conn) error {
	if d := c.srv.HeaderTimeout; d > 0 {
		_ = t.SetDeadline(time.Now().Add(d)) // fails on a closed connection alone
	}
	if err := t.Handshake(); err != nil {
		why := err
		if plain := (tls.RecordHeaderError{}); errors.As(err, &plain) && plain.Conn != nil && looksLikeHTTP(plain.RecordHeader) {
			_, _ = io.WriteString(plain.Conn, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
			why = errors.New("the client speaks plain HTTP")
		}
		c.srv.log().Debug("a TLS handshake failed", "peer", c.remote, "error", why)
		return errOut
	}
	_ = t.SetDeadline(time.Time{}) // as above
	state := t.ConnectionState()
	c.tls = &state
	return nil
}

func looksLikeHTTP(b [5]byte) bool {
	switch string(b[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO":
		return true
	}
	return false
}

// one answers one request.
func (c *conn) one() error {
	if c.r == c.w {
		if err := c.await(); err != nil {
			return err
		}
	}
	ex := &exchange{c: c}
	ex.req = *blank.WithContext(&ex.ctx)
	req := &ex.req
	f, err := c.readRequest(req, &ex.url)
	if err != nil {
		return err
	}
	ex.ctx.srv, ex.ctx.local = c.srv, c.local
	req.RemoteAddr, req.TLS = c.remote, c.tls
	w := &ex.res
	w.c, w.ex = c, ex
	w.http11, w.keep10, w.close, w.isHead = req.ProtoMinor > 0, f.keep10, f.close, req.Method == http.MethodHead
	w.asked, w.length = f.close, -1
	req.Body = http.NoBody
	if ex.hasBody = f.length != 0; ex.hasBody {
		ex.body.ex, ex.body.left = ex, f.length
		if f.chunked {
			ex.body.chunks = &ex.chunks
		}
		req.Body = &ex.body
		w.expects = f.expect
		w.mayGoOn.Store(f.expect)
	}
	if ex.hasBody && req.Method == http.MethodPost {
		c.blanks = blanksBehindPost
	}
	c.run(ex, req)
	if w.taken {
		ex.ctx.cancel()
		return errOut
	}
	return c.after(ex)
}

// run calls the handler.
func (c *conn) run(ex *exchange, req *http.Request) {
	c.ex.Store(ex)
	if ex.hasBody {
		_ = c.rwc.SetReadDeadline(time.Time{}) // fails on a closed connection alone
	} else {
		c.releaseIfEmpty()
		c.watch()
	}
	c.srv.Handler.ServeHTTP(&ex.res, req)
}

// after ends an exchange, and says whether there may be another.
func (c *conn) after(ex *exchange) error {
	w := &ex.res
	w.finish()
	all := !ex.hasBody || ex.body.over() // first: its end begins a watch
	c.unwatch()
	c.ex.Store(nil)
	ex.ctx.cancel()
	switch {
	case w.close || w.short() || c.werr != nil || !all || w.status == http.StatusSwitchingProtocols:
		if c.werr == nil && (!all || !w.asked || c.more()) {
			c.farewell()
		}
		return errOut
	}
	return nil
}

// end is the end of a connection's goroutine. panicked is what a handler
// panicked with.
func (c *conn) end(panicked any, err error) {
	if panicked != nil && panicked != http.ErrAbortHandler { //nolint:errorlint // it is compared as net/http does
		c.srv.log().Error("a handler panicked; the connection is closed", "peer", c.remote, "panic", panicked, "stack", string(debug.Stack()))
	}
	if ex := c.ex.Swap(nil); ex != nil {
		ex.res.done.Store(true)
		ex.ctx.cancel()
		if !c.handed {
			ex.body.over()
			c.unwatch()
		}
	}
	if c.handed {
		return
	}
	var no *refusal
	if errors.As(err, &no) {
		c.refuse(no)
	}
	c.close()
}

// refuse answers a request that is none.
func (c *conn) refuse(no *refusal) {
	c.srv.log().Debug("a request is refused", "peer", c.remote, "status", no.status, "why", no.why)
	if c.werr != nil {
		return
	}
	if err := c.write(refusalText(no, c.srv.clock.date())); err == nil {
		c.farewell()
	}
}

// close ends the connection for good.
func (c *conn) close() {
	c.phase.Store(ended)
	c.drop()
	c.srv.forget(c)
	_ = c.rwc.Close() // nothing is left to be done
}

// cut ends the connection for its goroutine. TLS's farewell is left out: it
// takes up to five seconds where the client takes nothing.
func (c *conn) cut() {
	if t, ok := c.rwc.(*tls.Conn); ok {
		_ = t.NetConn().Close() // as in close
		return
	}
	_ = c.rwc.Close() // as above
}

func (c *conn) readRequest(req *http.Request, u *url.URL) (framing, error) {
	s := c.srv.buffers.getScanner()
	defer c.srv.buffers.scanners.Put(s)
	head, err := c.readHead(s)
	if err != nil {
		return framing{}, err
	}
	c.fresh = false
	return s.parse(head, req, u)
}

// Empty lines in place of a request are passed over at the beginning of a
// connection, as RFC 9112, section 2.2 wants it of at least one: programs that
// watch a port send some. Behind a POST old clients send one. Anywhere else, and
// when there are more, they are what a mistake in a message's length looks like.
const (
	blanksAtFirst    = 4
	blanksBehindPost = 1
)

// readHead reads a whole head into one string. The lines that s finds are at
// offsets of it.
func (c *conn) readHead(s *scanner) (string, error) {
	s.reset()
	late := false // a deadline for the rest of the head is set
	for {
		for c.blanks > 0 && c.w-c.r >= 2 {
			c.blanks--
			if c.in.b[c.r] == '\r' && c.in.b[c.r+1] == '\n' {
				c.r += 2
			} else {
				c.blanks = 0
			}
		}
		if c.r == c.w {
			late = false
			if err := c.await(); err != nil {
				return "", err
			}
			continue
		}
		if c.blanks == 0 || c.w-c.r >= 2 {
			done, err := s.scan(c.in.b[c.r:c.w], c.srv.maxHeader())
			if err != nil {
				return "", err
			}
			if done {
				head := string(c.in.b[c.r : c.r+s.at])
				c.r += s.at
				return head, nil
			}
		}
		if !late {
			late = true
			c.hurry()
		}
		if err := c.fill(); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return "", refuse(http.StatusRequestTimeout, "the header does not come")
			}
			return "", errOut
		}
	}
}

// hurry sets the deadline for the rest of a head.
func (c *conn) hurry() {
	var until time.Time
	if d := c.srv.HeaderTimeout; d > 0 {
		until = time.Now().Add(d)
		if c.fresh { // since it was accepted
			until = c.since.Add(d)
		}
	}
	c.fresh = false
	_ = c.rwc.SetReadDeadline(until) // fails on a closed connection alone
}

// await returns when the first bytes of a request are there.
func (c *conn) await() error {
	now := time.Now()
	if !c.fresh && !c.idle {
		c.since, c.idle = now, true
	}
	until := c.patience()
	for {
		wait := until
		if c.seat.taken() {
			if rest := now.Add(c.srv.parkAfter()); until.IsZero() || rest.Before(until) {
				wait = rest
			}
		}
		draining := c.srv.draining.Load()
		if draining {
			until = c.lastChance(now)
			wait = until
		}
		_ = c.rwc.SetReadDeadline(wait) // fails on a closed connection alone
		c.phase.Store(waiting)
		err := c.fill()
		if !c.phase.CompareAndSwap(waiting, busy) {
			return errOut // closed meanwhile
		}
		if err == nil {
			c.idle = false
			return nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return errOut
		}
		if now = time.Now(); !until.IsZero() && !now.Before(until) {
			return errOut
		}
		c.drop()
		if !draining && c.seat.taken() && c.srv.poll.park(c, until) {
			return errParked
		}
	}
}

// A server that shuts down gives a connection whose last response did not say
// so a while for the next request, which may be on its way: linger since that
// response, and a glance in any case, for what has come already.
const (
	linger     = 500 * time.Millisecond
	lastGlance = 5 * time.Millisecond
)

func (c *conn) lastChance(now time.Time) time.Time {
	until := c.since.Add(linger)
	if glance := now.Add(lastGlance); glance.After(until) {
		return glance
	}
	return until
}

// patience is when the connection has waited enough; zero: never.
func (c *conn) patience() time.Time {
	d := c.srv.IdleTimeout
	if c.fresh {
		d = c.srv.HeaderTimeout
	}
	if d <= 0 {
		return time.Time{}
	}
	return c.since.Add(d)
}
