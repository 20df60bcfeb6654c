//go:build unix

package pool

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// listenUnix opens a listening Unix socket whose calls wait, as programs
// expect of their standard input.
func listenUnix(path string, backlog int) (int, error) {
	syscall.ForkLock.RLock()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("bind", err)
	}
	if err := unix.Listen(fd, backlog); err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("listen", err)
	}
	return fd, nil
}

// readable reports whether a read, or an accept, would not wait.
func readable(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 0)
		if err != unix.EINTR {
			return err == nil && n > 0
		}
	}
}

// drain accepts and closes what waits, and returns how many that were.
func drain(fd int) (n uint64) {
	if unix.SetNonblock(fd, true) != nil {
		return 0
	}
	for {
		c, _, err := unix.Accept(fd)
		switch err {
		case nil:
			unix.Close(c)
			n++
		case unix.EINTR, unix.ECONNABORTED:
		default:
			return n
		}
	}
}
