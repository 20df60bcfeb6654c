package limit

// This file: how slowly a client may take a response.
//
// Over HTTP/1 that is a matter of the connection, whose writes package listen
// guards: whoever can change its limits is found under the ResponseWriter. Over
// HTTP/2 and 3 a connection has many responses, and a client may take its time
// over one of them while the connection goes on: there each write of a response
// is watched. While a handler writes nothing it may take its time.

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

// writeLimiter is a ResponseWriter whose limits can be changed; 0: those of its
// server.
type writeLimiter interface {
	SetWriteLimit(timeout time.Duration, minRate int64) error
}

// Streams guards the responses that next writes over HTTP/2 and HTTP/3.
func Streams(next http.Handler, limits Limits) http.Handler {
	if limits.Timeout <= 0 {
		return next
	}
	pieces := &sync.Pool{New: func() any { return new([pieceSize]byte) }}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor < 2 {
			next.ServeHTTP(w, r)
			return
		}
		s := &stream{ResponseWriter: w, conn: http.NewResponseController(w), limits: limits, pieces: pieces}
		defer s.end()
		next.ServeHTTP(s, r)
	})
}

// Writes gives next's responses limits of their own; what is 0 is the server's.
func Writes(next http.Handler, limits Limits) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l := limiterOf(w); l != nil {
			_ = l.SetWriteLimit(limits.Timeout, limits.MinRate) // fails where the server has none to be changed
		}
		next.ServeHTTP(w, r)
	})
}

func limiterOf(w http.ResponseWriter) writeLimiter {
	for {
		if l, ok := w.(writeLimiter); ok {
			return l
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return nil
		}
		w = u.Unwrap()
	}
}

// pieceSize is what a client has the time-out for.
const pieceSize = 32 << 10

// stream is a response whose writes are watched.
type stream struct {
	http.ResponseWriter
	conn   *http.ResponseController
	limits Limits
	pieces *sync.Pool // of *[pieceSize]byte

	timer  *time.Timer   // runs while a write does; nil: there was none
	waited time.Duration // for the client, in all
	taken  int64         // bytes
	err    error
}

var (
	_ http.ResponseWriter = (*stream)(nil)
	_ writeLimiter        = (*stream)(nil)
	_ io.ReaderFrom       = (*stream)(nil)
)

// Unwrap is for http.ResponseController.
func (s *stream) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// SetWriteLimit sets limits of this response; what is 0 stays.
func (s *stream) SetWriteLimit(timeout time.Duration, minRate int64) error {
	if timeout > 0 {
		s.limits.Timeout = timeout
	}
	if minRate > 0 {
		s.limits.MinRate = minRate
	}
	return nil
}

func (s *stream) Write(p []byte) (n int, err error) {
	for len(p) > pieceSize && err == nil {
		var step int
		step, err = s.write(p[:pieceSize])
		n += step
		p = p[step:]
	}
	if err != nil {
		return n, err
	}
	step, err := s.write(p)
	return n + step, err
}

// ReadFrom copies by pieces: nothing below can send a file at one go.
func (s *stream) ReadFrom(src io.Reader) (int64, error) {
	piece := s.pieces.Get().(*[pieceSize]byte)
	defer s.pieces.Put(piece)
	return io.CopyBuffer(struct{ io.Writer }{s}, struct{ io.Reader }{src}, piece[:])
}

func (s *stream) write(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	start := time.Now()
	if s.timer == nil {
		s.timer = time.AfterFunc(s.limits.Timeout, s.cut)
	} else {
		s.timer.Reset(s.limits.Timeout)
	}
	n, err := s.ResponseWriter.Write(p)
	s.timer.Stop()
	s.waited += time.Since(start)
	s.taken += int64(n)
	if err == nil && s.limits.MinRate > 0 && s.waited > s.limits.Timeout && float64(s.taken) < float64(s.limits.MinRate)*s.waited.Seconds() {
		err = fmt.Errorf("the client takes the response too slowly, %d bytes in %v: %w", s.taken, s.waited.Round(time.Millisecond), os.ErrDeadlineExceeded)
		s.cut()
	}
	s.err = err
	return n, err
}

// cut ends the stream, and a write that waits.
func (s *stream) cut() {
	_ = s.conn.SetWriteDeadline(time.Unix(1, 0)) // fails on a stream that has ended, or that nobody can end
}

// end bounds what is written once the handler has returned.
func (s *stream) end() {
	_ = s.conn.SetWriteDeadline(time.Now().Add(s.limits.Timeout)) // as in cut
}
