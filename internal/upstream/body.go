package upstream

// The body of a request: collected whole, then read by the back end's client,
// perhaps more than once.

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"

	"millrace/internal/spool"
)

// bodyMemory is how much of a request's body is kept in memory.
const bodyMemory = 64 << 10

var errTooLarge = errors.New("the request's body is larger than max_body")

// body is a request's.
type body struct {
	size int64

	mu     sync.Mutex // a client may still read when its RoundTrip has returned
	buffer *spool.Buffer
	closed bool
}

// collect reads the body of r; nil if it has none.
func (g *Group) collect(r *http.Request) (*body, error) {
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	if r.ContentLength > g.cfg.MaxBody {
		return nil, errTooLarge
	}
	b := &body{buffer: g.cfg.Spool.NewBuffer(bodyMemory)}
	var err error
	b.size, err = b.buffer.ReadFrom(io.LimitReader(r.Body, g.cfg.MaxBody+1))
	if err == nil && b.size > g.cfg.MaxBody {
		err = errTooLarge
	}
	if err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// reader reads the body from its start, until close.
func (b *body) reader() io.Reader {
	r := &bodyReader{body: b}
	if f := b.buffer.File(); f != nil {
		r.inner = io.NewSectionReader(f, 0, b.size)
	} else {
		r.inner = bytes.NewReader(b.buffer.Bytes())
	}
	return r
}

// close gives the body's memory or file back. What still reads it gets an
// error: somebody else's bytes are there by then.
func (b *body) close() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	_ = b.buffer.Close()
}

type bodyReader struct {
	body  *body
	inner io.Reader
}

func (r *bodyReader) Read(p []byte) (int, error) {
	r.body.mu.Lock()
	defer r.body.mu.Unlock()
	if r.body.closed {
		return 0, os.ErrClosed
	}
	return r.inner.Read(p)
}

// bodyError answers a request whose body cannot be taken. The connection
// closes, since what is left of the body is not read.
func (g *Group) bodyError(w http.ResponseWriter, r *http.Request, err error) {
	var disk *spool.DiskError
	w.Header().Set("Connection", "close")
	switch {
	case errors.Is(err, errTooLarge):
		plainError(w, http.StatusRequestEntityTooLarge)
	case errors.As(err, &disk):
		g.log.Error("cannot spool a request's body; is the disk of server.spool full?", "method", r.Method, "uri", r.RequestURI, "error", err)
		plainError(w, http.StatusInsufficientStorage)
	case errors.Is(err, spool.ErrFull):
		g.log.Error("cannot spool a request's body; server.spool_max is reached", "method", r.Method, "uri", r.RequestURI, "used", g.cfg.Spool.Used())
		w.Header().Set("Retry-After", "5")
		plainError(w, http.StatusServiceUnavailable)
	case errors.Is(err, os.ErrDeadlineExceeded):
		plainError(w, http.StatusRequestTimeout)
	default:
		plainError(w, http.StatusBadRequest)
	}
}
