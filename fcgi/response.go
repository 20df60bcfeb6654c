package fcgi

// A server's response: what the handler writes, made into records in place.

import (
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"strings"
	"sync"
	"time"

	"millrace/gateway"
)

// response is the gateway.Stream of one request.
type response struct {
	r *request

	mu   sync.Mutex // against a handler that writes after its return
	buf  []byte     // one STDOUT record: its header's room, then content; nil while ReadFrom has it
	over bool
}

var (
	_ gateway.Stream = (*response)(nil)
	_ io.ReaderFrom  = (*response)(nil)
)

// recordSize is how much of a response is collected for one record.
const recordSize = 32 << 10

// records are the buffers of responses, with a header's room at least.
var records = sync.Pool{New: func() any { b := make([]byte, HeaderLen, 4<<10); return &b }}

var errReturned = errors.New("fcgi: the handler has returned, or another goroutine writes")

// close ends the response for the handler, and gives what it holds: no more
// than one record.
func (o *response) close() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.buf) > HeaderLen+MaxContent {
		_ = o.flushLocked() // an error is the connection's, and shows there
	}
	o.over = true
	b := o.buf
	o.buf = nil
	if len(b) < HeaderLen { // somebody still reads into it
		b = make([]byte, HeaderLen, 64)
	}
	return b
}

// WriteHead is a gateway.Stream's.
func (o *response) WriteHead(status int, header http.Header) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over {
		return errReturned
	}
	if o.r.role == gateway.Authorizer {
		restoreVariables(header)
	}
	o.buf = gateway.AppendHead(o.buf[:HeaderLen], gateway.FormCGI, status, header)
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
func (o *response) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over || o.buf == nil {
		return 0, errReturned
	}
	sent := 0
	for {
		n := min(len(p), max(HeaderLen+recordSize-len(o.buf), 0))
		o.buf = append(o.buf, p[:n]...)
		sent += n
		if p = p[n:]; len(p) == 0 {
			return sent, nil
		}
		if err := o.flushLocked(); err != nil {
			return sent, err
		}
	}
}

// ReadFrom reads straight into the record that leaves.
func (o *response) ReadFrom(src io.Reader) (int64, error) {
	total := int64(0)
	for {
		b, err := o.lend()
		if err != nil {
			return total, err
		}
		n, err := src.Read(b[len(b) : HeaderLen+recordSize])
		if back := o.giveBack(b[:len(b)+n]); back != nil {
			return total, back
		}
		total += int64(n)
		switch {
		case err == io.EOF:
			return total, nil
		case err != nil:
			return total, err
		}
	}
}

// lend gives the record away, with room, for a read that may take its time.
func (o *response) lend() ([]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over || o.buf == nil {
		return nil, errReturned
	}
	if len(o.buf) >= HeaderLen+recordSize {
		if err := o.flushLocked(); err != nil {
			return nil, err
		}
	}
	b := o.buf
	o.buf = nil
	if cap(b) < HeaderLen+recordSize {
		b = append(make([]byte, 0, HeaderLen+recordSize+64), b...)
	}
	return b, nil
}

func (o *response) giveBack(b []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over {
		return errReturned
	}
	o.buf = b
	return nil
}

// Flush sends what is held.
func (o *response) Flush() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over || o.buf == nil {
		return errReturned
	}
	return o.flushLocked()
}

// flushLocked sends the record, and a head too large for one as several.
func (o *response) flushLocked() error {
	b, r := o.buf, o.r
	defer func() { o.buf = o.buf[:HeaderLen] }()
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

// SetReadDeadline is that of the request's input.
func (o *response) SetReadDeadline(t time.Time) error {
	if o.r.data != nil { // a filter's file is read like a body
		if err := o.r.data.SetReadDeadline(t); err != nil {
			return err
		}
	}
	return o.r.stdin.SetReadDeadline(t)
}

// Overload refuses the request with FCGI_OVERLOADED, which only a peer that
// has asked for our values can be trusted to understand.
func (o *response) Overload() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over || !o.r.c.asked.Load() {
		return false
	}
	o.r.verdict = Overloaded
	return true
}
