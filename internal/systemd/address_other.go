//go:build !unix

package systemd

import "net/netip"

func boundTo(int) (at netip.AddrPort, ok bool) { return at, false }
