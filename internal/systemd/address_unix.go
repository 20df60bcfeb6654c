//go:build unix

package systemd

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// boundTo is the address that a TCP socket listens on.
func boundTo(fd int) (at netip.AddrPort, ok bool) {
	if kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil || kind != unix.SOCK_STREAM {
		return at, false
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return at, false
	}
	switch name := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(name.Addr), uint16(name.Port)), true
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(name.Addr), uint16(name.Port)), true
	}
	return at, false
}
