package listen

// This file: what a connection passes before Accept returns it: its header of
// the PROXY protocol, and the owner's word on whether there is room for it.

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Entry is asked about new connections. It is set before the first Accept.
type Entry struct {
	// Proxied says that connections begin with a header of the PROXY protocol:
	// Accept returns them once it has come, and their RemoteAddr and LocalAddr
	// are those that it tells. A connection without one is closed.
	Proxied bool

	// Believes reports whether a peer's header is believed; the connection of
	// another is closed. nil: everybody's is.
	Believes func(peer net.Addr) bool

	// Admit is asked whether there is room for a client. leave is called once
	// the connection ends. Without one it is refused: the client is sent
	// refusal, if there is one, and the connection closed. nil: there is room.
	Admit func(client net.Addr) (leave func(), refusal []byte)

	// Refused is told of connections that are closed for want of a proper header;
	// nil: nobody is.
	Refused func(peer net.Addr, why error)
}

const (
	// proxyTimeout is how long a header may take. The proxy sends it at once.
	proxyTimeout = 5 * time.Second
	// proxyGrace is what is left of that when the listener closes.
	proxyGrace = 500 * time.Millisecond
	// maxHeaders is how many connections may be waited for at a time; others
	// wait in the backlog.
	maxHeaders = 1024

	// farewell is how long a client that is refused may take to read why, and
	// maxFarewells how many may at a time.
	farewell     = time.Second
	maxFarewells = 64
)

// SetEntry sets what new connections pass. It is called before the first
// Accept.
func (l *Listener) SetEntry(e Entry) {
	l.entry = e
	if e.Proxied {
		l.proxied = &headers{ready: make(chan accepted), room: make(chan struct{}, maxHeaders), open: make(map[conn]struct{})}
	}
}

// conn is a connection of ours.
type conn interface {
	net.Conn
	socketConn() net.Conn
	setEnds(*proxied)
	lives() *life
}

func (c *tcpConn) socketConn() net.Conn  { return c.TCPConn }
func (c *unixConn) socketConn() net.Conn { return c.UnixConn }
func (c *tcpConn) setEnds(p *proxied)    { c.ends = p }
func (c *unixConn) setEnds(p *proxied)   { c.ends = p }
func (c *tcpConn) lives() *life          { return &c.life }
func (c *unixConn) lives() *life         { return &c.life }

// RemoteAddr is the client's address: of the socket's other end, or as a proxy
// told it.
func (c *tcpConn) RemoteAddr() net.Addr { return c.ends.remoteOr(c.TCPConn) }

// LocalAddr is the address that the client connected to.
func (c *tcpConn) LocalAddr() net.Addr { return c.ends.localOr(c.TCPConn) }

// RemoteAddr is as tcpConn's.
func (c *unixConn) RemoteAddr() net.Addr { return c.ends.remoteOr(c.UnixConn) }

// LocalAddr is as tcpConn's.
func (c *unixConn) LocalAddr() net.Addr { return c.ends.localOr(c.UnixConn) }

func (p *proxied) remoteOr(c net.Conn) net.Addr {
	if p == nil || p.remote == nil {
		return c.RemoteAddr()
	}
	return p.remote
}

func (p *proxied) localOr(c net.Conn) net.Addr {
	if p == nil || p.local == nil {
		return c.LocalAddr()
	}
	return p.local
}

// admit lets a connection in, or closes it; false then.
func (l *Listener) admit(c conn) bool {
	if l.entry.Admit == nil {
		return true
	}
	leave, refusal := l.entry.Admit(c.RemoteAddr())
	if leave != nil {
		c.lives().leave = leave
		return true
	}
	if refusal == nil {
		_ = c.Close()
		return false
	}
	if l.farewells.Add(1) > maxFarewells {
		l.farewells.Add(-1)
		_ = c.Close()
		return false
	}
	go func() {
		defer l.farewells.Add(-1)
		sayFarewell(c, refusal)
	}()
	return false
}

// sayFarewell answers a client that is not let in, and closes the connection
// once it has read the answer: a reset could overtake that, as what it has sent
// is not read.
func sayFarewell(c conn, refusal []byte) {
	defer c.Close()
	inner := c.socketConn()
	_ = inner.SetDeadline(time.Now().Add(farewell))
	if _, err := inner.Write(refusal); err != nil {
		return
	}
	if half, ok := inner.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		var drop [4096]byte
		for range 64 {
			if _, err := inner.Read(drop[:]); err != nil {
				return
			}
		}
	}
}

// headers reads the headers of connections beside each other: one that does not
// come holds nobody up.
type headers struct {
	start sync.Once
	ready chan accepted
	room  chan struct{} // holds a token for each header that is waited for
	wait  sync.WaitGroup

	mu   sync.Mutex
	open map[conn]struct{} // those that are waited for
}

// accepted is what Accept returns.
type accepted struct {
	conn net.Conn
	err  error
}

// acceptProxied is Accept for connections that begin with a header.
func (l *Listener) acceptProxied() (net.Conn, error) {
	h := l.proxied
	h.start.Do(func() { go l.readHeaders() })
	next, ok := <-h.ready
	if !ok {
		return nil, net.ErrClosed
	}
	return next.conn, next.err
}

// readHeaders accepts until the listener is closed. It ends when the last
// header has come or is given up, and so does Accept.
func (l *Listener) readHeaders() {
	h := l.proxied
	defer close(h.ready)
	for {
		c, err := l.accept()
		if err != nil {
			if temporary(err) { // the server waits a little, and asks again
				h.ready <- accepted{err: err}
				continue
			}
			h.hurry()
			h.wait.Wait()
			h.ready <- accepted{err: err}
			return
		}
		h.room <- struct{}{}
		h.begin(c)
		h.wait.Go(func() {
			err := l.readHeader(c)
			h.end(c)
			<-h.room
			switch {
			case err != nil:
				if l.entry.Refused != nil {
					l.entry.Refused(c.socketConn().RemoteAddr(), err)
				}
				_ = c.Close()
			case l.admit(c):
				h.ready <- accepted{conn: c}
			}
		})
	}
}

// temporary reports whether Accept may succeed later: the process may be out of
// descriptors.
func temporary(err error) bool {
	var e syscall.Errno
	return errors.As(err, &e) && e.Temporary() && !e.Timeout()
}

var errNotBelieved = errors.New("it does not come from a trusted proxy")

// readHeader reads a connection's header.
func (l *Listener) readHeader(c conn) error {
	inner := c.socketConn()
	if l.entry.Believes != nil && !l.entry.Believes(inner.RemoteAddr()) {
		return errNotBelieved
	}
	p, err := readProxyHeader(inner)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%w in time", errNoProxyHeader)
	}
	if err != nil {
		return err
	}
	c.setEnds(&p)
	return inner.SetReadDeadline(time.Time{})
}

func (h *headers) begin(c conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open[c] = struct{}{}
	_ = c.socketConn().SetReadDeadline(time.Now().Add(proxyTimeout)) // fails on a connection that is gone, as the read will
}

func (h *headers) end(c conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.open, c)
}

// hurry gives up soon what has not come.
func (h *headers) hurry() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.open {
		_ = c.socketConn().SetReadDeadline(time.Now().Add(proxyGrace)) // as in begin
	}
}
