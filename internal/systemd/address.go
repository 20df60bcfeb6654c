package systemd

import (
	"net"
	"net/netip"
	"strconv"
)

// address returns the descriptor of the socket that systemd opened for an
// address, "host:port" with numbers or ":port". A configuration need not know
// who opens its sockets.
func (s *Service) address(address string) (fd int, ok bool) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return 0, false
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return 0, false
	}
	var want netip.Addr
	if host != "" {
		if want, err = netip.ParseAddr(host); err != nil {
			return 0, false
		}
	}
	for i := range s.names {
		at, ok := boundTo(first + i)
		if !ok || at.Port() != uint16(number) {
			continue
		}
		if host == "" && at.Addr().IsUnspecified() || host != "" && at.Addr().Unmap() == want.Unmap() {
			return first + i, true
		}
	}
	return 0, false
}
