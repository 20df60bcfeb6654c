package upstream

// From a back end's response to the client: each at its own speed.

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"millrace/gateway"
	"millrace/internal/requestid"
	"millrace/internal/spool"
)

const (
	pipeMemory = 64 << 10 // bytes of a response that wait in memory
	pipeDisk   = 1 << 30  // and beyond that in a file; then the back end waits
	pieceSize  = 32 << 10 // of one read

	// headWait is how long a head waits for the first bytes of its body, or
	// its end, so that all leaves together.
	headWait = 5 * time.Millisecond
)

// pieces are buffers to read into.
var pieces = sync.Pool{New: func() any { return new([pieceSize]byte) }}

// cutError is why a response ended before its time.
type cutError struct{ err error }

func (e *cutError) Error() string { return e.err.Error() }
func (e *cutError) Unwrap() error { return e.err }

// respond writes the response of s and gives s back as soon as it is read. It
// reports whether the request is to be sent again, since the response broke off
// before anything of it was passed on.
func (g *Group) respond(w http.ResponseWriter, x *exchange, s *server, resp *gateway.Response) (again bool) {
	r := x.r
	header := w.Header()
	shown := header[requestid.Header] // the site's own word, if it shows ids
	for name, values := range resp.Header {
		header[name] = values
	}
	resp.ShowVariables(r.Context(), header)
	if shown != nil {
		header[requestid.Header] = shown
	}
	if _, ok := header["Content-Type"]; !ok {
		header["Content-Type"] = nil // net/http must not guess one
	}
	if resp.Status == http.StatusNoContent {
		delete(header, "Content-Length")
	}
	if r.Method == http.MethodHead || resp.Status == http.StatusNoContent || resp.Status == http.StatusNotModified || !gateway.WantsBody(w, resp.Status) {
		_ = resp.Body.Close() // there is nothing that could be wanted
		g.done(s, nil)
		w.WriteHeader(resp.Status)
		return false
	}

	if body, ok := whole(resp); ok {
		g.short(w, r, s, resp, body)
		return false
	}
	p := g.pump(r, s, resp)
	defer func() { // also when the client is gone, or the handler panics
		_ = p.close() // ends a read that waits; an error is the pump's to tell
		p.pipe.CloseRead()
		<-p.ended
	}()
	controller := http.NewResponseController(w)
	timer := time.NewTimer(headWait)
	defer timer.Stop()
	select {
	case begin := <-p.begin:
		switch {
		case begin.n == 0 && begin.err != nil && begin.err != io.EOF: // nothing was sent: it can be said properly
			if g.again(x, s, begin.err) {
				for name := range resp.Header {
					delete(header, name)
				}
				delete(header, "Content-Type")
				if shown != nil {
					header[requestid.Header] = shown
				}
				return true
			}
			clear(header)
			if shown != nil {
				header[requestid.Header] = shown
			}
			g.fail(w, r, s, begin.err)
			return false
		case begin.err == io.EOF && resp.ContentLength < 0:
			header["Content-Length"] = []string{strconv.Itoa(begin.n)}
		}
		w.WriteHeader(resp.Status)
	case <-timer.C:
		w.WriteHeader(resp.Status)
		_ = controller.Flush() // fails on a client that left, as the next write will
	}
	n, err := p.pipe.CopyTo(w, controller.Flush)
	var cut *cutError
	var disk *spool.DiskError
	switch {
	case err == nil:
		passTrailers(w, resp)
		return false
	case r.Context().Err() != nil: // the client left, and all else follows from that
	case errors.As(err, &cut), errors.As(err, &disk):
		g.log.Error("a response is cut short; the connection is closed", "server", s.address, "request", requestid.Of(r), "method", r.Method, "uri", r.RequestURI, "sent", n, "error", err)
		_ = controller.Flush() // what there is of it leaves first
	}
	panic(http.ErrAbortHandler) // so that the client sees a cut, not an end
}

// pump carries a response from the back end to a pipe.
type pump struct {
	direct bool // nothing is waited for
	pipe   *spool.Pipe
	begin  chan beginning // how the body begins
	ended  chan struct{}  // closed when the back end is free and nothing runs any more
	close  func() error   // of the body, once
}

// beginning is what came first of a body: its first piece, or two.
type beginning struct {
	n   int
	err error // io.EOF: it is all
}

func (g *Group) pump(r *http.Request, s *server, resp *gateway.Response) *pump {
	log := g.log.With("server", s.address, "request", requestid.Of(r), "method", r.Method, "uri", r.RequestURI)
	options := spool.PipeOptions{Memory: pipeMemory, Disk: pipeDisk, OnDegrade: func(err error) {
		log.Warn("cannot spool a response; its back end waits for the client", "error", err)
	}}
	direct := g.direct(resp.Header)
	if direct {
		options.Disk = 0
	}
	p := &pump{
		direct: direct, pipe: g.cfg.Spool.NewPipe(options), begin: make(chan beginning, 1), ended: make(chan struct{}),
		close: sync.OnceValue(resp.Body.Close),
	}
	go func() {
		defer close(p.ended)
		surplus, err := p.run(resp)
		if closing := p.close(); err == nil && closing != nil && r.Context().Err() == nil {
			log.Warn("cannot close a back end's response", "error", closing)
		}
		g.done(s, err)
		if surplus {
			log.Error("the response is longer than its Content-Length; the rest is cut", "declared", resp.ContentLength)
		}
		// Last, so that whoever has the whole response finds the back end free.
		p.pipe.CloseWrite(err)
	}()
	return p
}

// run reads the body to its end, also beyond its Content-Length: a connection
// is kept only when its response has been read.
func (p *pump) run(resp *gateway.Response) (surplus bool, err error) {
	piece := pieces.Get().(*[pieceSize]byte)
	defer pieces.Put(piece)
	left := resp.ContentLength // negative: not known
	// A response that comes in one piece and has no length gets one: its end is
	// waited for, though not longer than headWait.
	hurry := left >= 0 || p.direct
	total, announced := 0, false
	for first := true; ; first = false {
		n, err := resp.Body.Read(piece[:])
		b := piece[:n]
		surplus = left >= 0 && int64(n) > left
		if surplus {
			b = b[:left]
		}
		if left >= 0 {
			left -= int64(len(b))
		}
		switch {
		case left == 0, left < 0 && err == io.EOF: // all is here, whatever ends the connection
			if err != nil {
				err = io.EOF
			}
		case err == io.EOF:
			err = &cutError{fmt.Errorf("it ends %d bytes before its Content-Length: %w", left, io.ErrUnexpectedEOF)}
		case err != nil:
			err = &cutError{err}
		}
		total += len(b)
		if !announced && (hurry || !first || err != nil) {
			announced = true
			p.begin <- beginning{total, err}
		}
		_, full := p.pipe.Write(b)
		switch {
		case surplus || err == io.EOF:
			return surplus, nil
		case err != nil || full != nil:
			return false, errors.Join(err, full)
		}
	}
}

// direct tells a response that its back end shall send at the client's speed: by
// the app's own word, nginx's X-Accel-Buffering, if it gives one.
func (g *Group) direct(h http.Header) bool {
	if said := h["X-Accel-Buffering"]; len(said) == 1 {
		switch strings.ToLower(said[0]) {
		case "no":
			return true
		case "yes":
			return isEventStream(h)
		}
	}
	return g.cfg.StreamResponse || isEventStream(h) || isRPC(h)
}

// isEventStream tells a response that must never be held back.
func isEventStream(h http.Header) bool {
	const kind = "text/event-stream"
	for _, value := range h["Content-Type"] {
		if len(value) >= len(kind) && strings.EqualFold(value[:len(kind)], kind) {
			return true
		}
	}
	return false
}
