//go:build unix

package fcgi

import (
	"net"
	"syscall"
)

// listens reports whether a socket accepts connections: one that is connected
// passes for a listener until it is asked to accept.
func listens(l net.Listener) bool {
	sc, ok := l.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	accepts := 0
	err = raw.Control(func(fd uintptr) {
		accepts, _ = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN)
	})
	return err == nil && accepts != 0
}
