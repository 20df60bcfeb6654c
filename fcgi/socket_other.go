//go:build !unix

package fcgi

import "net"

// listens cannot tell here; see socket_unix.go.
func listens(net.Listener) bool { return true }
