//go:build !linux || !(amd64 || arm64)

package h1client

import "net"

// direct is for Linux on the usual processors.
type direct struct{}

func newDirect(net.Conn) *direct { return nil }

func (*direct) read([]byte) (int, error) { panic("h1client: no direct reads on this system") }

func (*direct) talk([]byte, []byte, bool) (n int, err error) {
	panic("h1client: no direct reads on this system")
}
