//go:build unix && !linux

package pool

// What other Unixes lack: a packet socket that ends (a datagram pair keeps
// boundaries too), memfd, sendmmsg, and descriptors that arrive closed on
// exec.

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	packetKind = unix.SOCK_DGRAM
	sendFlags  = unix.MSG_DONTWAIT
)

func socketpair(kind int) ([2]int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fds, err := unix.Socketpair(unix.AF_UNIX, kind, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	return fds, err
}

// pageFile returns a file without a name.
func pageFile(size int) (*os.File, error) {
	f, err := os.CreateTemp("", "millrace-page-")
	if err != nil {
		return nil, err
	}
	err = errors.Join(os.Remove(f.Name()), f.Truncate(int64(size)))
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

type packetSender struct{ frames [maxDepth][]byte }

// prepare takes the packets that send is to write: at most maxDepth. It reads
// the calls, so it needs Pool.mu; send does not.
func (s *packetSender) prepare(calls []*call) {
	for i, c := range calls {
		s.frames[i] = c.frame
	}
}

// send writes the first n prepared packets, as many as the socket takes, and
// returns how many those were. It never waits for the reader.
func (s *packetSender) send(fd, n int) (int, error) {
	for i := 0; i < n; {
		err := unix.Send(fd, s.frames[i], sendFlags)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return i, err
		default:
			i++
		}
	}
	return n, nil
}

// receive reads from a stream, with the descriptors that came along; they are
// closed on exec and the caller's. At the end n is 0.
func receive(fd int, b, oob []byte) (n int, fds []int, err error) {
	n, oobn, _, _, err := unix.Recvmsg(fd, b, oob, 0)
	if err != nil || oobn == 0 {
		return n, nil, err
	}
	fds, err = rights(oob[:oobn])
	return n, fds, err
}
