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
	"sync/atomic"
	"time"

	"millrace/internal/requestid"
	"millrace/internal/spool"
)

// bodyMemory is how much of a request's body is kept in memory in any case;
// more, while there is memory to lend (spool.NewBody).
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
	b := &body{buffer: g.cfg.Spool.NewBody(bodyMemory)}
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

// streamed is a body that is read while it comes.
type streamed struct {
	size int64  // negative: not known
	most int64  // bytes
	cut  func() // ends a read that waits for the client

	mu     sync.Mutex // of the one who reads
	r      io.Reader
	got    int64
	err    error // why it cannot be read on; io.EOF: it is all
	closed atomic.Bool
}

// stream returns the body of r to be read as it comes; nil if it has none, or
// if its length has to be known first and is not.
func (g *Group) stream(w http.ResponseWriter, r *http.Request) (*streamed, error) {
	switch {
	case !g.cfg.StreamRequest && !(g.cfg.HTTP2 && isRPC(r.Header)) || r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody:
		return nil, nil
	case r.ContentLength < 0 && !g.speaksHTTP():
		return nil, nil
	case r.ContentLength > g.cfg.MaxBody:
		return nil, errTooLarge
	}
	controller := http.NewResponseController(w)
	if err := controller.EnableFullDuplex(); err != nil && r.ProtoMajor == 1 {
		return nil, nil // no answer could come before the body's end: then it may as well be collected
	}
	return &streamed{size: r.ContentLength, most: g.cfg.MaxBody, r: r.Body, cut: func() {
		_ = controller.SetReadDeadline(time.Unix(1, 0)) // fails on a connection that is gone, as reading will
	}}, nil
}

// Read is used by one goroutine at a time; it may go on for longer than the
// exchange, until close.
func (s *streamed) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed.Load():
		return 0, os.ErrClosed
	case s.err != nil:
		return 0, s.err
	case len(p) == 0:
		return 0, nil
	}
	n, err := s.r.Read(p)
	if s.got += int64(n); s.got > s.most {
		n, err = 0, errTooLarge
	}
	s.err = err
	return n, err
}

// failed is why the client's body could not be read, nil if it could. over: the
// client has left, or its body has failed, and a read ends by itself.
func (s *streamed) failed(over bool) error {
	switch {
	case s == nil:
		return nil
	case over:
		s.mu.Lock()
	case !s.mu.TryLock(): // it is being read
		return nil
	}
	defer s.mu.Unlock()
	if s.err == io.EOF {
		return nil
	}
	return s.err
}

// close ends all reading, also a read that waits: the body is the server's
// again, which closes the connection if there is something left.
func (s *streamed) close() {
	if s == nil {
		return
	}
	s.closed.Store(true)
	free := s.mu.TryLock()
	if !free {
		s.cut()
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	if free && s.err != io.EOF {
		s.cut()
	}
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
	var long *http.MaxBytesError // of the route
	w.Header().Set("Connection", "close")
	switch {
	case errors.Is(err, errTooLarge), errors.As(err, &long):
		plainError(w, r, http.StatusRequestEntityTooLarge)
	case errors.As(err, &disk):
		g.log.Error("cannot spool a request's body; is the disk of server.spool full?", "request", requestid.Of(r), "method", r.Method, "uri", r.RequestURI, "error", err)
		plainError(w, r, http.StatusInsufficientStorage)
	case errors.Is(err, spool.ErrFull):
		g.log.Error("cannot spool a request's body; server.spool_max is reached", "request", requestid.Of(r), "method", r.Method, "uri", r.RequestURI, "used", g.cfg.Spool.Used())
		w.Header().Set("Retry-After", "5")
		plainError(w, r, http.StatusServiceUnavailable)
	case errors.Is(err, os.ErrDeadlineExceeded):
		plainError(w, r, http.StatusRequestTimeout)
	default:
		plainError(w, r, http.StatusBadRequest)
	}
}
