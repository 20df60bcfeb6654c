package placeholder

// What the names stand for, per request.

import (
	"net/http"
	"net/url"
	"strings"
)

// Where package requestid keeps a request's id, and when it came.
const (
	requestIDHeader    = "X-Request-Id"
	requestStartHeader = "X-Request-Start"
)

// Append appends the text, values as they are.
func (t *Text) Append(dst []byte, r *http.Request) []byte { return t.AppendWith(dst, r, nil) }

// AppendWith is Append for a text whose names of Scope.Extra want to be given
// something.
func (t *Text) AppendWith(dst []byte, r *http.Request, with any) []byte {
	for i := range t.parts {
		if p := &t.parts[i]; p.what == fixed {
			dst = append(dst, p.text...)
		} else {
			dst = p.append(dst, r, with)
		}
	}
	return dst
}

// Expand is Append as a string. One that is the same for every request takes
// no memory.
func (t *Text) Expand(r *http.Request) string {
	if s, ok := t.Constant(); ok {
		return s
	}
	return string(t.Append(nil, r))
}

func (p *part) append(dst []byte, r *http.Request, with any) []byte {
	switch p.what {
	case uri:
		return appendURI(dst, r)
	case requestURI:
		return append(dst, sentURI(r)...)
	case queryValue:
		return appendQueryValue(dst, r.URL.RawQuery, p.text)
	case header:
		return appendHeader(dst, r, p.text)
	case realPath:
		return append(dst, p.real.now()...)
	case response:
		if to, ok := with.(Responded); ok {
			dst = appendValues(dst, to.ResponseHeader()[p.text])
		}
		return dst
	case mapped:
		return p.table.append(dst, r, with)
	case extra:
		return p.value(dst, r, with)
	}
	return append(dst, p.plain(r)...)
}

func appendURI(dst []byte, r *http.Request) []byte {
	dst = append(dst, escapedPath(r.URL)...)
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		dst = append(append(dst, '?'), r.URL.RawQuery...)
	}
	return dst
}

// URI is {uri} for what compares it: what needs no encoding is as it is, so that
// /%61 is /a, an encoded slash is one, and what needs one has it in capitals.
func URI(r *http.Request) string {
	dst := normal(make([]byte, 0, len(r.URL.Path)+len(r.URL.RawQuery)+1), escapedPath(r.URL), true)
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		dst = normal(append(dst, '?'), r.URL.RawQuery, false)
	}
	return string(dst)
}

// normal appends a part of a URI with the same encoding however a client spells it
// (RFC 3986, section 6.2.2).
func normal(dst []byte, text string, isPath bool) []byte {
	const digits = "0123456789ABCDEF"
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '%' && i+2 < len(text) {
			if of, ok := fromHex(text[i+1], text[i+2]); ok {
				i += 2
				if unreserved(of) || of == '/' && isPath {
					dst = append(dst, of)
				} else {
					dst = append(dst, '%', digits[of>>4], digits[of&15])
				}
				continue
			}
		}
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\"%<>[\\]^`{|}", c) >= 0 {
			dst = append(dst, '%', digits[c>>4], digits[c&15])
			continue
		}
		dst = append(dst, c)
	}
	return dst
}

// unreserved is RFC 3986, section 2.3.
func unreserved(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || c == '-' || c == '.' || c == '_' || c == '~'
}

func fromHex(high, low byte) (byte, bool) {
	const digits = "0123456789abcdef"
	h, l := strings.IndexByte(digits, high|0x20), strings.IndexByte(digits, low|0x20)
	return byte(h<<4 | l&15), h >= 0 && l >= 0
}

// plain is a value that is somewhere as it is.
func (p *part) plain(r *http.Request) string {
	switch p.what {
	case path:
		return r.URL.Path
	case query:
		return r.URL.RawQuery
	case normalQuery:
		return string(normal(nil, r.URL.RawQuery, false))
	case cookie:
		if c, err := r.Cookie(p.text); err == nil {
			return c.Value
		}
	case host:
		name, _ := splitHost(r.Host)
		return lower(strings.TrimSuffix(name, "."))
	case port:
		if _, n := splitHost(r.Host); n != "" {
			return n
		}
		if r.TLS != nil {
			return "443"
		}
		return "80"
	case method:
		return r.Method
	case scheme:
		if r.TLS != nil {
			return "https"
		}
		return "http"
	case client:
		return Client(r)
	case user:
		if f := FoundOf(r); f != nil {
			return f.User
		}
	case authValue:
		return FoundOf(r).auth(p.text)
	case requestID:
		if v := r.Header[requestIDHeader]; len(v) > 0 {
			return v[0]
		}
	case overTLS:
		if r.TLS != nil {
			return p.tls(r.TLS)
		}
	case group:
		return FoundOf(r).group(p.index)
	case namedGroup:
		return FoundOf(r).named(p.text).Value
	}
	return ""
}

// sentURI is the path and the query as the client sent them; of the absolute
// form (RFC 9112, section 3.2.2) what follows the host.
func sentURI(r *http.Request) string {
	uri := r.RequestURI
	if _, after, ok := strings.Cut(uri, "://"); ok && !strings.HasPrefix(uri, "/") {
		at := strings.IndexAny(after, "/?")
		if at < 0 {
			return "/"
		}
		uri = after[at:]
	}
	if uri == "" || uri[0] == '?' {
		return "/" + uri
	}
	return uri
}

// Client is the client's address without its port; "" over a Unix socket.
func Client(r *http.Request) string {
	name, _ := splitHost(r.RemoteAddr)
	if name == "@" {
		return ""
	}
	return strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
}

// lower is a host in lower case, as ASCII has it: strings.ToLower would change
// bytes that are no text.
func lower(host string) string {
	if strings.IndexFunc(host, func(c rune) bool { return 'A' <= c && c <= 'Z' }) < 0 {
		return host
	}
	b := []byte(host)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// splitHost parts a host and a port; an IPv6 address keeps its brackets.
func splitHost(s string) (name, port string) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.HasPrefix(s, "[") && strings.IndexByte(s, ']') > i || !strings.HasPrefix(s, "[") && strings.IndexByte(s, ':') < i {
		return s, ""
	}
	return s[:i], s[i+1:]
}

// escapedPath is a URL's path as the client sent it.
func escapedPath(u *url.URL) string {
	if u.RawPath == "" && isPlain(u.Path) {
		return u.Path
	}
	return u.EscapedPath()
}

// isPlain reports whether a path is the same when it is encoded.
func isPlain(path string) bool {
	for i := range len(path) {
		if !pathByte[path[i]] {
			return false
		}
	}
	return true
}

// appendHeader appends the values of a header. Go keeps the Host apart.
func appendHeader(dst []byte, r *http.Request, name string) []byte {
	if name == "Host" {
		return append(dst, r.Host...)
	}
	return appendValues(dst, r.Header[name])
}

func appendValues(dst []byte, values []string) []byte {
	for i, v := range values {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = append(dst, v...)
	}
	return dst
}

// QueryValue returns the first value of a name in a query, decoded, and
// whether there is one. It takes what net/url takes: no part with a ";" or a
// malformed escape.
func QueryValue(query, name string) (string, bool) {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		key, value, _ := strings.Cut(pair, "=")
		if strings.Contains(pair, ";") {
			continue
		}
		if key != name {
			if !strings.ContainsAny(key, "%+") {
				continue
			}
			if decoded, err := url.QueryUnescape(key); err != nil || decoded != name {
				continue
			}
		}
		if value, err := url.QueryUnescape(value); err == nil {
			return value, true
		}
	}
	return "", false
}

func appendQueryValue(dst []byte, query, name string) []byte {
	value, _ := QueryValue(query, name)
	return append(dst, value...)
}
