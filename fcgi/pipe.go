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
// stalls the others. A pipe keeps some bytes in memory. Beyond that its writer
// waits for a reader that does read, so that a slow handler slows its front
// server down and fills no disk; and when the reader does not move, or others
// are known to need the connection, the bytes go to a file without a name.
type pipe struct {
	mu       sync.Mutex
	cond     sync.Cond
	buf      []byte // unread bytes are buf[read:]
	read     int
	file     *os.File
	from, to int64 // unread bytes of the file, which is a ring of fileMost bytes
	fileMost int64
	hurry    bool  // the writer must not wait
	taken    int64 // bytes that were read
	stuck    int64 // taken, when the reader was last found not to move
	err      error // why there is nothing more to come; io.EOF: the end
	closed   bool  // the reader has left: what comes is dropped
	deadline time.Time
	late     *time.Timer // for the reader's deadline
	patience *time.Timer // for the writer's
}

const (
	pipeMemory   = 256 << 10              // bytes that a stream keeps in memory
	pipeFile     = 1 << 30                // bytes that it keeps in its file
	pipePatience = 250 * time.Millisecond // for a reader that takes nothing
)

// init makes p ready; the zero value is not.
func (p *pipe) init() {
	p.cond.L = &p.mu
	p.fileMost = pipeFile
	p.stuck = -1
}

// write adds b. Only a full disk, or a stream in a hurry of which a whole file
// waits, is an error.
func (p *pipe) write(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.closed || p.err != nil:
			return nil
		case p.from == p.to && len(p.buf)-p.read <= pipeMemory:
			p.buf = append(p.buf, b...)
			p.cond.Broadcast()
			return nil
		case p.movesLocked():
		default:
			p.stuck = p.taken
			return p.spillLocked(b)
		}
	}
}

// movesLocked waits for the reader to take something, and reports whether it
// may yet.
func (p *pipe) movesLocked() bool {
	taken, end := p.taken, time.Now().Add(pipePatience)
	for {
		switch {
		case p.closed, p.err != nil, p.taken != taken:
			return true
		case p.hurry, p.taken == p.stuck, !time.Now().Before(end):
			return false
		}
		p.waitLocked(&p.patience, end)
	}
}

// spillLocked puts b into the file.
func (p *pipe) spillLocked(b []byte) error {
	if p.file == nil {
		file, err := os.CreateTemp("", "fcgi-stream-*")
		if err != nil {
			return fmt.Errorf("fcgi: cannot keep the bytes of a slow stream: %w", err)
		}
		_ = os.Remove(file.Name()) // where a name cannot go before the file, the system's cleaning takes it
		p.file = file
	}
	for len(b) > 0 {
		room := p.fileMost - (p.to - p.from)
		switch {
		case p.closed || p.err != nil:
			return nil
		case room == 0 && p.hurry:
			return fmt.Errorf("fcgi: nobody reads a stream of which %d bytes wait", p.to-p.from)
		case room == 0:
			p.cond.Wait()
			continue
		}
		at := p.to % p.fileMost
		n, err := p.file.WriteAt(b[:min(int64(len(b)), room, p.fileMost-at)], at)
		p.to += int64(n)
		b = b[n:]
		p.cond.Broadcast()
		if err != nil {
			return fmt.Errorf("fcgi: cannot keep the bytes of a slow stream: %w", err)
		}
	}
	return nil
}

// hasten tells the writer that it must not wait any more.
func (p *pipe) hasten() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hurry = true
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

// ended reports whether the writer has finished.
func (p *pipe) ended() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err != nil
}

// Read returns bytes as they come. Into an empty b it reads nothing, as soon as
// something is there.
func (p *pipe) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		n, err := p.takeLocked(b)
		switch {
		case n > 0 || err != nil || p.read < len(p.buf) || p.from < p.to: // nothing is wanted, of what is there
			return n, err
		case !p.deadline.IsZero() && !time.Now().Before(p.deadline):
			return 0, os.ErrDeadlineExceeded
		}
		p.waitLocked(&p.late, p.deadline)
	}
}

// readBy is Read with a deadline of its own.
func (p *pipe) readBy(b []byte, deadline time.Time) (int, error) {
	p.mu.Lock()
	p.deadline = deadline
	p.mu.Unlock()
	return p.Read(b)
}

// grab is readBy for whoever wants the first bytes, however many there are,
// and takes them without a copy.
func (p *pipe) grab(deadline time.Time) ([]byte, error) {
	if n, err := p.readBy(nil, deadline); n > 0 || err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.read == len(p.buf) { // they are in the file
		b := make([]byte, 4<<10)
		n, err := p.takeLocked(b)
		return b[:n], err
	}
	b := p.buf[p.read:]
	p.buf, p.read = nil, 0
	p.taken += int64(len(b))
	p.cond.Broadcast()
	return b, nil
}

// takeLocked takes what is there; nothing and no error: the reader must wait.
func (p *pipe) takeLocked(b []byte) (n int, err error) {
	switch {
	case p.closed:
		return 0, os.ErrClosed
	case p.read < len(p.buf):
		n = copy(b, p.buf[p.read:])
		p.read += n
		if p.read == len(p.buf) {
			p.buf, p.read = p.buf[:0], 0
		} else if p.read >= pipeMemory/2 {
			p.buf = p.buf[:copy(p.buf, p.buf[p.read:])]
			p.read = 0
		}
	case p.from < p.to:
		at := p.from % p.fileMost
		n, err = p.file.ReadAt(b[:min(int64(len(b)), p.to-p.from, p.fileMost-at)], at)
		if p.from += int64(n); p.from == p.to {
			p.from, p.to = 0, 0 // memory comes next, or the file's start
		}
		if n > 0 {
			err = nil
		} else if err != nil {
			return 0, fmt.Errorf("fcgi: cannot read back the bytes of a slow stream: %w", err)
		}
	default:
		return 0, p.err
	}
	p.taken += int64(n)
	p.cond.Broadcast()
	return n, nil
}

// waitLocked waits for the other side, or until t if it is not zero.
func (p *pipe) waitLocked(timer **time.Timer, t time.Time) {
	if t.IsZero() {
		p.cond.Wait()
		return
	}
	if left := time.Until(t); *timer == nil {
		*timer = time.AfterFunc(left, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.cond.Broadcast()
		})
	} else {
		(*timer).Reset(left)
	}
	p.cond.Wait()
	(*timer).Stop()
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
