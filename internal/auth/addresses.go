package auth

import (
	"net/http"
	"net/netip"
	"slices"
)

// Addresses says which clients may, by their addresses. The zero value lets all.
type Addresses struct {
	Allow, Deny         []netip.Prefix
	AllowUnix, DenyUnix bool // clients at a Unix socket
}

// Permits reports whether a client may, as http.Request.RemoteAddr names it: not
// if Deny names it, and, where Allow names anybody, only if Allow names it. What
// is no address is a Unix socket's.
func (a *Addresses) Permits(remote string) bool {
	unix := false
	var ip netip.Addr
	if at, err := netip.ParseAddrPort(remote); err == nil {
		ip = at.Addr().Unmap().WithZone("")
	} else {
		unix = true
	}
	switch {
	case unix && a.DenyUnix, !unix && within(a.Deny, ip):
		return false
	case len(a.Allow) == 0 && !a.AllowUnix:
		return true
	case unix:
		return a.AllowUnix
	}
	return within(a.Allow, ip)
}

func within(all []netip.Prefix, ip netip.Addr) bool {
	return slices.ContainsFunc(all, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// Wrap lets those whose address is permitted reach next, and answers the others
// with 403, before any of a body is read.
func (a *Addresses) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.Permits(r.RemoteAddr) {
			http.Error(w, "Forbidden", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}
