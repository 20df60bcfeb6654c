package forwarded

import (
	"maps"
	"net/http"
	"strings"
)

// Honest wraps the handler of an application. What a client that is no trusted
// proxy says of itself in X-Forwarded-For, -Proto, -Host, -Port and X-Real-IP is
// replaced by what is true; any other X-Forwarded-* is dropped, and Forwarded as
// well. That the headers were there stays to be seen, in X-Forwarded-For: it may
// have come through a proxy that nobody has told us of.
func Honest(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if claims(r.Header) && Of(r) == nil {
			r = honest(r)
		}
		next.ServeHTTP(w, r)
	})
}

// claims reports whether there is any such header.
func claims(h http.Header) bool {
	for name := range h {
		if isClaim(name) {
			return true
		}
	}
	return false
}

const prefix = "X-Forwarded-"

func isClaim(name string) bool {
	switch {
	case len(name) < len("Forwarded"):
		return false
	case name[0] == 'X':
		return strings.HasPrefix(name, prefix) || name == "X-Real-Ip"
	}
	return name == "Forwarded"
}

// honest leaves r's own header alone: a log may want to know what the client
// said.
func honest(r *http.Request) *http.Request {
	c := *r
	c.Header = maps.Clone(r.Header)
	c.Header["X-Forwarded-For"] = nil
	for name := range r.Header {
		switch name {
		case "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Real-Ip":
			truthful(c.Header, r, name)
		default:
			if isClaim(name) {
				delete(c.Header, name)
			}
		}
	}
	truthful(c.Header, r, "X-Forwarded-For")
	return &c
}
