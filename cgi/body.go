package cgi

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// body is a response's Body: what the program writes, but no more than its
// Content-Length, and nothing where there is no body (RFC 9110, section 6.4.1).
// What is too much is read all the same, so that the program can finish.
type body struct {
	run      *run
	redirect bool // nobody wants the body, and the program may end by itself

	mu     sync.Mutex
	rest   []byte // came with the head
	left   int64  // bytes to come; negative: who knows
	end    error  // it has been read to its end
	closed bool
}

// Read may be interrupted by Close.
func (b *body) Read(p []byte) (int, error) {
	for {
		n, err, done := b.have(p)
		if !done {
			b.run.begin()
			n, err = b.run.read(p)
			b.run.done()
			n, err = b.got(n, err)
		}
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
	}
}

// have is what a Read gives without the program.
func (b *body) have(p []byte) (n int, err error, done bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return 0, http.ErrBodyReadAfterClose, true
	case len(b.rest) > 0:
		n := copy(p, b.rest)
		b.rest = b.rest[n:]
		return b.countLocked(n), nil, true
	}
	return 0, b.end, b.end != nil || len(p) == 0
}

// got takes note of what the program gave.
func (b *body) got(n int, err error) (int, error) {
	b.mu.Lock()
	n = b.countLocked(n)
	if errors.Is(err, io.EOF) && b.left > 0 {
		err = fmt.Errorf("cgi: %s ended %d bytes before its Content-Length: %w", b.run.cmd.Path, b.left, io.ErrUnexpectedEOF)
	}
	over := err != nil && b.end == nil && !b.closed
	if over {
		b.end = err
	}
	b.mu.Unlock()
	if over && b.run.why() == nil {
		b.run.ended()
	}
	return n, err
}

// countLocked is how many of n bytes belong to the body.
func (b *body) countLocked(n int) int {
	if b.left < 0 {
		return n
	}
	n = int(min(int64(n), b.left))
	b.left -= int64(n)
	return n
}

// Close ends the run, at once if the response was not read to its end.
func (b *body) Close() error {
	b.mu.Lock()
	again, end := b.closed, b.end
	b.closed = true
	b.mu.Unlock()
	switch {
	case again:
		return nil
	case end == nil && b.redirect:
		b.run.ended()
	case end == nil:
		b.run.fail(http.ErrBodyReadAfterClose)
	}
	b.run.release()
	return nil
}
