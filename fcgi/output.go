package fcgi

// The way out of a connection that several streams share.

import (
	"io"
	"runtime"
	"sync"
)

// output writes records of many streams to one connection. Whoever comes while
// a write is under way leaves its bytes to be written with the next one.
type output struct {
	w io.Writer

	mu      sync.Mutex
	cond    sync.Cond
	pending []byte
	spare   []byte // swaps with pending
	writing bool
	users   int // streams that may have something to say: see send
	err     error
}

const (
	outputMax  = 256 << 10 // bytes that wait for a write before whoever has more waits
	outputKept = 64 << 10  // a buffer that has grown beyond is not kept
)

func (o *output) init(w io.Writer) { o.w, o.cond.L = w, &o.mu }

// use counts the streams that are about to write.
func (o *output) use(n int) {
	o.mu.Lock()
	o.users += n
	o.mu.Unlock()
}

// send writes whole records. b is the caller's again when it returns. An error
// of the connection may show only at the next call, and stays.
func (o *output) send(b []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.err == nil && o.writing && len(o.pending) > 0 && len(o.pending)+len(b) > outputMax {
		o.cond.Wait()
	}
	switch {
	case o.err != nil:
		return o.err
	case o.writing:
		o.pending = append(o.pending, b...)
		return nil
	}
	o.writing = true
	if o.users > 1 && len(b) < outputMax/8 {
		// Others are about to answer: a moment's patience, and one system call
		// serves all.
		o.pending = append(o.pending, b...)
		b = nil
		o.mu.Unlock()
		runtime.Gosched()
		o.mu.Lock()
	}
	for o.err == nil && (len(b) > 0 || len(o.pending) > 0) {
		mine := b == nil
		if mine {
			b, o.pending = o.pending, o.spare[:0]
			o.spare = nil
		}
		o.mu.Unlock()
		_, err := o.w.Write(b)
		o.mu.Lock()
		if mine && cap(b) <= outputKept {
			o.spare = b[:0]
		}
		b = nil
		if err != nil {
			o.err = err
		}
		o.cond.Broadcast()
	}
	o.writing = false
	if o.err != nil {
		o.pending, o.spare = nil, nil
	}
	return o.err
}
