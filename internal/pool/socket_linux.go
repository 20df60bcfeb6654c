package pool

// Packet sockets, and many packets a system call.

import (
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	packetKind  = unix.SOCK_SEQPACKET
	cloexecFlag = unix.MSG_CMSG_CLOEXEC
	sendFlags   = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL
)

func socketpair(kind int) ([2]int, error) {
	return unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
}

// pageFile returns a file in memory.
func pageFile() (*os.File, error) {
	fd, err := unix.MemfdCreate("millrace page", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	return os.NewFile(uintptr(fd), "millrace page"), nil
}

// mmsghdr is struct mmsghdr of sendmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
	_   [4]byte
}

// packetSender keeps what sendmmsg needs from one call to the next.
type packetSender struct {
	msgs [maxDepth]mmsghdr
	iovs [maxDepth]unix.Iovec
}

// send writes each frame as one packet, as many as the socket takes, and
// returns how many those were. It never blocks. At most maxDepth frames.
func (s *packetSender) send(fd int, frames []*call) (int, error) {
	for i, c := range frames {
		s.iovs[i].Base = &c.frame[0]
		s.iovs[i].SetLen(len(c.frame))
		s.msgs[i].hdr.Iov = &s.iovs[i]
		s.msgs[i].hdr.SetIovlen(1)
	}
	sent := 0
	for sent < len(frames) {
		n, _, e := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&s.msgs[sent])), uintptr(len(frames)-sent), sendFlags, 0, 0)
		if e == unix.EINTR {
			continue
		}
		if e != 0 {
			return sent, e
		}
		sent += int(n)
	}
	runtime.KeepAlive(frames)
	return sent, nil
}
