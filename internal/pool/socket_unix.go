//go:build unix

package pool

// The sockets of a channel, on any Unix. What Linux does better is in
// socket_linux.go, what others lack in socket_notlinux.go.

import (
	"errors"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// pair returns a connected pair of Unix sockets: ours does not block, theirs
// does. Neither survives an exec.
func pair(kind int) (ours, theirs int, err error) {
	fds, err := socketpair(kind)
	if err != nil {
		return 0, 0, os.NewSyscallError("socketpair", err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		unix.Close(fds[0])
		unix.Close(fds[1])
		return 0, 0, os.NewSyscallError("fcntl", err)
	}
	return fds[0], fds[1], nil
}

// packetPair returns a pair that keeps the boundaries of messages.
func packetPair() (ours, theirs int, err error) {
	ours, theirs, err = pair(packetKind)
	if err != nil {
		return 0, 0, err
	}
	// Room for some of the largest packets, whatever the system's default is.
	for _, fd := range []int{ours, theirs} {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 4*maxPacket)
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4*maxPacket)
	}
	return ours, theirs, nil
}

// streamPair returns a pair that is a stream of bytes.
func streamPair() (ours, theirs int, err error) { return pair(unix.SOCK_STREAM) }

// readBack takes one unread packet from a duplicate of the worker's reading
// end, and returns how many bytes of it fit b; false when there is none.
func readBack(fd int, b []byte) (int, bool) {
	for {
		n, _, err := unix.Recvfrom(fd, b, unix.MSG_DONTWAIT)
		if err == unix.EINTR {
			continue
		}
		return n, err == nil && n > 0
	}
}

// rights returns the descriptors in a control message; they are the caller's.
func rights(oob []byte) ([]int, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var fds []int
	for i := range messages {
		got, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue
		}
		for _, fd := range got {
			unix.CloseOnExec(fd)
		}
		fds = append(fds, got...)
	}
	return fds, nil
}

// sendWith writes to a stream, descriptors with the first byte.
func sendWith(fd int, b []byte, fds ...int) (int, error) {
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	return unix.SendmsgN(fd, b, oob, nil, sendFlags)
}

// endReading makes reads from a stream end once what has arrived is read, and a
// write to it fail.
func endReading(fd int) { _ = unix.Shutdown(fd, unix.SHUT_RDWR) }

// outputPipe returns a pipe for what a process prints; writing to it blocks.
func outputPipe() (r, w *os.File, err error) {
	r, w, err = os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	if err := unix.SetNonblock(int(w.Fd()), false); err != nil {
		r.Close()
		w.Close()
		return nil, nil, os.NewSyscallError("fcntl", err)
	}
	// An app that opens /dev/stderr opens the pipe anew, as another user. Nobody
	// else comes as far as that: the way there is /proc/PID/fd. Systems that
	// know no mode of a pipe refuse.
	_ = unix.Fchmod(int(w.Fd()), 0o622)
	return r, w, nil
}

func closeFD(fd int) { _ = unix.Close(fd) }

func duplicate(fd int) (int, error) {
	return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
}

// hungUp reports whether nobody holds the reading end of a pipe any more.
func hungUp(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd)}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0 && fds[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0
}

// wouldBlock tells the error of a socket that is not ready from a failure.
func wouldBlock(err error) bool {
	return errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOBUFS)
}

func interrupted(err error) bool { return errors.Is(err, unix.EINTR) }

// sharedPage is memory that the master and the processes of a host map. It is
// unmapped when nothing refers to the sharedPage any more: the host does, and
// through it each of its channels, which may outlive the process.
type sharedPage struct {
	bytes []byte
	file  *os.File // for the host, and for who takes the host over
}

func newSharedPage(size int) (*sharedPage, error) {
	f, err := pageFile(size)
	if err != nil {
		return nil, err
	}
	return mapPage(f, size)
}

// mapPage maps a page of which f is all. It takes f over.
func mapPage(f *os.File, size int) (*sharedPage, error) {
	b, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		f.Close()
		return nil, os.NewSyscallError("mmap", err)
	}
	p := &sharedPage{bytes: b, file: f}
	runtime.AddCleanup(p, func(b []byte) { _ = unix.Munmap(b) }, b)
	return p, nil
}
