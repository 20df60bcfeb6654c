package pool

// Packet sockets, and many packets a system call.
//
// The calls of the request path are raw: none of them waits, and one that the
// scheduler knows of costs more when the cores are busy. A thread descheduled
// inside it has its processor taken away by the runtime's monitor.

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	packetKind = unix.SOCK_SEQPACKET
	sendFlags  = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL
)

func socketpair(kind int) ([2]int, error) {
	return unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
}

// pageFile returns a file in memory of a size that stays: an app that cut its
// page short would end us, at the next look, by a SIGBUS.
func pageFile(size int) (*os.File, error) {
	fd, err := unix.MemfdCreate("millrace page", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "millrace page")
	err = f.Truncate(int64(size))
	if err == nil {
		_, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
		err = os.NewSyscallError("fcntl", err)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
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

// prepare takes the packets that send is to write: at most maxDepth. It reads
// the calls, so it needs Pool.mu; send does not.
func (s *packetSender) prepare(calls []*call) {
	for i, c := range calls {
		s.iovs[i].Base = &c.frame[0]
		s.iovs[i].SetLen(len(c.frame))
		s.msgs[i].hdr.Iov = &s.iovs[i]
		s.msgs[i].hdr.SetIovlen(1)
	}
}

// send writes the first n prepared packets, as many as the socket takes, and
// returns how many those were. It never waits for the reader.
func (s *packetSender) send(fd, n int) (int, error) {
	sent := 0
	for sent < n {
		r, _, e := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&s.msgs[sent])), uintptr(n-sent), sendFlags, 0, 0)
		if e == unix.EINTR {
			continue
		}
		if e != 0 {
			return sent, e
		}
		sent += int(r)
	}
	return sent, nil
}

// receive reads from a stream, with the descriptors that came along; they are
// closed on exec and the caller's. At the end n is 0.
func receive(fd int, b, oob []byte) (n int, fds []int, err error) {
	iov := unix.Iovec{Base: unsafe.SliceData(b)}
	iov.SetLen(len(b))
	hdr := unix.Msghdr{Iov: &iov, Control: unsafe.SliceData(oob)}
	hdr.SetIovlen(1)
	hdr.SetControllen(len(oob))
	r, _, e := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&hdr)), unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
	if e != 0 {
		return 0, nil, e
	}
	if hdr.Controllen > 0 {
		fds, err = rights(oob[:hdr.Controllen])
	}
	return int(r), fds, err
}
