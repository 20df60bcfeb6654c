package cache

// What a stored response is found by.

import (
	"net/http"
	"net/url"
	"path"
	"strings"
)

// appendKey appends what a request is told from others by, where the rules have
// no text of their own: scheme, host and port as the client has named them, and
// path and query, byte for byte. Two spellings of one path are two keys: an app
// may answer them unlike each other, and one must not take the other's place.
func appendKey(b []byte, r *http.Request) []byte {
	if r.TLS != nil {
		b = append(b, "https://"...)
	} else {
		b = append(b, "http://"...)
	}
	b = appendHost(b, r.Host, r.TLS != nil)
	uri := r.RequestURI
	if !strings.HasPrefix(uri, "/") {
		return append(b, r.URL.RequestURI()...)
	}
	b = append(b, uri...)
	if !spells(uri, r.URL) { // it was rewritten
		if target := r.URL.RequestURI(); target != uri {
			b = append(append(b, ' '), target...)
		}
	}
	return b
}

// spells says whether a request's target is this URL, where that is seen
// without making its text.
func spells(uri string, u *url.URL) bool {
	rest, ok := strings.CutPrefix(uri, u.Path)
	if !ok {
		return false
	}
	return rest == "" && u.RawQuery == "" || rest != "" && rest[0] == '?' && rest[1:] == u.RawQuery
}

// appendHost appends a host in lower case, without the port that its scheme has
// anyway.
func appendHost(b []byte, host string, secure bool) []byte {
	if secure {
		host = strings.TrimSuffix(host, ":443")
	} else {
		host = strings.TrimSuffix(host, ":80")
	}
	for i := range len(host) {
		c := host[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	return b
}

// Place is where a response is found by people, who purge it: host, decoded
// path without dots and doubled slashes, and query. All spellings of a URL, and
// both schemes, are one Place.
func Place(host, target string) string {
	b := appendHost(nil, host, strings.HasSuffix(host, ":443"))
	p, query, hasQuery := strings.Cut(target, "?")
	if decoded, err := url.PathUnescape(p); err == nil {
		p = decoded
	}
	folder := strings.HasSuffix(p, "/")
	if p = path.Clean("/" + p); folder && p != "/" {
		p += "/"
	}
	b = append(b, p...)
	if hasQuery {
		b = append(append(b, '?'), query...)
	}
	return string(b)
}

// placeOf is the Place of a request: of what its client has asked for.
func placeOf(r *http.Request) string {
	target := r.RequestURI
	if !strings.HasPrefix(target, "/") {
		target = r.URL.RequestURI()
	}
	return Place(r.Host, target)
}

// placeFrom is the Place of a reference in a response, if it is of the same
// host (RFC 9111, 4.4).
func placeFrom(r *http.Request, reference string) (string, bool) {
	u, err := url.Parse(strings.TrimSpace(reference))
	if err != nil || u.Opaque != "" {
		return "", false
	}
	base := &url.URL{Scheme: "http", Host: r.Host}
	if r.TLS != nil {
		base.Scheme = "https"
	}
	if t, err := url.ParseRequestURI(r.RequestURI); err == nil {
		base.Path, base.RawPath = t.Path, t.RawPath
	}
	u = base.ResolveReference(u)
	if u.Scheme != base.Scheme {
		return "", false
	}
	secure := r.TLS != nil
	if string(appendHost(nil, u.Host, secure)) != string(appendHost(nil, r.Host, secure)) {
		return "", false
	}
	return Place(u.Host, u.RequestURI()), true
}

// overriding are headers by which some frameworks take another path, host or
// method for the request's: a response to a request with one of them is nobody
// else's.
var overriding = []string{
	"X-Original-Url", "X-Rewrite-Url", "X-Original-Uri", "X-Http-Method-Override", "X-Http-Method", "X-Method-Override",
	"X-Host", "X-Original-Host", "X-Http-Host-Override", "X-Forwarded-Path", "X-Forwarded-Prefix", "X-Forwarded-Scheme", "X-Forwarded-Server",
}

// staticTypes are what files with these endings are.
var staticTypes = map[string]bool{
	"css": true, "js": true, "mjs": true, "map": true, "png": true, "jpg": true, "jpeg": true, "gif": true, "webp": true, "avif": true,
	"ico": true, "woff": true, "woff2": true, "ttf": true, "otf": true, "mp4": true, "webm": true, "mp3": true, "pdf": true, "zip": true,
}

// deceives says whether a page is called like a file of another kind:
// "/account/x.css" that answers with the account. A cache must not believe the
// name (web cache deception).
func deceives(path string, h http.Header) bool {
	i := strings.LastIndexByte(path, '.')
	if i < 0 || len(path)-i > 7 || !staticTypes[strings.ToLower(path[i+1:])] {
		return false
	}
	t := strings.ToLower(h.Get("Content-Type"))
	return strings.HasPrefix(t, "text/html") || strings.HasPrefix(t, "application/json") || strings.HasPrefix(t, "application/xhtml")
}
