//go:build unix

package gateway

import (
	"net"
	"syscall"
)

// Alive reports whether a kept connection can take a request: the back end has
// neither closed it nor sent what nobody asked for, which would pass for the
// next response. Without this look a request that must not be repeated would be
// lost to a back end that has recycled its process.
func Alive(c net.Conn) bool {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	quiet := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK || err == syscall.EINTR
		return true
	})
	return err == nil && quiet
}
