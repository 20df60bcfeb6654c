package server

// What HTTP/2 and HTTP/3 let through and HTTP/1.1 does not.

import (
	"net/http"
	"strings"
)

// strict refuses requests whose heads contradict themselves, which net/http and
// quic-go hand on, and reports whether this one may go on. A Host header beside
// :authority must say the same (RFC 9113, section 8.3.1), and is dropped then:
// an app would see it twice. This is no proxy that connects: CONNECT, and targets
// that are no paths, are refused; so are TRACE, and methods in lower case, which some
// frameworks take for what they are in capitals.
func strict(w http.ResponseWriter, r *http.Request) bool {
	hosts, beside := r.Header["Host"]
	if beside {
		delete(r.Header, "Host")
	}
	switch {
	case len(hosts) > 1, len(hosts) == 1 && hosts[0] != r.Host:
	case r.Host == "" || strings.ContainsFunc(r.Host, notOfHost):
	case r.Method == http.MethodConnect || r.Method == http.MethodTrace || r.Method == "" || strings.ContainsFunc(r.Method, notOfMethod):
	case !strings.HasPrefix(r.RequestURI, "/") && r.RequestURI != "*":
	case strings.ContainsFunc(r.RequestURI, notOfTarget):
	default:
		return true
	}
	http.Error(w, "bad request", http.StatusBadRequest)
	return false
}

// notOfHost is every character that no authority holds (RFC 3986, section
// 3.2.2), and the "@" of one that names a user.
func notOfHost(c rune) bool {
	return c <= ' ' || c >= 0x7f || strings.ContainsRune("@/\\\"<>^`{|}#?", c)
}

// notOfMethod is every character that no token holds (RFC 9110, section 5.6.2), and
// the letters that no method has.
func notOfMethod(c rune) bool {
	return 'a' <= c && c <= 'z' || c <= ' ' || c >= 0x7f || strings.ContainsRune("\"(),/:;<=>?@[\\]{}", c)
}

// notOfTarget is what a request line could not hold.
func notOfTarget(c rune) bool { return c <= ' ' || c == 0x7f }
