package pool

// A channel's way to its program, and what the program may have seen of a call.

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"

	"millrace/gateway"
)

// link is a channel's way to its process: a client with one connection.
type link struct {
	channel *channel
	program *program
	client  gateway.RoundTripper

	mu   sync.Mutex
	call uint64 // of the channel: which one runs
	sent []*linkConn
}

// linkConn is a connection that knows which calls used it.
type linkConn struct {
	net.Conn
	link   *link
	number uint64 // among the process's
	call   uint64 // the last whose bytes it took
	calls  int
}

func (l *link) dial(ctx context.Context) (net.Conn, error) {
	nc, number, err := l.program.socket.dial(ctx)
	if err != nil {
		return nil, err
	}
	return &linkConn{Conn: nc, link: l, number: number}, nil
}

func (c *linkConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if n > 0 {
		c.link.wrote(c)
	}
	return n, err
}

// SyscallConn is for gateway.Alive.
func (c *linkConn) SyscallConn() (syscall.RawConn, error) {
	sc, ok := c.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return sc.SyscallConn()
}

// begin is called when a call begins to be sent.
func (l *link) begin(seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.call, l.sent = seq, l.sent[:0]
}

// wrote notes that a connection took bytes of the call that runs.
func (l *link) wrote(c *linkConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.call != l.call {
		c.call = l.call
		c.calls++
		l.sent = append(l.sent, c)
	}
}

// seen reports whether the process may have seen something of the call; kept,
// whether all that it can have seen came over a connection that had served
// others before.
func (l *link) seen(dead bool) (seen, kept bool) {
	if l.program.cfg.PerRequest {
		return true, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	kept = true
	for _, c := range l.sent {
		if !dead || l.program.socket.accepted(c.number) {
			seen = true
			kept = kept && c.calls > 1
		}
	}
	return seen, kept
}

func (l *link) close() {
	if c, ok := l.client.(io.Closer); ok {
		_ = c.Close() // nothing runs on it
	}
}
