//go:build !linux || !(amd64 || arm64)

package gateway

import "net"

// Socket is for Linux on the usual processors.
type Socket struct{}

// NewSocket returns nil here.
func NewSocket(net.Conn) *Socket { return nil }

// Read is never called here.
func (*Socket) Read([]byte) (int, error) { panic("gateway: no Socket on this system") }

// Ask is never called here.
func (*Socket) Ask([]byte, []byte, bool) (sent, n int, err error) {
	panic("gateway: no Socket on this system")
}
