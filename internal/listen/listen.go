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
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
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

// socket is what one Listener hands to the next.
type socket struct {
	inner   net.Listener
	address string
	timeout atomic.Int64 // nanoseconds; shared with the connections
	rate    atomic.Int64 // bytes a second; as timeout
	buffers sync.Pool

	farewells atomic.Int64 // that are under way; see Entry

	owner   Owner       // of a socket that another process opened for us; nil: we did
	path    string      // of a Unix socket
	made    os.FileInfo // that socket, as this process made it
	shared  bool        // inherited
	close   func() error
	backlog backlog
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

func (l *socket) openTCP(address string) error {
	fail := func(err error, owner, do string) error {
		return &Error{Address: address, Err: err, Owner: owner, Do: do}
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fail(err, "", `write "host:port", ":port" or "unix:/path"`)
	}
	l.inner, err = net.Listen("tcp", address)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EADDRINUSE):
		return fail(err, tcpOwner(port), "stop what listens there, or choose another port")
	case errors.Is(err, syscall.EACCES):
		return fail(err, "", "ports below 1024 need root or CAP_NET_BIND_SERVICE; take a higher port")
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fail(err, "", fmt.Sprintf("no interface of this machine has the address %s; use \":%s\" for all of them", host, port))
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return fail(err, "", "raise the limit of open files (ulimit -n)")
	}
	return fail(err, "", "check the host name and the port")
}

func (l *socket) openUnix(path string, mode fs.FileMode) error {
	if mode == 0 {
		mode = 0o666
	}
	fail := func(err error, do string) error {
		return &Error{Address: l.address, Err: err, Do: do}
	}
	if path == "" {
		return fail(syscall.EINVAL, `write "unix:/path/of/the.sock"`)
	}
	if err := clearStale(path); err != nil {
		do := "move the file away, or choose another path"
		if errors.Is(err, syscall.EADDRINUSE) {
			do = "another server answers on it: stop that one, or choose another path"
		}
		return fail(err, do)
	}
	inner, made, err := unixListener(path, mode)
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist):
		return fail(err, "create the folder of the socket")
	case errors.Is(err, fs.ErrPermission):
		return fail(err, "give this user the right to write in the folder of the socket")
	case errors.Is(err, syscall.EINVAL):
		return fail(err, "a socket's path may be 107 bytes long on Linux, 103 elsewhere: choose a shorter one")
	case errors.Is(err, syscall.EADDRINUSE):
		return fail(err, "another process has just taken it: stop that one, or choose another path")
	default:
		return fail(err, "check the path, and that nobody else changes the folder")
	}
	l.inner, l.path, l.made = inner, path, made
	return nil
}

// unixListener makes the socket with its final mode. bind(2) gives a socket's
// file the mode of the descriptor, less the umask, on Linux: so that a socket
// that is to be private never is anything else. Systems where fchmod refuses
// a socket get their mode, and Linux what its umask took away, right after.
func unixListener(path string, mode fs.FileMode) (net.Listener, fs.FileInfo, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { setMode(fd, mode) })
	}}
	inner, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, nil, err
	}
	inner.(*net.UnixListener).SetUnlinkOnClose(false) // Close looks whose it is first
	made, err := os.Lstat(path)
	if err == nil {
		err = ChmodSocket(path, made, mode)
	}
	if err != nil {
		inner.Close()
		return nil, nil, err
	}
	return inner, made, nil
}

// clearStale removes a socket that a dead server left. EADDRINUSE: it lives.
func clearStale(path string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if fi.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%w and is no socket", fs.ErrExist)
	}
	c, err := net.DialTimeout("unix", path, 2*time.Second)
	switch {
	case err == nil:
		c.Close()
		return syscall.EADDRINUSE
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	case errors.Is(err, fs.ErrNotExist): // gone in the meantime
		return nil
	}
	// A full backlog (EAGAIN), another kind of socket, no right to connect:
	// whoever made it may well live.
	return fmt.Errorf("%w (%w)", syscall.EADDRINUSE, err)
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

// shut is Close, once.
func (l *socket) shut() error {
	switch {
	case l.owner != nil:
		if last, err := l.owner.Release(); err != nil || !last || l.shared {
			return errors.Join(err, l.inner.Close()) // others accept: what waits is theirs
		}
	case l.shared:
		l.unlink()
		return l.inner.Close()
	default:
		l.unlink()
	}
	refuse(l.inner)
	l.backlog.fill(l.inner)
	err := l.inner.Close()
	l.backlog.empty()
	return err
}

// unlink removes the Unix socket if it is still the one that Open made.
func (l *socket) unlink() {
	if l.path == "" {
		return
	}
	if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.made) {
		_ = os.Remove(l.path) // a folder that lost its rights: the next Open finds it stale
	}
}
