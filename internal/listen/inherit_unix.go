//go:build unix

package listen

// This file: sockets that the process was started with, as spawn-fcgi,
// mod_fcgid and inetd's "wait" hand them over on descriptor 0.

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// inherit listens on the descriptor number. It works on a duplicate: the
// descriptor itself stays open, for another Open after a Close, but is not
// passed on to the processes that this one starts.
func (l *socket) inherit(number string) error {
	fail := func(err error, do string) error {
		return &Error{Address: l.address, Err: err, Do: do}
	}
	const want = "start millrace with a listening socket there, as spawn-fcgi and mod_fcgid do, or give an address"
	fd, err := strconv.Atoi(number)
	if err != nil || fd < 0 {
		return fail(unix.EBADF, `write "fd:0", or the number of another descriptor`)
	}
	what, err := describe(fd)
	switch {
	case errors.Is(err, unix.EBADF):
		return fail(fmt.Errorf("descriptor %d is not open", fd), want)
	case err != nil:
		return fail(err, want)
	case what != "":
		return fail(fmt.Errorf("descriptor %d is %s, not a listening socket", fd, what), want)
	}
	if fd > 2 {
		unix.CloseOnExec(fd)
	}
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return fail(err, "raise the limit of open files (ulimit -n)")
	}
	f := os.NewFile(uintptr(own), l.address)
	defer f.Close()
	if l.inner, err = net.FileListener(f); err != nil {
		return fail(err, want)
	}
	return nil
}

// describe says what a descriptor is, "" for a listening stream socket.
func describe(fd int) (string, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFSOCK:
		return describeSocket(fd)
	case unix.S_IFREG:
		return "a file", nil
	case unix.S_IFDIR:
		return "a folder", nil
	case unix.S_IFIFO:
		return "a pipe", nil
	case unix.S_IFCHR:
		return "a device (a terminal, or " + os.DevNull + ")", nil
	}
	return "no socket", nil
}

func describeSocket(fd int) (string, error) {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return "", err
	}
	if kind != unix.SOCK_STREAM {
		return "a socket of datagrams", nil
	}
	if listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err == nil {
		if listening != 0 {
			return "", nil
		}
	} else if !errors.Is(err, unix.ENOPROTOOPT) {
		return "", err
	}
	if _, err := unix.Getpeername(fd); err == nil {
		return "a connection", nil
	}
	if _, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil {
		return "", nil // the system does not tell (OpenBSD); what is not connected listens, by FastCGI's convention
	}
	return "a socket that neither listens nor is connected", nil
}
