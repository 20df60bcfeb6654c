package ajp

import (
	"net"
	"syscall"
)

// acknowledge has the kernel confirm at once what a TCP connection has
// received.
func acknowledge(c net.Conn) {
	sc, ok := c.(syscall.Conn) // a wrapper has it, too
	if _, tcp := c.LocalAddr().(*net.TCPAddr); !ok || !tcp {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
	})
}
