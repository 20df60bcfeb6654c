package pool

// How the goroutines that read from a host and its processes are halted with
// nothing lost, so that another pool reads on, or this one after all. Each is
// interrupted by a deadline in the past and leaves what it has read.

import (
	"bytes"
	"errors"
	"io"
	"os"
	"time"
)

// past is a deadline that interrupts.
var past = time.Unix(1, 0)

// maxLineOfHost bounds a message of a host: a traceback is the longest.
const maxLineOfHost = 16 << 20

// lineReader reads lines, and can say what it has of the next.
type lineReader struct {
	r    io.Reader
	rest []byte
	buf  [4096]byte
}

func (l *lineReader) next() ([]byte, error) {
	searched := 0
	for {
		if i := bytes.IndexByte(l.rest[searched:], '\n'); i >= 0 {
			line := l.rest[:searched+i]
			l.rest = l.rest[searched+i+1:]
			return line, nil
		}
		if searched = len(l.rest); searched > maxLineOfHost {
			return nil, errors.New("a line without end")
		}
		n, err := l.r.Read(l.buf[:])
		l.rest = append(l.rest, l.buf[:n]...)
		if n == 0 && err != nil {
			return nil, err
		}
	}
}

// park halts follow. It returns what follow has of a line, or false when the
// host has left.
func (h *host) park() ([]byte, bool) {
	parting := make(chan []byte, 1)
	p := h.pool
	p.mu.Lock()
	deaf := h.deaf
	h.parting = parting
	p.mu.Unlock()
	if deaf {
		return nil, false
	}
	_ = h.control.SetReadDeadline(past) // an error: it is closed, and follow says so
	unread, ok := <-parting
	return unread, ok
}

// parts is follow's: whether it ends here, because park said so.
func (h *host) parts(rest []byte, err error) bool {
	if err == nil {
		return false
	}
	p := h.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	parting := h.parting
	h.parting = nil
	if parting != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		parting <- rest
		return true
	}
	h.deaf = true
	if parting != nil {
		close(parting)
	}
	return false
}

// unpark has follow go on.
func (h *host) unpark(unread []byte) {
	_ = h.control.SetReadDeadline(time.Time{})
	h.pool.hosts.Add(1)
	go h.follow(unread)
}

// parkLocked asks for a halt of the channel's reader; parked waits for it.
func (ch *channel) parkLocked() {
	ch.parting = make(chan *reader, 1)
	_ = ch.answers.SetReadDeadline(past)
}

// parts is run's: whether it ends here, because parkLocked said so.
func (ch *channel) parts(r *reader, err error) bool {
	p := ch.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	parting := ch.parting
	ch.parting = nil
	// At rest a worker sends nothing: what has come all the same ends the channel.
	if parting != nil && errors.Is(err, os.ErrDeadlineExceeded) && r.from == r.to && len(r.fds) == 0 && r.streaming == nil {
		parting <- r
		return true
	}
	ch.ended = true
	if parting != nil {
		close(parting)
	}
	return false
}

// unparkLocked has the channel's reader go on, and lends to it again.
func (ch *channel) unparkLocked(r *reader) {
	_ = ch.answers.SetReadDeadline(time.Time{})
	go ch.run(r)
	ch.handing = false
	ch.pool.idleListLocked(ch)
}

// park halts a printer. It returns what it has of a line, or false when the
// pipe has ended.
func (f *printer) park() ([]byte, bool) {
	_ = f.file.SetReadDeadline(past) // an error: it is closed
	rest, ok := <-f.parked
	return rest, ok
}

// unpark has a printer go on.
func (f *printer) unpark(rest []byte) {
	_ = f.file.SetReadDeadline(time.Time{})
	f.follow(rest)
}

// endedPrinter stands for a pipe that had ended before.
func endedPrinter() *printer {
	f := &printer{parked: make(chan []byte)}
	close(f.parked)
	return f
}
