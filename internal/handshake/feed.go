package handshake

import (
	"net"
	"sync"
)

// feed is a listener of the connections that are passed to it.
type feed struct {
	at    net.Addr
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newFeed(at net.Addr) *feed {
	return &feed{at: at, conns: make(chan net.Conn), done: make(chan struct{})}
}

// pass waits until the server takes the connection, and closes it if that takes
// none any more: then it is false.
func (f *feed) pass(c net.Conn) bool {
	select {
	case f.conns <- c:
		return true
	case <-f.done:
		_ = c.Close()
		return false
	}
}

// Accept is net.Listener's.
func (f *feed) Accept() (net.Conn, error) {
	select {
	case c := <-f.conns:
		return c, nil
	case <-f.done:
		return nil, net.ErrClosed
	}
}

// Close is net.Listener's. It may be called more than once.
func (f *feed) Close() error {
	f.once.Do(func() { close(f.done) })
	return nil
}

// Addr is net.Listener's.
func (f *feed) Addr() net.Addr { return f.at }
