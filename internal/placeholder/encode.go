package placeholder

// Texts that become URLs and lines of headers: what a value may not be.

import (
	"bytes"
	"net/http"
	"strings"
)

// The bytes that stand for themselves: in a path (RFC 3986, section 3.3), in a
// value of a query, in a host, in a path and query that a client has encoded, in
// any place of a URL.
var (
	pathByte  = byteSet("-._~!$&'()*+,;=:@/")
	queryByte = byteSet("-._~!$'()*,:@/")
	hostByte  = byteSet("-._~:[]")
	sentByte  = byteSet("-._~!$&'()*+,;=:@/?%[]")
	urlByte   = byteSet("-._~!$&'()*+,;=:@/?%#[]")
)

func byteSet(others string) *[256]bool {
	var set [256]bool
	for c := range 256 {
		set[c] = '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
	}
	for i := range len(others) {
		set[others[i]] = true
	}
	return &set
}

// AppendURL appends the text as a URL, or as the path and query of one. Values
// are encoded: before the text's first "?" as of a path, behind it as of a
// query, so that none ends the part that it stands in. {uri}, {request_uri}, {query} and
// the groups of a regexp for the URI are encoded already, and what a map gives is written by whoever wrote the text:
// they may hold what a URL may. Where {query} is the last and empty, the "?" or
// "&" before it goes as well. Of the fixed text, what no URL can hold is
// encoded.
func (t *Text) AppendURL(dst []byte, r *http.Request) []byte { return t.AppendURLWith(dst, r, nil) }

// AppendURLWith is AppendURL for a text whose names of Scope.Extra want to be
// given something.
func (t *Text) AppendURLWith(dst []byte, r *http.Request, with any) []byte {
	start, inQuery := len(dst), false
	dst = t.appendURL(dst, r, with, &inQuery)
	if n := len(dst); n > start && len(t.parts) > 1 && t.parts[len(t.parts)-1].what == query && (dst[n-1] == '?' || dst[n-1] == '&') && r.URL.RawQuery == "" {
		dst = dst[:n-1]
	}
	return dst
}

// appendURL appends the parts of a URL. inQuery is whether a "?" was before them.
func (t *Text) appendURL(dst []byte, r *http.Request, with any, inQuery *bool) []byte {
	for i := range t.parts {
		p := &t.parts[i]
		from, set := len(dst), pathByte
		switch p.what {
		case mapped:
			dst = p.table.value(&dst, r, with).appendURL(dst, r, with, inQuery)
			continue
		case fixed:
			dst = append(dst, p.text...)
		default:
			dst = p.append(dst, r, with)
		}
		switch {
		case p.what == fixed || p.encoded(r):
			set = urlByte
			if p.what != fixed {
				set = sentByte
			}
			*inQuery = *inQuery || bytes.IndexByte(dst[from:], '?') >= 0
		case p.what == host || p.what == header && p.text == "Host":
			set = hostByte
		case *inQuery:
			set = queryByte
		}
		dst = encode(dst, from, set)
	}
	return dst
}

// encode encodes what is in dst from a place on, but for the bytes of the set.
func encode(dst []byte, from int, plain *[256]bool) []byte {
	more := 0
	for _, c := range dst[from:] {
		if !plain[c] {
			more += 2
		}
	}
	if more == 0 {
		return dst
	}
	const hex = "0123456789ABCDEF"
	in := len(dst) - 1
	dst = append(dst, make([]byte, more)...)
	for out := len(dst) - 1; in >= from; in-- {
		c := dst[in]
		if plain[c] {
			dst[out] = c
			out--
			continue
		}
		dst[out-2], dst[out-1], dst[out] = '%', hex[c>>4], hex[c&15]
		out -= 3
	}
	return dst
}

// OwnStart reports whether what the text begins with is its author's word, not
// a client's: a scheme, or a map's value. Only such a URL may name another
// host.
func (t *Text) OwnStart() bool {
	if len(t.parts) == 0 {
		return false
	}
	switch p := &t.parts[0]; p.what {
	case fixed:
		return strings.HasPrefix(p.text, "//") || hasScheme(p.text)
	case scheme:
		return len(t.parts) > 1 && strings.HasPrefix(t.parts[1].text, "://") && t.parts[1].what == fixed
	case mapped:
		return !p.table.foreign
	}
	return false
}

// hasScheme reports whether a text begins like "https:".
func hasScheme(s string) bool {
	i := strings.IndexByte(s, ':')
	return i > 0 && strings.IndexFunc(s[:i], func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '+' && c != '-' && c != '.'
	}) < 0
}

// AppendLine appends the text as a part of a header: each control character of
// a value, which could end the line, is a blank.
func (t *Text) AppendLine(dst []byte, r *http.Request) []byte { return t.AppendLineWith(dst, r, nil) }

// AppendLineWith is AppendLine for a text whose names of the Scope want to be given
// something.
func (t *Text) AppendLineWith(dst []byte, r *http.Request, with any) []byte {
	from := len(dst)
	dst = t.AppendWith(dst, r, with)
	for i, c := range dst[from:] {
		if c < 0x20 || c == 0x7f {
			dst[from+i] = ' '
		}
	}
	return dst
}

// LeadingMap is the map that the text begins with, as a text of its own; nil if
// it begins with something else.
func (t *Text) LeadingMap() *Text {
	if len(t.parts) == 0 || t.parts[0].what != mapped {
		return nil
	}
	return &Text{parts: t.parts[:1], needs: t.parts[0].table.needs}
}

// Host is the host that a text with OwnStart names itself and a client's value
// follows: "shop.example" of "https://shop.example{path}". "" where the value is
// a part of the host by what stands around it ("https://{1}.shop.example").
func (t *Text) Host() string {
	at := 0
	if len(t.parts) > 0 && (t.parts[0].what == scheme || t.parts[0].what == mapped) {
		at = 1
	}
	if len(t.parts) < at+2 || t.parts[at].what != fixed {
		return ""
	}
	switch t.parts[at+1].what {
	case path, uri, requestURI, query, normalQuery, queryValue, header, cookie, user, authValue, group, namedGroup:
	default:
		return ""
	}
	_, host, ok := strings.Cut(t.parts[at].text, "//")
	if !ok || host == "" || strings.ContainsAny(host, "/?#") || strings.IndexByte(".-:@", host[len(host)-1]) >= 0 {
		return ""
	}
	if len(t.parts) > at+2 && t.parts[at+2].what == fixed && strings.IndexByte("/?#", t.parts[at+2].text[0]) < 0 {
		return ""
	}
	return host
}
