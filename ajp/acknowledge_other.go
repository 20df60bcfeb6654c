//go:build !linux

package ajp

import "net"

// acknowledge does nothing: only Linux can be asked.
func acknowledge(net.Conn) {}
