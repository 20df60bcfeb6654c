//go:build !unix

package fcgi

import "net"

// What cannot be told here; see socket_unix.go.

func alive(net.Conn) bool { return true }

func listens(net.Listener) bool { return true }
