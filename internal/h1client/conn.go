package h1client

// This file: one connection, its deadline, and its first steps in an exchange.

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"

	"millrace/gateway"
)

// conn is a connection to the server. Whoever has the exchange owns it.
type conn struct {
	c      *Client
	nc     net.Conn
	socket *gateway.Socket // nil: nc is no socket, or the system is not Linux
	used   bool            // it has served a request
	since  time.Time
	now    time.Time // when the deadline was last looked at

	mu    sync.Mutex
	until time.Time // the read deadline that the connection has
	paced bool      // somebody else sets it: see sender
	once  sync.Once
}

func newConn(c *Client, nc net.Conn) *conn {
	return &conn{c: c, nc: nc, socket: gateway.NewSocket(nc)}
}

func (k *conn) close() { k.once.Do(func() { _ = k.nc.Close() }) }

// extend moves the deadline when less than the time-out is left of it. Setting
// it before each read would cost as much as the read; so it is set for half as
// long again.
func (k *conn) extend() {
	timeout := k.c.timeout()
	k.now = time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.paced || k.until.Sub(k.now) >= timeout {
		return
	}
	k.until = k.now.Add(timeout + timeout/2)
	_ = k.nc.SetDeadline(k.until) // fails on a closed connection alone, which the next call shows
}

// read reads what comes within the time-out.
func (k *conn) read(b []byte) (int, error) {
	k.extend()
	if k.socket != nil {
		return k.socket.Read(b)
	}
	return k.nc.Read(b)
}

// talk sends a request and reads the first bytes of what comes back, into in,
// which may be out's own memory. gateway.ErrStale: nothing was sent, and another
// connection should be tried.
func (k *conn) talk(out, in []byte) (n int, err error) {
	k.extend()
	if k.socket != nil {
		_, n, err = k.socket.Ask(out, in, k.used)
		return n, err
	}
	if k.used && !k.alive() {
		return 0, gateway.ErrStale
	}
	if _, err = k.nc.Write(out); err == nil {
		n, err = k.nc.Read(in)
	}
	return n, err
}

// alive reports whether a kept connection is at the end of a message still.
func (k *conn) alive() bool {
	t, ok := k.nc.(*tls.Conn)
	if !ok {
		return gateway.Alive(k.nc)
	}
	if !gateway.Alive(t.NetConn()) {
		return false
	}
	// What TLS has read ahead shows by a read that cannot wait.
	_ = t.SetReadDeadline(time.Unix(1, 0)) // fails on a closed connection alone, which the read shows
	var one [1]byte
	n, err := t.Read(one[:])
	k.until = time.Time{}
	k.extend()
	return n == 0 && isTimeout(err)
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
