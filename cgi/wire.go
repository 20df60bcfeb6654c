package cgi

// The encoding of a request that both sides share: an environment, and the
// words of an indexed query.

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"millrace/gateway"
)

// appendEnviron appends the parameters that may be variables to env, and
// returns those that may not be. Of a name that comes twice the last holds.
func appendEnviron(env []string, params []gateway.Param, may func(name string) bool) (out, refused []string, err error) {
	seen := make(map[string]int, len(params))
	for _, p := range params {
		if !may(p.Name) {
			if !slices.Contains(refused, p.Name) {
				refused = append(refused, p.Name)
			}
			continue
		}
		if strings.IndexByte(p.Value, 0) >= 0 {
			return nil, nil, fmt.Errorf("cgi: NUL in the value of %s, which an environment cannot hold: %w", p.Name, gateway.ErrTooLarge)
		}
		variable := p.Name + "=" + p.Value
		if i, ok := seen[p.Name]; ok {
			env[i] = variable
			continue
		}
		seen[p.Name] = len(env)
		env = append(env, variable)
	}
	return env, refused, nil
}

// fromEnviron returns the parameters of an environment.
func fromEnviron(env []string) []gateway.Param {
	params := make([]gateway.Param, 0, len(env))
	for _, variable := range env {
		if name, value, ok := strings.Cut(variable, "="); ok && name != "" { // Windows has "=C:=C:\dir"
			params = append(params, gateway.Param{Name: name, Value: value})
		}
	}
	return params
}

// requestNames and requestPrefixes are the variables that a request may set: a
// parameter of any other name could steer the loader or an interpreter
// (LD_PRELOAD, PERL5OPT, BASH_ENV, …), and may come from another machine's
// front server. Apache's suexec draws the same line.
var (
	requestPrefixes = []string{"HTTP_", "SSL_", "REDIRECT_", "SERVER_", "REMOTE_", "REQUEST_", "SCRIPT_", "AUTH_", "CONTENT_", "CONTEXT_", "DOCUMENT_", "PATH_", "QUERY_STRING"}
	requestNames    = []string{"GATEWAY_INTERFACE", "HTTPS", "ORIG_PATH_INFO", "ORIG_PATH_TRANSLATED", "ORIG_SCRIPT_FILENAME", "ORIG_SCRIPT_NAME", "UNIQUE_ID"}
)

// MayBeVariable reports whether a request may set a variable of this name in the
// environment of a program.
func MayBeVariable(name string) bool { return requestVariable(name) }

// requestVariable reports whether a request may set a variable of this name.
func requestVariable(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '_':
		default:
			return false
		}
	}
	if name == "HTTP_PROXY" { // HTTP clients inside the program obey it
		return false
	}
	return slices.Contains(requestNames, name) || slices.ContainsFunc(requestPrefixes, func(prefix string) bool {
		return strings.HasPrefix(name, prefix)
	})
}

// queryArgs returns the words of an indexed query (RFC 3875, section 4.4): of a
// GET or HEAD whose query holds no "=", parted at "+" and decoded. A query of
// which a word begins with "-" is none: programs would take it for an option
// (php-cgi's "?-s" showed sources for years, CVE-2012-1823).
func queryArgs(req *gateway.Request) []string {
	method, query := req.Param("REQUEST_METHOD"), req.Param("QUERY_STRING")
	if query == "" || method != "GET" && method != "HEAD" || strings.Contains(query, "=") {
		return nil
	}
	words := strings.Split(query, "+")
	for i, word := range words {
		decoded, err := url.PathUnescape(word)
		if err != nil || strings.HasPrefix(decoded, "-") || strings.IndexByte(decoded, 0) >= 0 {
			return nil
		}
		words[i] = decoded
	}
	return words
}

// headEnds reports whether b holds the empty line that ends a head. Its first
// from bytes were looked at before: a head that comes byte by byte must not
// cost the square of its size.
func headEnds(b []byte, from int) bool {
	for i := from; i < len(b); i++ {
		if b[i] != '\n' {
			continue
		}
		if i == 0 || b[i-1] == '\n' || b[i-1] == '\r' && (i == 1 || b[i-2] == '\n') {
			return true
		}
	}
	return false
}
