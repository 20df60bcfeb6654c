package fcgi

// A server's request: its parts as they come, and its response as records.

import (
	"context"
	"net/http"
	"os"
	"sync"
	"time"

	"millrace/gateway"
)

// request is one request of a server's connection. The connection's reader
// owns the first group of fields, the goroutine that serves it the last.
type request struct {
	c    *conn
	id   uint16
	role gateway.Role
	keep bool

	counted bool      // among those that a shutdown waits for
	since   time.Time // when it was begun
	params  []byte    // as far as they have come
	buffer  *[]byte   // params' first home
	list    []gateway.Param
	begun   bool // the handler is called, or about to be

	stdin  input
	data   *input // of a filter
	ctx    context.Context
	cancel context.CancelFunc

	paramsEnded bool // guarded by conn.mu for all but the connection's reader, who writes it

	verdict Status
	http    *http.Request
	out     response
	writer  gateway.ResponseWriter

	errMu sync.Mutex // of the way to the error log, which is any goroutine's
	said  bool       // something went there
	mute  bool       // the response has ended
}

var paramBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 2<<10); return &b }}

func newRequest(c *conn, id uint16, begin beginBody) *request {
	r := &request{c: c, id: id, keep: begin.keep, stdin: input{length: -1}}
	if begin.role >= 1 {
		r.role = gateway.Role(begin.role - 1)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unsent++
	if c.leftovers != nil {
		c.leftovers.remove(id)
	}
	return r
}

// open makes the request ready for what comes.
func (r *request) open() {
	r.counted = true
	r.since = time.Now()
	r.buffer = paramBuffers.Get().(*[]byte)
	r.params = (*r.buffer)[:0]
	r.stdin.init()
	r.stdin.hurry = r.c.crowded
	if r.role == gateway.Filter {
		r.data = &input{length: -1}
		r.data.init()
		r.data.hurry = r.c.crowded
	}
	r.ctx, r.cancel = context.WithCancel(r.c.gc.Context())
	r.c.mu.Lock()
	r.c.streams[r.id] = r
	r.c.mu.Unlock()
}

// inputEnded reports whether nothing more of the request can come. An
// authorizer's never has: some peers send the end of an input that it has not.
func (r *request) inputEnded() bool {
	return r.paramsEnded && r.stdin.ended && (r.data == nil || r.data.ended)
}

// abort ends the request early: its context, and reads of its input.
func (r *request) abort(why error) {
	r.stdin.finish(why)
	if r.data != nil {
		r.data.finish(why)
	}
	r.cancel()
}

// headComplete is called when the parameters are there.
func (r *request) headComplete() error {
	var err error
	r.list, err = AppendPairs(make([]gateway.Param, 0, 32), r.params)
	if cap(r.params) <= 64<<10 {
		*r.buffer = r.params
		paramBuffers.Put(r.buffer)
	}
	r.params, r.buffer = nil, nil
	if err != nil {
		return err
	}
	if r.role == gateway.Authorizer {
		r.stdin.length = 0 // some send the end of it all the same
		return r.begin(false)
	}
	for _, in := range [...]struct {
		*input
		name string
	}{{&r.stdin, "CONTENT_LENGTH"}, {r.data, "FCGI_DATA_LENGTH"}} {
		if length, _ := gateway.Lookup(r.list, in.name); length != "" && in.input != nil {
			if in.length, err = gateway.ParseLength(length); err != nil {
				return r.bad(err)
			}
		}
	}
	if r.stdin.length >= 0 {
		return r.begin(false)
	}
	return nil
}

// begin has the handler called, once. some says that there is input, for a
// request that does not tell its length.
func (r *request) begin(some bool) error {
	if r.begun {
		return nil
	}
	r.begun = true
	r.c.headDone(r)
	in := gateway.Incoming{
		Protocol: "fastcgi", Role: r.role, Params: r.list, Conn: r.c.gc, Script: r.c.srv.Script,
		Body: &r.stdin, Streamed: some, Stderr: stderr{r},
	}
	if r.data != nil {
		in.Data = r.data
	}
	hr, err := gateway.ToHTTP(r.ctx, in)
	if err != nil {
		return r.bad(err)
	}
	if r.role == gateway.Authorizer { // it has no body, whatever is said of the one that the next will get
		hr.Body, hr.ContentLength = http.NoBody, 0
		delete(hr.Header, "Content-Length")
	}
	r.http = hr
	r.c.start(r)
	return nil
}

// bad answers a request that is none.
func (r *request) bad(why error) error {
	r.c.log("a FastCGI request is refused", "why", why)
	r.stdin.close()
	return r.answer(http.StatusBadRequest)
}

// serve calls the handler and ends the response.
func (r *request) serve() {
	// Neither is used again: a handler may keep its writer, against the rules,
	// beyond its return.
	out, w := &r.out, &r.writer
	out.r, out.buf = r, (*records.Get().(*[]byte))[:HeaderLen]
	w.Reset(out, r.http.Method)
	complete := w.Run(r.c.srv.handler(), r.http, r.c.srv.logger())
	r.c.out.use(-1)
	aborted := r.ctx.Err() != nil
	b := out.close()
	if aborted {
		b = b[:HeaderLen] // nobody wants it
	}
	r.stdin.close()
	if r.data != nil {
		r.data.close()
	}
	r.errMu.Lock()
	r.mute = true
	r.errMu.Unlock()
	if alone := r.c.settle(r); alone && !complete && !aborted {
		r.c.cut()
	} else {
		b = r.end(b, complete)
		_ = r.c.out.send(b) // an error is the connection's, and shows there
	}
	r.cancel()
	r.http = nil
	if cap(b) <= 2*recordSize {
		records.Put(&b)
	}
	r.c.done(r)
}

// end closes the streams and the request. b, of which no more than a record is
// left, comes back with that and the ends, to leave in one write.
func (r *request) end(b []byte, complete bool) []byte {
	if len(b) > HeaderLen {
		AppendHeader(b[:0], Header{Type: Stdout, ID: r.id, Length: len(b) - HeaderLen})
	} else {
		b = b[:0]
	}
	if r.verdict == RequestComplete {
		b = AppendHeader(b, Header{Type: Stdout, ID: r.id})
	}
	if r.said {
		b = AppendHeader(b, Header{Type: Stderr, ID: r.id})
	}
	e := endBody{status: r.verdict}
	if !complete {
		e.app = 1
	}
	return appendEnd(b, r.id, e)
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
	r.c.headDone(r)
	r.c.settle(r)
	err := r.c.out.send(b)
	if r.cancel != nil {
		r.cancel()
	}
	r.c.done(r)
	return err
}

// stderr is the way to the front server's error log.
type stderr struct{ r *request }

// Write may be called by any goroutine, until the response has ended.
func (s stderr) Write(p []byte) (int, error) {
	r := s.r
	r.errMu.Lock()
	defer r.errMu.Unlock()
	if r.mute {
		return 0, os.ErrClosed
	}
	r.said = true
	for rest := p; len(rest) > 0; {
		n := min(len(rest), recordSize)
		b := AppendHeader(make([]byte, 0, HeaderLen+n), Header{Type: Stderr, ID: r.id, Length: n})
		if err := r.c.out.send(append(b, rest[:n]...)); err != nil {
			return len(p) - len(rest), err
		}
		rest = rest[n:]
	}
	return len(p), nil
}
