package fcgi

// A stream's bytes between the connection's reader and whoever takes them.

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// pipe is a buffered pipe of one writer and one reader.
//
// One connection carries many streams, and FastCGI has no window that would
// stop one of them: what comes for a slow one must be put somewhere or it
// stalls the others. A pipe keeps limit bytes in memory. Beyond that its
// writer waits, if it is told that nobody else needs the connection; else the
// bytes go to a file without a name.
type pipe struct {
	mu       sync.Mutex
	cond     sync.Cond
	buf      []byte // unread bytes are buf[read:]
	read     int
	file     *os.File
	from, to int64 // unread bytes of the file
	spill    bool  // the writer must not wait
	err      error // why there is nothing more to come; io.EOF: the end
	closed   bool  // the reader has left: what comes is dropped
	deadline time.Time
	timer    *time.Timer
}

const (
	pipeMemory = 256 << 10 // bytes that a stream keeps in memory
	pipeFile   = 1 << 30   // bytes that it keeps in its file
)

// init makes p ready; the zero value is not.
func (p *pipe) init() { p.cond.L = &p.mu }

// write adds b. Only a full disk, or a stream that nobody has read a gigabyte
// of, is an error.
func (p *pipe) write(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.closed && !p.spill && p.err == nil && len(p.buf)-p.read > pipeMemory {
		p.cond.Wait()
	}
	switch {
	case p.closed || p.err != nil:
		return nil
	case p.to == p.from && (!p.spill || len(p.buf)-p.read+len(b) <= pipeMemory):
		p.buf = append(p.buf, b...)
	default:
		if err := p.toFile(b); err != nil {
			return err
		}
	}
	p.cond.Broadcast()
	return nil
}

func (p *pipe) toFile(b []byte) error {
	if p.file == nil {
		file, err := os.CreateTemp("", "fcgi-stream-*")
		if err != nil {
			return fmt.Errorf("fcgi: cannot keep the bytes of a slow stream: %w", err)
		}
		_ = os.Remove(file.Name()) // where a name cannot go before the file, the system's cleaning takes it
		p.file = file
	}
	if p.to-p.from > pipeFile {
		return fmt.Errorf("fcgi: nobody reads a stream of which %d bytes wait", p.to-p.from)
	}
	n, err := p.file.WriteAt(b, p.to)
	p.to += int64(n)
	if err != nil {
		return fmt.Errorf("fcgi: cannot keep the bytes of a slow stream: %w", err)
	}
	return nil
}

// mayWait tells whether the writer may be kept waiting.
func (p *pipe) mayWait(may bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spill = !may
	p.cond.Broadcast()
}

// finish says that nothing more comes, and why; io.EOF is the proper end. The
// first word counts.
func (p *pipe) finish(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
	p.cond.Broadcast()
}

// ended reports whether the writer has finished, and how many bytes wait.
func (p *pipe) ended() (waiting int64, ended bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int64(len(p.buf)-p.read) + p.to - p.from, p.err != nil
}

// Read returns bytes as they come.
func (p *pipe) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.closed:
			return 0, os.ErrClosed
		case p.read < len(p.buf):
			n := copy(b, p.buf[p.read:])
			p.read += n
			if p.read == len(p.buf) {
				p.buf, p.read = p.buf[:0], 0
			} else if p.read >= pipeMemory/2 {
				p.buf = p.buf[:copy(p.buf, p.buf[p.read:])]
				p.read = 0
			}
			p.cond.Broadcast()
			return n, nil
		case p.from < p.to:
			return p.fromFile(b)
		case p.err != nil:
			return 0, p.err
		case len(b) == 0:
			return 0, nil
		case !p.deadline.IsZero() && !time.Now().Before(p.deadline):
			return 0, os.ErrDeadlineExceeded
		}
		p.wait()
	}
}

func (p *pipe) fromFile(b []byte) (int, error) {
	n, err := p.file.ReadAt(b[:min(int64(len(b)), p.to-p.from)], p.from)
	p.from += int64(n)
	if n == 0 && err != nil {
		return 0, fmt.Errorf("fcgi: cannot read back the bytes of a slow stream: %w", err)
	}
	if p.from == p.to {
		p.from, p.to = 0, 0 // memory comes next, or the file's start
	}
	return n, nil
}

// wait waits for the writer, or for the deadline.
func (p *pipe) wait() {
	if !p.deadline.IsZero() {
		left := time.Until(p.deadline)
		if p.timer == nil {
			p.timer = time.AfterFunc(left, func() {
				p.mu.Lock()
				defer p.mu.Unlock()
				p.cond.Broadcast()
			})
		} else {
			p.timer.Reset(left)
		}
		defer p.timer.Stop()
	}
	p.cond.Wait()
}

// SetReadDeadline makes a Read that waits beyond t fail with
// os.ErrDeadlineExceeded; zero: none does.
func (p *pipe) SetReadDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deadline = t
	p.cond.Broadcast()
	return nil
}

// close is the reader's: it wants no more.
func (p *pipe) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.buf, p.read = nil, 0
	if p.file != nil {
		p.file.Close()
		p.file = nil
	}
	p.from, p.to = 0, 0
	p.cond.Broadcast()
}

var _ io.Reader = (*pipe)(nil)
