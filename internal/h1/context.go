package h1

// This file: a request's context. It costs its handler nothing that the
// handler does not ask for: there is no channel before Done is called, and no
// goroutine at all.

import (
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// requestContext is done when the handler has returned, or its client has
// left.
type requestContext struct {
	srv   *Server
	local net.Addr
	ended atomic.Bool

	mu    sync.Mutex
	done  chan struct{}
	after []*func() // nil ones are stopped
	room  [2]*func()
}

var _ context.Context = (*requestContext)(nil)

func (c *requestContext) Deadline() (time.Time, bool) { return time.Time{}, false }

func (c *requestContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.ended.Load() {
			close(c.done)
		}
	}
	return c.done
}

func (c *requestContext) Err() error {
	if !c.ended.Load() {
		return nil
	}
	// Whoever sees an error finds Done closed.
	c.mu.Lock()
	defer c.mu.Unlock()
	return context.Canceled
}

func (c *requestContext) Value(key any) any {
	switch key {
	case http.LocalAddrContextKey:
		return c.local
	case http.ServerContextKey: // by which httputil.ReverseProxy knows that its panic is recovered
		return c.srv
	}
	return nil
}

// AfterFunc is what context.AfterFunc and contexts made from this one look
// for: without it each of them would start a goroutine.
func (c *requestContext) AfterFunc(f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended.Load() {
		go f()
		return func() bool { return false }
	}
	key := &f
	if at := slices.Index(c.after, nil); at >= 0 {
		c.after[at] = key
	} else if c.after == nil {
		c.after = append(c.room[:0], key)
	} else {
		c.after = append(c.after, key)
	}
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		at := slices.Index(c.after, key)
		if at < 0 {
			return false
		}
		c.after[at] = nil
		return true
	}
}

// cancel ends the context; more than once does nothing.
func (c *requestContext) cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended.Swap(true) {
		return
	}
	if c.done != nil {
		close(c.done)
	}
	for _, f := range c.after {
		if f != nil {
			go (*f)()
		}
	}
	c.after = nil
}
