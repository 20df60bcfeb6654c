package listen

// This file: read deadlines that rarely move.
//
// A server of HTTP sets a read deadline for each request and more (package h1
// one, net/http three). Each is a change of a timer, 3 to 4% of a small request
// together where there are three. But the next deadline is nearly always later
// than the one that the connection has, so that one may stay: when it fires, a
// read that is wanted for longer is tried again under the deadline that holds
// by then.

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// readDeadline is the read deadline of one connection. It may be set while
// another goroutine reads.
type readDeadline struct {
	mu     sync.Mutex
	wanted time.Time // as it was set; zero: none
	armed  time.Time // as the connection has it, never later than wanted; zero: none
}

// set is SetReadDeadline.
func (d *readDeadline) set(inner net.Conn, t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wanted = t
	if t.IsZero() || !d.armed.IsZero() && !t.Before(d.armed) {
		return nil
	}
	d.armed = t
	return inner.SetReadDeadline(t)
}

// read is Read.
func (d *readDeadline) read(inner net.Conn, b []byte) (int, error) {
	for {
		n, err := inner.Read(b)
		if err == nil || n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !d.again(inner) {
			return n, err
		}
	}
}

// readLate is ReadLate.
func (d *readDeadline) readLate(inner net.Conn, l lender) (int, error) {
	for {
		n, err := readLate(inner, l)
		if err == nil || n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !d.again(inner) {
			return n, err
		}
	}
}

// again reports whether a read that its deadline has ended is still wanted,
// and puts the deadline where it belongs.
func (d *readDeadline) again(inner net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.wanted.IsZero() && !time.Now().Before(d.wanted) {
		return false
	}
	d.armed = d.wanted
	return inner.SetReadDeadline(d.wanted) == nil
}
