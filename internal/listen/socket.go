package listen

// The socket of a Listener: how it is opened, and given back.

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

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
