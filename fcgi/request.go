package fcgi

// A server's request: its parts as they come, and its response as records.

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"strings"
	"sync"
	"time"

	"millrace/gateway"
)

// request is one request of a server's connection. The connection's reader
// owns the first group of fields, the goroutine that serves it the second.
type request struct {
	c    *conn
	id   uint16
	role gateway.Role
	keep bool

	counted bool   // among those that a shutdown waits for
	params  []byte // as far as they have come
	list    []gateway.Param
	length  int64 // CONTENT_LENGTH; negative: none
	begun   bool  // the handler is called, or about to be
	dropped bool  // what still comes is of no interest

	stdin, data pipe
	ctx         context.Context
	cancel      context.CancelFunc

	// Guarded by conn.mu for all but the connection's reader, who writes those
	// on the ends.
	paramsEnded, stdinEnded, dataEnded bool
	answered                           bool

	out     *responder
	said    bool // something went to STDERR
	verdict Status
	http    *http.Request
}

// responder is what a response needs, and the next one can use again.
type responder struct {
	w   gateway.ResponseWriter
	buf []byte // one STDOUT record: its header's room, then content
}

// recordSize is how much of a response is collected for one record.
const recordSize = 32 << 10

var responders = sync.Pool{New: func() any { return &responder{buf: make([]byte, HeaderLen, 4<<10)} }}

var paramBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 2<<10); return &b }}

func newRequest(c *conn, id uint16, begin beginBody) *request {
	r := &request{c: c, id: id, keep: begin.keep, length: -1}
	if begin.role >= 1 {
		r.role = gateway.Role(begin.role - 1)
	}
	r.params = (*paramBuffers.Get().(*[]byte))[:0]
	r.stdin.init()
	r.data.init()
	r.ctx, r.cancel = context.WithCancel(c.gc.Context())
	if r.role == gateway.Authorizer {
		c.authorizer = id
		r.stdinEnded = true // it has none; some send the end of one
	}
	return r
}

// inputEnded reports whether nothing more of the request comes.
func (r *request) inputEnded() bool {
	return r.paramsEnded && r.stdinEnded && (r.role != gateway.Filter || r.dataEnded)
}

// drop stops keeping what comes.
func (r *request) drop() {
	r.dropped = true
	r.params = nil
	r.stdin.close()
	r.data.close()
}

// abort ends the request early: its context, and reads of its body.
func (r *request) abort(why error) {
	r.stdin.finish(why)
	r.data.finish(why)
	r.cancel()
}

// headComplete is called when the parameters are there.
func (r *request) headComplete() error {
	var err error
	r.list, err = AppendPairs(make([]gateway.Param, 0, 32), r.params)
	if cap(r.params) <= 64<<10 {
		b := r.params
		paramBuffers.Put(&b)
	}
	r.params = nil
	if err != nil {
		return err
	}
	if length, _ := gateway.Lookup(r.list, "CONTENT_LENGTH"); length != "" {
		if r.length, err = gateway.ParseLength(length); err != nil {
			r.c.log("a FastCGI request is refused", "why", err)
			r.drop()
			return r.answer(http.StatusBadRequest)
		}
	}
	if r.length >= 0 || r.role == gateway.Authorizer {
		r.begin(false)
	}
	return nil
}

// begin has the handler called, once. some says that there is input, for a
// request that does not tell its length.
func (r *request) begin(some bool) {
	if r.begun || r.dropped {
		return
	}
	r.begun = true
	in := gateway.Incoming{
		Protocol: "fastcgi", Role: r.role, Params: r.list, Conn: r.c.gc, Script: r.c.srv.Script,
		Body: &body{request: r, left: r.length}, Streamed: some, Stderr: stderr{r},
	}
	if r.role == gateway.Filter {
		in.Data = &r.data
	}
	hr, err := gateway.ToHTTP(r.ctx, in)
	if err != nil {
		r.c.log("a FastCGI request is refused", "why", err)
		r.drop()
		_ = r.answer(http.StatusBadRequest) // an error is the connection's, and shows there
		return
	}
	r.http = hr
	r.c.start(r)
}

// body is the request's input, as long as CONTENT_LENGTH says.
type body struct {
	*request
	left int64 // negative: up to the end of STDIN
}

func (b *body) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	if b.left > 0 && int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.stdin.Read(p)
	if b.left > 0 {
		b.left -= int64(n)
		if err == io.EOF {
			err = fmt.Errorf("fcgi: STDIN ends %d bytes before CONTENT_LENGTH: %w", b.left, io.ErrUnexpectedEOF)
		}
	}
	return n, err
}

// serve calls the handler and ends the response.
func (r *request) serve() {
	r.out = responders.Get().(*responder)
	r.out.w.Reset(r, r.http.Method)
	complete := r.out.w.Run(r.c.srv.handler(), r.http, r.c.srv.logger())
	aborted := r.ctx.Err() != nil
	end := endBody{status: r.verdict}
	if !complete {
		end.app = 1
	}
	if aborted {
		r.out.buf = r.out.buf[:HeaderLen] // nobody wants it
	}
	r.c.out.use(-1)
	r.stdin.close()
	r.data.close()
	if alone := r.c.settle(r); alone && !complete && !aborted {
		// The one way to say that a response is not whole. Where others use the
		// connection, the exit status has to do.
		r.c.gc.Close()
	} else {
		_ = r.end(end) // an error is the connection's, and shows there
	}
	r.cancel()
	r.http = nil
	if cap(r.out.buf) <= 2*recordSize {
		responders.Put(r.out)
	}
	r.out = nil
	r.c.done(r)
}

// end closes the streams and the request, in one write with what is held.
func (r *request) end(e endBody) error {
	b := r.out.buf
	if len(b) > HeaderLen+MaxContent {
		if err := r.Flush(); err != nil {
			return err
		}
		b = r.out.buf
	}
	if len(b) > HeaderLen {
		AppendHeader(b[:0], Header{Type: Stdout, ID: r.id, Length: len(b) - HeaderLen})
	} else {
		b = b[:0]
	}
	if e.status == RequestComplete {
		b = AppendHeader(b, Header{Type: Stdout, ID: r.id})
	}
	if r.said {
		b = AppendHeader(b, Header{Type: Stderr, ID: r.id})
	}
	b = appendEnd(b, r.id, e)
	r.out.buf = b[:min(HeaderLen, len(b))]
	return r.c.out.send(b)
}

// WriteHead is a gateway.Stream's.
func (r *request) WriteHead(status int, header http.Header) error {
	if r.role == gateway.Authorizer {
		restoreVariables(header)
	}
	r.out.buf = gateway.AppendHead(r.out.buf[:HeaderLen], gateway.FormCGI, status, header)
	return nil
}

// restoreVariables undoes what http.Header.Set does to the name of a variable:
// Variable-Remote_user is meant as Variable-REMOTE_USER.
func restoreVariables(header http.Header) {
	const prefix = "Variable-"
	for name, values := range header {
		tail, ok := strings.CutPrefix(name, prefix)
		if upper := strings.ToUpper(tail); ok && upper != tail && textproto.CanonicalMIMEHeaderKey(name) == name {
			delete(header, name)
			header[prefix+upper] = values
		}
	}
}

// Write collects what fits a record, and sends it when that is full.
func (r *request) Write(p []byte) (int, error) {
	sent := 0
	for {
		n := min(len(p), max(HeaderLen+recordSize-len(r.out.buf), 0))
		r.out.buf = append(r.out.buf, p[:n]...)
		sent += n
		if p = p[n:]; len(p) == 0 {
			return sent, nil
		}
		if err := r.Flush(); err != nil {
			return sent, err
		}
	}
}

// ReadFrom reads straight into the record that leaves.
func (r *request) ReadFrom(src io.Reader) (int64, error) {
	total := int64(0)
	for {
		if len(r.out.buf) >= HeaderLen+recordSize {
			if err := r.Flush(); err != nil {
				return total, err
			}
		}
		if cap(r.out.buf) < HeaderLen+recordSize {
			r.out.buf = append(make([]byte, 0, HeaderLen+recordSize+64), r.out.buf...)
		}
		n, err := src.Read(r.out.buf[len(r.out.buf) : HeaderLen+recordSize])
		r.out.buf = r.out.buf[:len(r.out.buf)+n]
		total += int64(n)
		switch {
		case err == io.EOF:
			return total, nil
		case err != nil:
			return total, err
		}
	}
}

// Flush sends the record, and a head too large for one as several.
func (r *request) Flush() error {
	b := r.out.buf
	defer func() { r.out.buf = r.out.buf[:HeaderLen] }()
	if r.ctx.Err() != nil {
		return gateway.ErrAborted
	}
	for len(b)-HeaderLen > MaxContent {
		AppendHeader(b[:0], Header{Type: Stdout, ID: r.id, Length: MaxContent})
		if err := r.c.out.send(b[:HeaderLen+MaxContent]); err != nil {
			return err
		}
		b = b[MaxContent:] // its first bytes were sent: room for the next header
	}
	if len(b) == HeaderLen {
		return nil
	}
	AppendHeader(b[:0], Header{Type: Stdout, ID: r.id, Length: len(b) - HeaderLen})
	return r.c.out.send(b)
}

// SetReadDeadline is that of the request's body.
func (r *request) SetReadDeadline(t time.Time) error { return r.stdin.SetReadDeadline(t) }

// Overload refuses the request with FCGI_OVERLOADED, which only a peer that
// has asked for our values can be trusted to understand.
func (r *request) Overload() bool {
	if !r.c.asked.Load() {
		return false
	}
	r.verdict = Overloaded
	return true
}

// refuse ends a request without a handler.
func (r *request) refuse(verdict Status) error {
	if verdict == Overloaded && !r.c.asked.Load() {
		return r.answer(http.StatusServiceUnavailable)
	}
	return r.finishNow(appendEnd(nil, r.id, endBody{status: verdict}))
}

// answer answers a request that no handler gets.
func (r *request) answer(status int) error {
	header := http.Header{"Content-Type": {"text/plain; charset=utf-8"}}
	if status == http.StatusServiceUnavailable {
		header.Set("Retry-After", "1")
	}
	b := gateway.AppendHead(make([]byte, HeaderLen, 512), gateway.FormCGI, status, header)
	b = append(b, http.StatusText(status)+"\n"...)
	AppendHeader(b[:0], Header{Type: Stdout, ID: r.id, Length: len(b) - HeaderLen})
	b = AppendHeader(b, Header{Type: Stdout, ID: r.id})
	return r.finishNow(appendEnd(b, r.id, endBody{}))
}

func (r *request) finishNow(b []byte) error {
	r.c.settle(r)
	err := r.c.out.send(b)
	r.cancel()
	r.c.done(r)
	return err
}

// stderr is the way to the front server's error log.
type stderr struct{ r *request }

func (s stderr) Write(p []byte) (int, error) {
	s.r.said = true
	for rest := p; len(rest) > 0; {
		n := min(len(rest), recordSize)
		b := AppendHeader(make([]byte, 0, HeaderLen+n), Header{Type: Stderr, ID: s.r.id, Length: n})
		if err := s.r.c.out.send(append(b, rest[:n]...)); err != nil {
			return len(p) - len(rest), err
		}
		rest = rest[n:]
	}
	return len(p), nil
}
