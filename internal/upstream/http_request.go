package upstream

// What an HTTP server is told of a request.

import (
	"net"
	"net/http"
	"net/url"
	"strings"

	"millrace/gateway"
	"millrace/internal/forwarded"
	"millrace/internal/requestid"
)

// requestURL is the target: the path as the client spelled it, less the mount.
func requestURL(x *exchange, address string, secure bool) *url.URL {
	u := &url.URL{Scheme: "http", Host: address, Path: x.target.PathInfo, RawQuery: x.r.URL.RawQuery, ForceQuery: x.r.URL.ForceQuery}
	if secure {
		u.Scheme = "https"
	}
	if strings.HasPrefix(address, "unix:") {
		u.Host = "localhost"
	}
	if raw, ok := strings.CutPrefix(x.r.URL.RawPath, x.mount); ok {
		u.RawPath = raw // used if it says the same as Path
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u
}

// requestTarget is requestURL as it is written.
func requestTarget(x *exchange) string {
	u := x.r.URL
	if u.RawPath != "" || x.target.PathInfo == "" { // or the path has a spelling of its own
		return requestURL(x, "", false).RequestURI()
	}
	path := (&url.URL{Path: x.target.PathInfo}).EscapedPath()
	if u.RawQuery == "" && !u.ForceQuery {
		return path
	}
	return path + "?" + u.RawQuery
}

// hostOf is the request's Host; a request without one gets the server's.
func hostOf(x *exchange, address string) string {
	switch t := toldOf(x.r); {
	case t != nil && t.Host != "":
		return t.Host
	case x.r.Host != "":
		return x.r.Host
	case strings.HasPrefix(address, "unix:"):
		return "localhost"
	}
	return address
}

// requestFields are the header fields that a server is told. Names with anything
// but letters, digits and hyphens are left out, as in gateway.AppendHTTP: to a
// server that makes CGI variables of them X_Forwarded_For would be
// X-Forwarded-For.
func requestFields(r *http.Request, mount string, add func(name, value string)) {
	connection, told := r.Header["Connection"], toldOf(r)
	for name, values := range r.Header {
		if !plainName(name) || gateway.Hop(name) || !told.says(name) && (isOurs(name) || len(connection) > 0 && isNamed(connection, name)) {
			continue
		}
		for _, value := range values {
			add(name, value)
		}
	}
	// Ours come last: neither a client nor its Connection header has a say, but the
	// configuration has.
	if told != nil {
		all := add
		add = func(name, value string) {
			if !told.says(name) {
				all(name, value)
			}
		}
	}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		add("X-Forwarded-For", chain(r, host))
	}
	for _, id := range r.Header[requestid.Header] {
		add(requestid.Header, id)
	}
	if r.Host != "" {
		add("X-Forwarded-Host", r.Host)
	}
	proto := "http"
	if r.TLS != nil {
		proto = "https"
	}
	add("X-Forwarded-Proto", proto)
	if mount != "" {
		add("X-Forwarded-Prefix", mount)
	}
}

// isOurs tells the headers whose word is ours, not the client's.
func isOurs(name string) bool {
	switch name {
	case "Content-Length", "Expect", "Forwarded", "Host", "Proxy", "X-Real-Ip", "X-Sendfile-Type", requestid.Header:
		return true
	}
	return strings.HasPrefix(name, "X-Forwarded-") || strings.HasPrefix(name, "X-Accel-")
}

// isNamed reports whether Connection says that a header is for one connection
// alone (RFC 9110, section 7.6.1).
func isNamed(connection []string, name string) bool {
	for _, value := range connection {
		for named := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(named), name) {
				return true
			}
		}
	}
	return false
}

// chain is the way that a request has come: the client, and the trusted proxies
// behind it up to the one that is connected to us.
func chain(r *http.Request, client string) string {
	origin := forwarded.Of(r)
	if origin == nil {
		return client
	}
	way := client
	if said := r.Header["X-Forwarded-For"]; len(said) == 1 { // as package forwarded has left it
		way = said[0]
	}
	if origin.Peer != "" && way != origin.Peer {
		way += ", " + origin.Peer
	}
	return way
}

func plainName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}
