// Package listen opens the sockets that clients come in by, and keeps a
// client that stops reading from holding a response for ever.
//
// Open turns an address of the configuration into a Listener:
//
//	127.0.0.1:8000, [::1]:8000, :8000   TCP; port 0 takes any free one; a socket that
//	                                    systemd has opened there is taken
//	unix:/run/mysite.sock               a Unix socket
//	fd:0                                a listening socket that this process was started with
//	systemd:web                         one that systemd passed, by its name (Options.Systemd)
//
// A Unix socket that is in the way is removed only when it is one and nobody
// answers on it: a live server's socket is never taken over. Its mode is set
// before it can be connected to. Close removes it, unless another process has
// put its own there since, and lets Accept hand out first who is connected
// already (backlog.go). The backlog is the system's maximum, as in package net.
//
// An inherited socket (inherit_unix.go) stays open, and its file in place: it
// belongs to whoever passed it on, and other processes may accept from it.
//
// Given makes a Listener of a socket that another process has opened, and owns
// (given.go); that process opens it by Open, and passes File on.
//
// Detach hands a socket from one Listener to another while connections arrive:
// what served it before and what serves it from now on meet without a gap.
//
// The connections that a Listener accepts have a write time-out that renews
// itself: a client that takes no byte of the response for that long is cut
// off, whereas a slow one that keeps reading may take hours over a large file.
// See timeout.go. Reading is not touched: the servers of HTTP and package limit set the
// read deadlines.
//
// Every error of Open is an *Error: it names the address and what to do, and
// who holds it, where the system tells.
package listen

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Options of Open. The zero value works.
type Options struct {
	// WriteTimeout is how long a client may take no byte of a response before
	// its connection is closed. It is never shorter than that, and may be
	// twice as long. 0: no limit.
	WriteTimeout time.Duration

	// MinWriteRate is how many bytes a second a client must take on average while
	// a write waits for it, once that has waited for WriteTimeout. It is noticed
	// within two WriteTimeouts. 0: any.
	MinWriteRate int64

	// Mode of a Unix socket; 0 means 0666: whoever may enter the folder.
	Mode fs.FileMode

	// Count is called with the changes in how many connections there are, and
	// in how many of them no byte has come yet; nil: nobody counts.
	Count func(conns, fresh int)

	// Systemd returns the descriptor of a socket that systemd passed, by its name
	// or by the address that it is bound to, which
	// stays open; nil: it passed none.
	Systemd func(name string) (fd int, err error)
}

// Error says which address could not be opened.
type Error struct {
	Address string
	Err     error  // the cause; errors.Is(err, syscall.EADDRINUSE) works for Unix sockets too
	Owner   string // who holds the address, as "nginx (pid 12)"; often unknown
	Do      string // what to do about it
}

func (e *Error) Error() string {
	why := e.Err.Error()
	var errno syscall.Errno
	if errors.As(e.Err, &errno) {
		why = errno.Error()
	}
	if e.Owner != "" {
		why += ", by " + e.Owner
	}
	return fmt.Sprintf("cannot listen on %s: %s", e.Address, why)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *Error) Hint() string { return e.Do }

// Listener accepts connections whose writes time out. It is safe for
// concurrent use.
type Listener struct {
	*socket
	count   func(conns, fresh int)
	entry   Entry
	proxied *headers // nil: connections have no header of the PROXY protocol

	mu       sync.Mutex
	detached bool
	resumed  bool // the deadline by which Detach woke another's Accept is gone
}

var _ net.Listener = (*Listener)(nil)

// Open listens on address.
func Open(address string, opts Options) (*Listener, error) {
	l := &socket{address: address, buffers: sync.Pool{New: func() any { return new([copyBuffer]byte) }}}
	l.timeout.Store(int64(opts.WriteTimeout))
	l.rate.Store(opts.MinWriteRate)
	var err error
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		err = l.openUnix(path, opts.Mode)
	} else if number, ok := strings.CutPrefix(address, "fd:"); ok {
		l.shared = true
		err = l.inherit(number)
	} else if name, ok := strings.CutPrefix(address, "systemd:"); ok {
		l.shared = true
		err = l.passed(name, opts.Systemd)
	} else if opened := l.opened(address, opts.Systemd); !opened {
		err = l.openTCP(address)
	}
	if err != nil {
		return nil, err
	}
	l.close = sync.OnceValue(l.shut)
	return &Listener{socket: l, count: opts.Count}, nil
}

// Accept returns the next connection that passes the Entry.
func (l *Listener) Accept() (net.Conn, error) {
	if l.proxied != nil {
		return l.acceptProxied()
	}
	for {
		c, err := l.accept()
		if err != nil {
			return nil, err
		}
		if l.admit(c) {
			return c, nil
		}
	}
}

// accept returns the next connection that comes.
func (l *Listener) accept() (conn, error) {
	if err := l.resume(); err != nil {
		return nil, err
	}
	c, err := l.inner.Accept()
	if err != nil {
		if l.isDetached() {
			return nil, net.ErrClosed
		}
		if errors.Is(err, net.ErrClosed) {
			c = l.backlog.next()
		}
		if c == nil {
			return nil, err
		}
	}
	if l.count != nil {
		l.count(1, 1)
	}
	if u, ok := c.(*net.UnixConn); ok {
		return &unixConn{UnixConn: u, plain: quick(c), guard: guard{limit: &l.timeout, rate: &l.rate}, life: life{count: l.count}}, nil
	}
	// Open makes no other kind.
	return &tcpConn{TCPConn: c.(*net.TCPConn), plain: quick(c), guard: guard{limit: &l.timeout, rate: &l.rate}, buffers: &l.buffers, life: life{count: l.count}}, nil
}

// Close stops accepting and removes a Unix socket's file. Connections live on.
// Accept first returns those that waited in the backlog, and Close when all of
// them are taken, or none was for two seconds: it closes the rest. Those at an
// inherited socket stay, for the processes that it is shared with. After
// Detach Close does nothing: the socket is another Listener's.
func (l *Listener) Close() error {
	if l.isDetached() {
		return nil
	}
	return l.close()
}

// Leave stops accepting, and closes the socket in this process alone: whoever
// shares it accepts from now on, and who waits in the backlog waits for them.
func (l *Listener) Leave() error {
	if l.isDetached() {
		return nil
	}
	l.mu.Lock()
	l.detached = true // Close does nothing any more
	l.mu.Unlock()
	return l.inner.Close()
}

// Detach ends l, whose Accept returns net.ErrClosed from now on, and returns
// another Listener of the same socket. Clients that connect meanwhile wait in
// the backlog. The other one's Accept is to be called once that of l has
// returned. count is as in Options.
func (l *Listener) Detach(count func(conns, fresh int)) *Listener {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.detached = true
	_ = l.setDeadline(time.Unix(1, 0)) // wakes Accept; fails on a closed socket alone
	return &Listener{socket: l.socket, count: count}
}

func (l *Listener) isDetached() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.detached
}

// resume makes the socket accept again that another Listener was detached
// from.
func (l *Listener) resume() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.detached:
		return net.ErrClosed
	case !l.resumed:
		l.resumed = true
		_ = l.setDeadline(time.Time{}) // fails on a closed socket alone, as Accept will
	}
	return nil
}

// setDeadline bounds Accept; both kinds of listener can.
func (l *Listener) setDeadline(t time.Time) error {
	if d, ok := l.inner.(interface{ SetDeadline(time.Time) error }); ok {
		return d.SetDeadline(t)
	}
	return nil
}

// SetMode changes the mode of a Unix socket (0: 0666); of any other it does
// nothing.
func (l *Listener) SetMode(mode fs.FileMode) error {
	if mode == 0 {
		mode = 0o666
	}
	switch {
	case l.path == "":
		return nil
	case l.owner != nil:
		return l.owner.SetMode(mode)
	}
	return ChmodSocket(l.path, l.made, mode)
}

// Addr is the address as the system gives it, with the real port.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// Address is the address that Open was called with.
func (l *Listener) Address() string { return l.address }

// WriteTimeout is the time-out, as it is now.
func (l *Listener) WriteTimeout() time.Duration { return time.Duration(l.timeout.Load()) }

// SetWriteLimits changes the time-out and the minimum rate, from the next write
// of each connection.
func (l *Listener) SetWriteLimits(d time.Duration, minRate int64) {
	l.timeout.Store(int64(d))
	l.rate.Store(minRate)
}
