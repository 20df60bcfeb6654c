package listen

// This file: who connected before a listener was closed is served.
//
// The system resets the connections that wait in the backlog of a socket that
// is closed, and some of them have sent their request. So Close takes them out
// of it first, for Accept to hand out until none is left.

import (
	"net"
	"sync"
	"time"
)

const (
	// takeLimit and takeLeast end the taking where clients connect faster than
	// that: to a TCP port they can until it is closed. So many at least are taken,
	// a full backlog, on a machine that is too busy to do so in the time.
	takeLimit = 50 * time.Millisecond
	takeLeast = 4096

	// handLimit is how long Close waits for the next Accept while connections
	// are left. Only a listener that nobody serves lets it pass, or one whose
	// server is out of descriptors; and not one whose server waits for a
	// processor.
	handLimit = 2 * time.Second
)

// backlog is what Close has taken and Accept has not handed out.
type backlog struct {
	mu      sync.Mutex
	waiting []net.Conn
	took    chan struct{} // holds a token when one was handed out
}

// fill takes what waits at inner, before inner is closed.
func (b *backlog) fill(inner net.Listener) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.took = make(chan struct{}, 1)
	for start := time.Now(); len(b.waiting) < takeLeast || time.Since(start) < takeLimit; {
		c := takeWaiting(inner)
		if c == nil {
			return
		}
		b.waiting = append(b.waiting, c)
	}
}

// next is the next connection to hand out, nil when there is none.
func (b *backlog) next() net.Conn {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 {
		return nil
	}
	c := b.waiting[0]
	b.waiting = b.waiting[1:]
	select {
	case b.took <- struct{}{}:
	default:
	}
	return c
}

// empty waits until all are handed out, and closes those that nobody wants.
func (b *backlog) empty() {
	timer := time.NewTimer(handLimit)
	defer timer.Stop()
	for b.left() > 0 {
		select {
		case <-b.took:
			timer.Reset(handLimit)
		case <-timer.C:
			for c := b.next(); c != nil; c = b.next() {
				_ = c.Close()
			}
		}
	}
}

func (b *backlog) left() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.waiting)
}
