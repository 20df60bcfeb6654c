package h1client

// This file: the connections that wait for a request.

import (
	"time"
)

// take returns the connection that was used last, nil if none is kept.
func (c *Client) take() *conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.idle)
	if n == 0 {
		return nil
	}
	k := c.idle[n-1]
	c.idle[n-1] = nil
	c.idle = c.idle[:n-1]
	return k
}

// keep takes a connection that is at the end of a message.
func (c *Client) keep(k *conn) {
	most, timeout := c.MaxIdle, c.IdleTimeout
	if most == 0 {
		most = defaultMaxIdle
	}
	if timeout == 0 {
		timeout = defaultIdleTimeout
	}
	k.used = true
	c.mu.Lock()
	if c.closed || len(c.idle) >= most {
		c.mu.Unlock()
		k.close()
		return
	}
	defer c.mu.Unlock()
	c.idle = append(c.idle, k)
	if timeout < 0 {
		return
	}
	k.since = k.now
	if c.timer == nil {
		c.timer = time.AfterFunc(timeout, func() { c.expire(timeout) })
	}
}

// expire closes what has waited for too long.
func (c *Client) expire(timeout time.Duration) {
	c.mu.Lock()
	now, n := time.Now(), 0
	for n < len(c.idle) && now.Sub(c.idle[n].since) >= timeout {
		n++
	}
	old := append([]*conn(nil), c.idle[:n]...)
	c.idle = append(c.idle[:0], c.idle[n:]...)
	clear(c.idle[len(c.idle):cap(c.idle)])
	c.timer = nil
	if len(c.idle) > 0 && !c.closed {
		c.timer = time.AfterFunc(timeout-now.Sub(c.idle[0].since), func() { c.expire(timeout) })
	}
	c.mu.Unlock()
	for _, k := range old {
		k.close()
	}
}

// makeRoom closes the connection that has waited for the longest, for a new one
// that will be kept in its place: a server that has a process for each
// connection is not to be left with more of them than it had requests at a time.
func (c *Client) makeRoom() {
	c.mu.Lock()
	if len(c.idle) == 0 {
		c.mu.Unlock()
		return
	}
	k := c.idle[0]
	c.idle = append(c.idle[:0], c.idle[1:]...)
	clear(c.idle[len(c.idle):cap(c.idle)])
	c.mu.Unlock()
	k.close()
}

// closeIdle closes the connections that are kept.
func (c *Client) closeIdle() {
	c.mu.Lock()
	old := c.idle
	c.idle = nil
	c.mu.Unlock()
	for _, k := range old {
		k.close()
	}
}

// Close closes the connections that are kept, and keeps none from now on.
// Responses that are under way go on.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	c.mu.Unlock()
	c.closeIdle()
	return nil
}

// Idle is how many connections are kept.
func (c *Client) Idle() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.idle)
}
