package fcgi

// How long a server's connection may be silent.

import (
	"errors"
	"os"
	"time"
)

// timedConn sets the read deadline that the state of the connection asks for,
// before a read that may wait.
type timedConn struct{ c *conn }

func (t timedConn) Read(b []byte) (int, error) {
	if err := t.c.arm(); err != nil {
		return 0, err
	}
	return t.c.gc.Read(b)
}

func (c *conn) headTimeout() time.Duration { return or(c.srv.HeadTimeout, defaultHeadTimeout) }

// arm sets the deadline for the next read.
func (c *conn) arm() error {
	if c.in.inside() && c.partial.IsZero() {
		c.partial = time.Now()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case len(c.heads) > 0:
		c.headSince = c.heads[0].since
	case c.unsent == 0:
		c.headSince = c.partial // of a request that begins, or of what ends nothing
	default:
		c.headSince = time.Time{} // input may take its time: it is the handler's to wait for
	}
	return c.armLocked()
}

// armLocked sets the deadline. Setting one costs as much as a small read, so a
// connection that has the right one is left alone.
func (c *conn) armLocked() error {
	var t time.Time
	switch {
	case c.closing.Load():
		return nil // it has its last one
	case !c.headSince.IsZero():
		if timeout := c.headTimeout(); timeout > 0 {
			t = c.headSince.Add(timeout)
		}
	case c.unsent == 0 && c.srv.IdleTimeout > 0:
		t = time.Now().Add(c.srv.IdleTimeout)
	}
	if t.Equal(c.deadline) {
		return nil
	}
	c.deadline = t
	return c.gc.SetReadDeadline(t)
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
