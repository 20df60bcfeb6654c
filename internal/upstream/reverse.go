package upstream

// What a back end says of its own place, in the terms of its clients: Location,
// Content-Location, Refresh, and the Domain and Path of cookies. Apache calls it
// ProxyPassReverse, nginx proxy_redirect.

import (
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Reverse rewrites the places in the headers of responses. In each list the
// first rule that matches holds. What none matches is rewritten by itself, if
// Automatic and the back ends speak HTTP: the address of a back end becomes the
// site, and what is not within the mount is put there.
type Reverse struct {
	Automatic bool

	Location     []ReverseRule // of Location, Content-Location and Refresh: whole URLs, or paths
	CookieDomain []ReverseRule // of Set-Cookie; without a leading dot
	CookiePath   []ReverseRule
	CookieFlags  []ReverseRule // by the names of cookies: what To is of, see cookie_flags.go
}

// ReverseRule is one of Reverse.
type ReverseRule struct {
	// From is the beginning of a URL or path, up to a place where a part of it
	// ends; a Domain is to be equal to it.
	From string

	// Regexp is in place of From: what it matches is replaced as a whole, To
	// naming its groups ($1).
	Regexp *regexp.Regexp

	To string // "" drops a Domain
}

// reverse is a Reverse at its place.
type reverse struct {
	Reverse
	mount string
	own   []string // addresses of the back ends, "host:port"
	hosts []string // their hosts
}

func newReverse(c *Reverse, mount string, servers []Server) *reverse {
	// As it is written in a URL, and in an attribute of a cookie.
	mount = strings.ReplaceAll((&url.URL{Path: mount}).EscapedPath(), ";", "%3B")
	v := &reverse{Reverse: *c, mount: mount}
	for _, s := range servers {
		v.Automatic = v.Automatic && s.RoundTripper == nil // a program of a gateway protocol knows where it is
		if host, port, err := net.SplitHostPort(strings.ToLower(s.Address)); err == nil {
			v.own = append(v.own, net.JoinHostPort(host, port))
			v.hosts = append(v.hosts, host)
		}
	}
	return v
}

// apply rewrites the headers of a response to a request for host, which the
// back end was told as its own name, unless it was told another one.
func (v *reverse) apply(h http.Header, host string, told *Told) {
	if told != nil && told.Host != "" && v.Automatic {
		as := *v
		as.own = append(slices.Clone(v.own), strings.ToLower(told.Host))
		v = &as
	}
	for _, name := range [...]string{"Location", "Content-Location"} {
		for i, value := range h[name] {
			h[name][i] = v.location(value, host)
		}
	}
	for i, value := range h["Refresh"] {
		h["Refresh"][i] = v.refresh(value, host)
	}
	for i, value := range h["Set-Cookie"] {
		h["Set-Cookie"][i] = v.cookie(value)
	}
}

// location is a reference as the client shall have it. One that is relative to
// the request's path is right as it is.
func (v *reverse) location(value, host string) string {
	if to, ok := replaced(v.Location, value); ok {
		return to
	}
	if !v.Automatic {
		return value
	}
	scheme, authority, path, ok := parts(value)
	switch {
	case !ok:
		return value
	case authority == "":
		return v.within(path)
	case v.isOwn(scheme, authority):
		path = v.within(rooted(path))
		if strings.HasPrefix(path, "//") || strings.HasPrefix(path, `/\`) {
			return "/." + path // else it would lead to another host
		}
		return path
	case v.mount != "" && host != "" && strings.EqualFold(authority, host):
		return value[:len(value)-len(path)] + v.within(rooted(path))
	}
	return value
}

// parts takes a reference apart. Not ok: it is relative, of another scheme, or
// nothing that is safe to be changed. An authority of "" is a path's.
func parts(value string) (scheme, authority, path string, ok bool) {
	rest, found := value, false
	if scheme, rest, found = strings.Cut(value, "://"); found {
		if scheme = strings.ToLower(scheme); scheme != "http" && scheme != "https" {
			return "", "", "", false
		}
	} else {
		scheme = ""
		if rest, found = strings.CutPrefix(value, "//"); !found {
			return "", "", value, strings.HasPrefix(value, "/") && !strings.HasPrefix(value, `/\`)
		}
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, path = rest[:end], rest[end:]
	return scheme, authority, path, authority != "" && !strings.ContainsAny(authority, "@\\ \t")
}

// rooted is the path of a URL that may have none.
func rooted(path string) string {
	if strings.HasPrefix(path, "/") {
		return path
	}
	return "/" + path
}

// within is a path that begins with "/" and is within the mount.
func (v *reverse) within(path string) string {
	if v.mount == "" {
		return path
	}
	if rest, ok := strings.CutPrefix(path, v.mount); ok && (rest == "" || strings.IndexByte("/?#", rest[0]) >= 0) {
		return path
	}
	return v.mount + path
}

// isOwn reports whether an authority is a back end's address.
func (v *reverse) isOwn(scheme, authority string) bool {
	authority = strings.ToLower(authority)
	ports := []string{"80", "443"}
	switch scheme {
	case "http":
		ports = ports[:1]
	case "https":
		ports = ports[1:]
	}
	for _, own := range v.own {
		if own == authority {
			return true
		}
		for _, port := range ports {
			if own == authority+":"+port {
				return true
			}
		}
	}
	return false
}

// refreshURL finds the reference in a Refresh header, as browsers do (HTML,
// "shared declarative refresh steps").
var refreshURL = regexp.MustCompile(`(?i)^[ \t]*[0-9.]+[ \t]*[;,][ \t]*url[ \t]*=[ \t]*`)

func (v *reverse) refresh(value, host string) string {
	before := refreshURL.FindString(value)
	if before == "" {
		return value
	}
	to, after := value[len(before):], ""
	if to != "" && (to[0] == '"' || to[0] == '\'') {
		before += to[:1]
		if end := strings.IndexByte(to[1:], to[0]); end >= 0 {
			to, after = to[1:1+end], to[1+end:]
		} else {
			to = to[1:]
		}
	}
	return before + v.location(to, host) + after
}

// cookie rewrites a Set-Cookie header.
func (v *reverse) cookie(value string) string {
	if len(v.CookieFlags) == 0 {
		return v.cookiePlace(value)
	}
	return v.cookieFlags(v.cookiePlace(value))
}

// cookiePlace rewrites the Domain and Path of a cookie. One whose name begins with
// __Host- has no Domain and the path "/", by its name.
func (v *reverse) cookiePlace(value string) string {
	pair, attributes, ok := strings.Cut(value, ";")
	if !ok || strings.HasPrefix(strings.ToLower(strings.TrimSpace(pair)), "__host-") {
		return value
	}
	var b strings.Builder
	b.WriteString(pair)
	changed := false
	for attribute := range strings.SplitSeq(attributes, ";") {
		name, text, _ := strings.Cut(attribute, "=")
		text = strings.Trim(text, " \t")
		to := text
		switch strings.ToLower(strings.Trim(name, " \t")) {
		case "domain":
			if to = v.domain(text); to == "" && text != "" {
				changed = true
				continue
			}
		case "path":
			to = v.path(text)
		}
		b.WriteByte(';')
		if to == text {
			b.WriteString(attribute)
			continue
		}
		changed = true
		b.WriteString(name + "=" + to)
	}
	if !changed {
		return value
	}
	return b.String()
}

func (v *reverse) domain(domain string) string {
	bare := strings.ToLower(strings.TrimPrefix(domain, "."))
	for i := range v.CookieDomain {
		r := &v.CookieDomain[i]
		if r.Regexp == nil && strings.EqualFold(strings.TrimPrefix(r.From, "."), bare) {
			return r.To
		}
		if to, ok := r.expand(bare); ok {
			return to
		}
	}
	if v.Automatic {
		for _, host := range v.hosts {
			if host == bare {
				return "" // of the site alone, as it was of the back end
			}
		}
	}
	return domain
}

func (v *reverse) path(path string) string {
	if to, ok := replaced(v.CookiePath, path); ok {
		return to
	}
	if !v.Automatic || v.mount == "" || !strings.HasPrefix(path, "/") {
		return path
	}
	if path == "/" {
		return v.mount // which matches the mount itself as well (RFC 6265, section 5.1.4)
	}
	return v.within(path)
}

// replaced applies the first rule that matches.
func replaced(rules []ReverseRule, value string) (string, bool) {
	for i := range rules {
		r := &rules[i]
		if r.Regexp == nil {
			if rest, ok := strings.CutPrefix(value, r.From); ok && (rest == "" || strings.HasSuffix(r.From, "/") || strings.IndexByte("/?#:", rest[0]) >= 0) {
				return r.To + rest, true
			}
			continue
		}
		if to, ok := r.expand(value); ok {
			return to, true
		}
	}
	return "", false
}

func (r *ReverseRule) expand(value string) (string, bool) {
	if r.Regexp == nil {
		return "", false
	}
	groups := r.Regexp.FindStringSubmatchIndex(value)
	if groups == nil {
		return "", false
	}
	return string(r.Regexp.ExpandString(nil, r.To, value, groups)), true
}
