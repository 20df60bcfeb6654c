package accesslog

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"millrace/internal/placeholder"
)

// statusClientGone is nginx's status for a client that left before it was
// answered. It is only ever logged.
const statusClientGone = 499

// Wrap is WrapAs in the combined format.
func (l *Log) Wrap(next http.Handler) http.Handler { return l.WrapAs(next, &Format{}, "") }

// WrapAs returns a handler that calls next and logs each request, in a format;
// site is the site's name, "" for the host that the request names. The
// ResponseWriter that next gets must not be used after it has returned. A panic
// of next passes through, after the line is logged.
func (l *Log) WrapAs(next http.Handler, f *Format, site string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.keep {
			r, _ = placeholder.Keep(r)
		}
		rw := writers.Get().(*writer)
		rw.w, rw.ctx, rw.head, rw.timed = w, r.Context(), r.Method == http.MethodHead, f.timed
		start := time.Now()
		returned := false
		defer func() {
			status, size := rw.result(returned)
			if f.kind == combined {
				rw.line = l.appendLine(rw.line[:0], r, start, status, size)
			} else {
				rw.entry = entry{l, r, start, time.Since(start), status, size, w.Header(), site, rw.app, rw.upstream, rw.waited}
				rw.line = f.append(rw.line[:0], &rw.entry)
			}
			if !rw.unlogged {
				l.add(rw.line)
			}
			if returned { // after a panic somebody may still hold it
				rw.release()
			}
		}()
		next.ServeHTTP(rw, r)
		returned = true
	})
}

// writer is a ResponseWriter that notes what passes. It has the methods that
// make a difference to speed or behaviour; http.ResponseController finds the
// rest (deadlines, Hijack) through Unwrap.
type writer struct {
	w      http.ResponseWriter
	ctx    context.Context
	head   bool
	status int
	size   int64
	line   []byte // room to make the line in
	entry  entry  // room, too

	app, upstream string        // see Answered
	timed         bool          // the format tells {upstream_time}
	asked         time.Time     // if timed
	waited        time.Duration // from asked until the response began; 0: it was not
	unlogged      bool          // see Unlogged
}

var writers = sync.Pool{New: func() any { return &writer{line: make([]byte, 0, 512)} }}

func (w *writer) release() {
	line := w.line
	if cap(line) > 16<<10 {
		line = nil
	}
	*w = writer{line: line}
	writers.Put(w)
}

// result returns the status and size to log when the handler has returned, or
// has panicked.
func (w *writer) result(returned bool) (int, int64) {
	if w.status == 0 && (returned || w.ctx.Err() != nil) {
		w.began(http.StatusOK) // net/http answers so for a handler that does not
	}
	if w.head {
		return w.status, 0 // net/http takes a body and drops it
	}
	return w.status, w.size
}

// began notes the status of a response that begins now.
func (w *writer) began(status int) {
	if w.status != 0 {
		return
	}
	if w.ctx.Err() != nil && !refusesBody(status) {
		status = statusClientGone
	}
	w.status = status
	if !w.asked.IsZero() {
		w.waited = time.Since(w.asked)
	}
}

// refusesBody tells the statuses that answer a body which could not be read:
// net/http ends the request's context with such a read, though the client is
// still there.
func refusesBody(status int) bool {
	return status == http.StatusRequestTimeout || status == http.StatusBadRequest || status == http.StatusRequestEntityTooLarge
}

// Carried counts n bytes that were sent over a connection that the handler took
// over.
func (w *writer) Carried(n int64) { w.size += n }

func (w *writer) Unwrap() http.ResponseWriter { return w.w }

func (w *writer) Header() http.Header { return w.w.Header() }

func (w *writer) WriteHeader(status int) {
	// Informational responses come before the real one; 101 is a real one.
	if status < 100 || status > 199 || status == http.StatusSwitchingProtocols {
		w.began(status)
	}
	w.w.WriteHeader(status)
}

func (w *writer) Write(b []byte) (int, error) {
	w.began(http.StatusOK)
	n, err := w.w.Write(b)
	w.size += int64(n)
	return n, err
}

func (w *writer) WriteString(s string) (int, error) {
	w.began(http.StatusOK)
	n, err := io.WriteString(w.w, s)
	w.size += int64(n)
	return n, err
}

// ReadFrom hands src on as it is, so that sendfile sees the file in it.
func (w *writer) ReadFrom(src io.Reader) (int64, error) {
	w.began(http.StatusOK)
	if rf, ok := w.w.(io.ReaderFrom); ok {
		n, err := rf.ReadFrom(src)
		w.size += n
		return n, err
	}
	buf := copyBuffers.Get().(*[32 << 10]byte)
	defer copyBuffers.Put(buf)
	n, err := io.CopyBuffer(struct{ io.Writer }{w.w}, src, buf[:])
	w.size += n
	return n, err
}

var copyBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

func (w *writer) Flush() { _ = w.FlushError() } // http.Flusher has no way to say it

func (w *writer) FlushError() error {
	w.began(http.StatusOK)
	return http.NewResponseController(w.w).Flush()
}

var (
	_ http.Flusher    = (*writer)(nil)
	_ io.ReaderFrom   = (*writer)(nil)
	_ io.StringWriter = (*writer)(nil)
)
