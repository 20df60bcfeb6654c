package server

import (
	"net/http"
	"net/netip"
	"slices"

	"millrace/internal/auth"
)

// layerSiteAccess refuses clients of a site by their addresses.
func layerSiteAccess(_ *builder, at *place, next http.Handler) (http.Handler, error) {
	return access(at.site.Allow, at.site.Deny, next)
}

// layerAccess refuses clients of a route by their addresses.
func layerAccess(_ *builder, at *place, next http.Handler) (http.Handler, error) {
	return access(at.route.Allow, at.route.Deny, next)
}

func access(allow, deny []string, next http.Handler) (http.Handler, error) {
	if len(allow) == 0 && len(deny) == 0 {
		return next, nil
	}
	var a auth.Addresses
	var err error
	if a.Allow, a.AllowUnix, err = clients(allow); err != nil {
		return nil, err
	}
	if a.Deny, a.DenyUnix, err = clients(deny); err != nil {
		return nil, err
	}
	return a.Wrap(next), nil
}

// clients are addresses and networks, and "unix", that package config has
// checked.
func clients(texts []string) (networks []netip.Prefix, unix bool, err error) {
	rest := slices.DeleteFunc(slices.Clone(texts), func(t string) bool { return t == "unix" })
	networks, err = prefixes(rest)
	return networks, len(rest) < len(texts), err
}
