package h1

// This file: how it is known that a client has left while its request runs.
//
// A connection that has a seat with the poller costs nothing for it: the
// poller hears when the client closes its side. Without one (another system,
// or a connection that is no socket) a goroutine reads a byte ahead.

import (
	"errors"
	"os"
	"sync"
	"time"
)

// watch begins when nothing more of the request is to come. A client that has
// sent the next request already is not looked after: its bytes are before its
// end.
func (c *conn) watch() {
	if c.r < c.w {
		return
	}
	if !c.seat.taken() {
		if c.guard == nil {
			c.guard = &watcher{}
		}
		c.guard.start(c)
		return
	}
	c.watching.Store(true)
	if c.left.Load() { // told before, and of no interest then
		c.leaves()
	}
}

// unwatch ends it, before the connection is read from again.
func (c *conn) unwatch() {
	if c.guard != nil {
		c.guard.stop(c)
		return
	}
	c.watching.Store(false)
}

// hears is the poller's: the client has closed its side, or all.
func (c *conn) hears() {
	c.left.Store(true)
	if c.watching.Load() {
		c.leaves()
	}
}

// leaves ends the request's context, if the client's end is really all that
// comes.
func (c *conn) leaves() {
	if ex := c.ex.Load(); ex != nil && (c.tls != nil || c.seat.atEnd()) {
		ex.ctx.cancel()
	}
}

// watcher reads a byte ahead.
type watcher struct {
	mu      sync.Mutex
	idle    sync.Cond
	running bool
	got     bool
	one     [1]byte
}

func (w *watcher) start(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running || w.got {
		return
	}
	w.idle.L = &w.mu
	w.running = true
	_ = c.rwc.SetReadDeadline(time.Time{}) // that of the head or of the body; fails on a closed connection alone
	ex := c.ex.Load()
	go func() {
		n, err := c.rwc.Read(w.one[:])
		w.mu.Lock()
		defer w.mu.Unlock()
		w.running, w.got = false, n > 0
		if n == 0 && !errors.Is(err, os.ErrDeadlineExceeded) && ex != nil {
			ex.ctx.cancel()
		}
		w.idle.Broadcast()
	}()
}

func (w *watcher) stop(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running {
		_ = c.rwc.SetReadDeadline(time.Unix(1, 0)) // fails on a closed connection alone
		for w.running {
			w.idle.Wait()
		}
		_ = c.rwc.SetReadDeadline(time.Time{}) // as above
	}
	if w.got {
		w.got = false
		c.in, c.r, c.w = c.srv.buffers.getSmall(), 0, 1
		c.in.b[0] = w.one[0]
	}
}
