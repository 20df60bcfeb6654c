package h1

// This file: the request line (RFC 9112, section 3), and what a host may look
// like.

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"millrace/internal/field"
)

// methods are those that need no string of their own.
var methods = [...]string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"}

func parseLine(line string, r *http.Request, u *url.URL) error {
	method, rest, ok := strings.Cut(line, " ")
	if !ok || !field.IsToken(method) {
		return bad("no method")
	}
	target, proto, ok := strings.Cut(rest, " ")
	if !ok {
		return bad("a request line without a version")
	}
	if err := parseProto(proto, r); err != nil {
		return err
	}
	r.Method, r.RequestURI = method, target
	if i := slices.Index(methods[:], method); i >= 0 {
		r.Method = methods[i]
	} else if err := oddMethod(method); err != nil {
		return err
	}
	if target == "" || !all(target, queryByte) {
		return bad("a character in the request target that has no place there")
	}
	return parseTarget(target, r, u)
}

// oddMethod refuses methods that mean another to some. To HTTP "delete" is not DELETE;
// to frameworks that write methods in capitals by themselves it is (Django), and a
// condition that was to keep DELETE out does not hold for it. TRACE would have a back
// end repeat what the client sent, with the cookies that no script may read.
func oddMethod(method string) error {
	switch {
	case strings.ContainsFunc(method, func(c rune) bool { return 'a' <= c && c <= 'z' }):
		return refuse(http.StatusNotImplemented, "a method in lower case")
	case method == http.MethodTrace:
		return refuse(http.StatusNotImplemented, "TRACE: nothing is repeated")
	}
	return nil
}

// parseProto takes HTTP/1.x, of which we know 1.0 and 1.1; a later minor
// version is compatible (RFC 9110, 2.5).
func parseProto(proto string, r *http.Request) error {
	switch proto {
	case "HTTP/1.1":
		r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.1", 1, 1
		return nil
	case "HTTP/1.0":
		r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.0", 1, 0
		return nil
	}
	if len(proto) != len("HTTP/1.1") || proto[:5] != "HTTP/" || proto[6] != '.' || !isDigit(proto[5]) || !isDigit(proto[7]) {
		return bad("a malformed version")
	}
	if proto[5] != '1' {
		return refuse(http.StatusHTTPVersionNotSupported, "an unsupported version")
	}
	r.Proto, r.ProtoMajor, r.ProtoMinor = proto, 1, int(proto[7]-'0')
	return nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// parseTarget reads one of the forms of a request target: origin ("/path"),
// absolute ("http://host/path") or asterisk ("*", of OPTIONS). The fourth is
// of CONNECT, for proxies.
func parseTarget(target string, r *http.Request, u *url.URL) error {
	switch {
	case r.Method == http.MethodConnect:
		return refuse(http.StatusNotImplemented, "CONNECT: this is no proxy")
	case target == "*":
		if r.Method != http.MethodOptions {
			return bad("the target * of a method other than OPTIONS")
		}
		u.Path = target
		r.URL = u
		return nil
	case target[0] == '/':
		path, query := field.Cut(target, '?')
		if all(path, plainByte) {
			u.Path, u.RawQuery = path, query
			u.ForceQuery = len(path)+1 == len(target)
			r.URL = u
			return nil
		}
	case !hasScheme(target, "http://") && !hasScheme(target, "https://"):
		return bad("a request target that is no path")
	}
	parsed, err := url.ParseRequestURI(target)
	if err != nil {
		return bad("a malformed request target")
	}
	if parsed.Scheme != "" {
		if parsed.User != nil || parsed.Host == "" {
			return bad("a request target without a plain host")
		}
		if err := checkHost(parsed.Host); err != nil {
			return err
		}
	}
	*u = *parsed
	r.URL = u
	return nil
}

func hasScheme(target, scheme string) bool {
	return len(target) >= len(scheme) && strings.EqualFold(target[:len(scheme)], scheme)
}

// checkHost takes a name, an IPv4 address, or an IPv6 address in brackets, with
// or without a port.
func checkHost(host string) error {
	name := host
	switch i := strings.LastIndexByte(host, ':'); {
	case host == "":
		return bad("an empty Host")
	case host[0] == '[':
		end := strings.IndexByte(host, ']')
		if end < len("[::") || !isIPv6(host[1:end]) {
			return bad("a bad address in Host")
		}
		if port := host[end+1:]; port != "" && (port[0] != ':' || !isPort(port[1:])) {
			return bad("a bad port in Host")
		}
		return nil
	case i >= 0:
		name = host[:i]
		if !isPort(host[i+1:]) {
			return bad("a bad port in Host")
		}
	}
	if name == "" || !all(name, hostByte) {
		return bad("a bad character in Host")
	}
	if name[0] == '.' || strings.Contains(name, "..") { // "..", where a host names a folder
		return bad("an empty label in Host")
	}
	return nil
}

// isPort takes an empty port too, as RFC 3986 does.
func isPort(s string) bool {
	n := 0
	for i := range len(s) {
		if !isDigit(s[i]) || i >= 5 {
			return false
		}
		n = 10*n + int(s[i]-'0')
	}
	return n <= 65535
}

// isIPv6 is as strict as a server that does not use the address needs to be.
func isIPv6(s string) bool {
	for i := range len(s) {
		if classes[s[i]]&hexByte == 0 && s[i] != ':' && s[i] != '.' {
			return false
		}
	}
	return strings.IndexByte(s, ':') >= 0
}
