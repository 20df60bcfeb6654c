package static

import (
	"io"
	"os"
	"sync"
	"time"
)

// handle is an open file that one request at a time reads: sendfile goes by
// the descriptor's own position, so that it cannot be shared.
type handle struct {
	fd   int // where the system has bare descriptors
	file *os.File
	part io.LimitedReader // of file; here so that it is allocated once

	rep        *representation
	prev, next *handle // while it is idle: in files' list
	beside     *handle // the next idle one of rep
	since      time.Time
}

func newHandle(n *node, name string) *handle {
	h := &handle{fd: n.fd, file: n.file(name)}
	h.part.R = h.file
	return h
}

// same says whether the open file is still what id says.
func (h *handle) same(id identity) bool {
	n := node{fd: h.fd}
	if !bareDescriptors {
		n.f = h.file
	}
	m, err := n.stat()
	return err == nil && m.identity == id
}

// span makes part the n bytes from off.
func (h *handle) span(off, n int64) error {
	if _, err := h.file.Seek(off, io.SeekStart); err != nil {
		return err
	}
	h.part.N = n
	return nil
}

// close closes the file. The error is of no use: nothing was written.
func (h *handle) close() { _ = h.file.Close() }

// idleFile is how long a file stays open that nobody reads: a deleted one
// keeps its room on the disk for as long.
const idleFile = 5 * time.Second

// files are the open files that nobody reads at the moment.
type files struct {
	max int

	mu     sync.Mutex
	newest *handle // the last that was put
	oldest *handle
	count  int
	closed bool
	timer  *time.Timer
	armed  bool
}

// take returns an idle file of rep; nil: there is none.
func (f *files) take(rep *representation) *handle {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := rep.idle
	if h != nil {
		f.unlink(h)
	}
	return h
}

// put takes a file back that was read to its end or not.
func (f *files) put(rep *representation, h *handle) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || rep.retired || f.max == 0 {
		h.close()
		return
	}
	for f.count >= f.max {
		f.dropOldest()
	}
	h.rep, h.since, h.beside = rep, time.Now(), rep.idle
	rep.idle = h
	h.next = f.newest
	if f.newest != nil {
		f.newest.prev = h
	} else {
		f.oldest = h
	}
	f.newest = h
	f.count++
	f.arm(idleFile)
}

// retire closes the idle files of rep, and those that are read at their ends.
func (f *files) retire(rep *representation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	rep.retired = true
	for rep.idle != nil {
		h := rep.idle
		f.unlink(h)
		h.close()
	}
}

func (f *files) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for f.oldest != nil {
		f.dropOldest()
	}
	if f.timer != nil {
		f.timer.Stop()
	}
}

func (f *files) dropOldest() {
	h := f.oldest
	f.unlink(h)
	h.close()
}

func (f *files) unlink(h *handle) {
	if h.prev != nil {
		h.prev.next = h.next
	} else {
		f.newest = h.next
	}
	if h.next != nil {
		h.next.prev = h.prev
	} else {
		f.oldest = h.prev
	}
	for at := &h.rep.idle; *at != nil; at = &(*at).beside {
		if *at == h {
			*at = h.beside
			break
		}
	}
	h.prev, h.next, h.beside = nil, nil, nil
	f.count--
}

// arm has the timer go off after d, unless it will already.
func (f *files) arm(d time.Duration) {
	if f.armed {
		return
	}
	f.armed = true
	if f.timer == nil {
		f.timer = time.AfterFunc(d, f.sweep)
	} else {
		f.timer.Reset(d)
	}
}

// sweep closes what has been idle for long. While there is nothing idle, no
// timer runs.
func (f *files) sweep() { f.sweepAt(time.Now()) }

func (f *files) sweepAt(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = false
	for f.oldest != nil && now.Sub(f.oldest.since) >= idleFile {
		f.dropOldest()
	}
	if f.oldest != nil && !f.closed {
		f.arm(idleFile - now.Sub(f.oldest.since))
	}
}
