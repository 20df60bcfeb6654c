//go:build !linux

package listen

import "net"

func largeBuffers(c *net.UDPConn) {
	_ = c.SetReadBuffer(packetBuffer) // up to the system's limit
	_ = c.SetWriteBuffer(packetBuffer)
}
