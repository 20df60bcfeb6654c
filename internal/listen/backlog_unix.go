//go:build unix

package listen

import (
	"errors"
	"net"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// refuse turns away whoever still connects to a Unix socket, having found its
// file before it was removed; who waits in the backlog stays. Of the systems,
// Linux alone is known to do so: for TCP it would empty the backlog.
func refuse(inner net.Listener) {
	l, ok := inner.(*net.UnixListener)
	if !ok || runtime.GOOS != "linux" {
		return
	}
	if raw, err := l.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RD) })
	}
}

// takeWaiting accepts a connection that waits already; nil if none does, or
// no descriptor is free. Accept with a deadline is no substitute: it does not
// try when the deadline has passed by the time it runs.
func takeWaiting(inner net.Listener) net.Conn {
	l, ok := inner.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := l.SyscallConn()
	if err != nil {
		return nil
	}
	fd := -1
	if raw.Control(func(at uintptr) { fd = acceptNow(int(at)) }) != nil || fd < 0 {
		return nil
	}
	f := os.NewFile(uintptr(fd), "")
	defer f.Close()
	c, err := net.FileConn(f) // a duplicate, set up as those of package net's Accept
	if err != nil {
		return nil
	}
	return c
}

// acceptNow is accept(2) on a socket that does not block.
func acceptNow(at int) int {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	for {
		fd, _, err := unix.Accept(at)
		switch {
		case err == nil:
			unix.CloseOnExec(fd)
			return fd
		case !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.ECONNABORTED):
			return -1
		}
	}
}
