//go:build !unix

package listen

import "net"

func refuse(net.Listener) {}

func takeWaiting(net.Listener) net.Conn { return nil }
