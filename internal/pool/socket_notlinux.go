//go:build unix && !linux

package pool

// What other Unixes lack: a packet socket that ends (a datagram pair keeps
// boundaries too), memfd, sendmmsg, and descriptors that arrive closed on
// exec.

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	packetKind  = unix.SOCK_DGRAM
	cloexecFlag = 0
	sendFlags   = unix.MSG_DONTWAIT
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
func pageFile() (*os.File, error) {
	f, err := os.CreateTemp("", "millrace-page-")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}

type packetSender struct{}

// send writes each frame as one packet, as many as the socket takes, and
// returns how many those were. It never blocks.
func (s *packetSender) send(fd int, frames []*call) (int, error) {
	for i, c := range frames {
		for {
			err := unix.Send(fd, c.frame, sendFlags)
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				return i, err
			}
			break
		}
	}
	return len(frames), nil
}
