//go:build !linux

package listen

import "net"

// outQueue is unknown here.
func outQueue(net.Conn) (n int64, ok bool) { return 0, false }
