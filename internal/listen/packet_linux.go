package listen

import (
	"net"

	"golang.org/x/sys/unix"
)

// largeBuffers asks for buffers of a UDP socket beyond the system's limit, which
// root may have, and else up to it: what arrives while the process is not running
// is lost beyond them, and QUIC slows down.
func largeBuffers(c *net.UDPConn) {
	_ = c.SetReadBuffer(packetBuffer)
	_ = c.SetWriteBuffer(packetBuffer)
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, packetBuffer)
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, packetBuffer)
	})
}
