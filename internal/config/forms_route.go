package config

// Forms of what sites and routes say of requests.

import (
	"fmt"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

var (
	formMethods         = form{takes: `methods in capitals, like "GET"`, some: true, check: checkHTTPMethod}
	formCondition       = form{takes: `a table of names and values: { lang = "de" }; "~…" is a regexp, "*" any`, empty: true, check: checkCondition, name: checkQueryName}
	formHeaderCondition = form{takes: `a table of names and values: { Accept = "~json" }; "~…" is a regexp, "*" any`, empty: true, check: checkCondition, name: checkToken}
	formNetworks        = form{takes: `addresses and networks, like "192.0.2.1" or "192.0.2.0/24"`, some: true, check: checkAllow}
	formValueCondition  = form{takes: `a table of texts with placeholders and values: { "{scheme}" = "https" }; "~…" is a regexp, "*" any`, empty: true, check: checkCondition, name: checkConditionText, textNames: true}
	formExists          = form{takes: `a table of paths with placeholders: { "/srv/www{path}" = "file" }, or "folder", "any", "none"`, check: checkKind, name: checkExistsPath, textNames: true}
	formRouteGroup      = form{takes: "a name of letters, digits, \"_\" and \"-\"", check: checkRouteGroup}
	formRewrite         = form{takes: `a path that begins with "/" or a placeholder, like "/new/{1}"`, texts: true, check: checkRewrite}
	formRedirect        = form{takes: `a URL or a path, like "https://{host}{uri}"`, texts: true, check: checkURLText}
	formRedirectStatus  = form{takes: "301, 302, 303, 307 or 308", number: checkRedirectStatus}
	formRespondStatus   = form{takes: "a status from 200 to 599", number: checkRespondStatus}
	formText            = form{takes: "a text, with placeholders like {path}; {{ is a brace", empty: true, texts: true}
	formMapKind         = form{takes: `"text", "networks" or "split"`, check: checkMapKind}
	formMediaType       = form{takes: `a media type, like "text/html; charset=utf-8"`, check: checkMediaType}
	formHeaders         = form{takes: `a table of headers: { X-Robots-Tag = "noindex" }`, empty: true, texts: true, check: checkHeaderValue, name: checkResponseHeader}
	formHeaderChanges   = form{takes: formHeaders.takes, empty: true, texts: true, response: true, check: checkHeaderValue, name: checkResponseHeader}
	formHeaderNames     = form{takes: `names of headers, like "Server"`, check: checkHeaderName}
	formLines           = form{takes: `a table of texts: { "a.example.com" = "a", "~^b" = "b" }`, empty: true, texts: true, name: checkMapKey}
	formRouteParams     = form{takes: `a table of strings: { SITE_LANG = "{map.lang}" }`, empty: true, texts: true, name: checkParam}
	formTryFiles        = form{takes: `paths with placeholders; the last is a path to go on with, "@GROUP", or "=404"`, some: true, repeats: true, texts: true, check: checkTryFile}
	formErrorPages      = form{takes: `a table: "404" or "5xx" to a file, a path that begins with "/", "@GROUP" or a URL; "=200 " in front is the status`, check: checkErrorPage, name: checkErrorStatus, texts: true, names: []string{"status"}}
)

func checkHTTPMethod(_, text string) (string, *refusal) {
	switch {
	case !isToken(text):
		return "", refuse("is not a method")
	case strings.ToUpper(text) != text:
		return "", &refusal{"is not in capitals", fmt.Sprintf("write %q: methods differ by case", strings.ToUpper(short(text)))}
	}
	return text, nil
}

func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

func checkToken(text string) (string, *refusal) {
	if !isToken(text) {
		return "", refuse("is not a name that HTTP knows")
	}
	return text, nil
}

// checkResponseHeader refuses what says where a response ends: another value than
// the server's own cuts the response, or has the client wait for more.
func checkResponseHeader(text string) (string, *refusal) {
	name, bad := checkToken(text)
	switch textproto.CanonicalMIMEHeaderKey(name) {
	case "Content-Length", "Transfer-Encoding":
		return "", &refusal{"says where the response ends", "leave it out; millrace sends the right one by itself"}
	}
	return name, bad
}

func checkHeaderName(_, text string) (string, *refusal) {
	name, bad := checkToken(text)
	return textproto.CanonicalMIMEHeaderKey(name), bad
}

func checkQueryName(text string) (string, *refusal) { return text, nil }

// checkCondition compiles what follows a "~".
func checkCondition(dir, text string) (string, *refusal) {
	expr, isRegexp := strings.CutPrefix(text, "~")
	if !isRegexp {
		return text, nil
	}
	_, bad := checkRegexp(dir, expr)
	return text, bad
}

func checkMapKind(_, text string) (string, *refusal) {
	return oneOf(text, "is no kind of table", "text", "networks", "split")
}

func checkMapKey(text string) (string, *refusal) { return checkCondition("", text) }

// checkURLText looks at the fixed parts of a text that becomes a URL; what
// placeholders give is encoded.
func checkURLText(_, text string) (string, *refusal) {
	for i := range len(text) {
		switch c := text[i]; {
		case c < 0x20 || c == 0x7f:
			return "", refuse("holds a control character")
		case c == '\\':
			return "", &refusal{`holds a "\"`, `browsers take it for a "/": write that`}
		case c == '%' && (i+2 >= len(text) || !isHex(text[i+1]) || !isHex(text[i+2])):
			return "", &refusal{`holds a "%" that begins no escape`, "write %25"}
		}
	}
	return text, nil
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func checkRewrite(dir, text string) (string, *refusal) {
	path, _, _ := strings.Cut(text, "?")
	switch {
	case strings.Contains(text, "://"):
		return "", &refusal{"is a URL", "a rewrite stays on this site; to send the client elsewhere use redirect"}
	case text[0] != '/' && text[0] != '{':
		return "", &refusal{`does not begin with "/"`, fmt.Sprintf("write %q", "/"+short(text))}
	case strings.Contains(text, "#"):
		return "", &refusal{`holds a "#"`, "browsers keep what follows it to themselves; write %23 for the character"}
	case strings.Contains(text, "$1"):
		return "", &refusal{"holds $1", "groups are written {1} here"}
	case hasDots(path):
		return "", refuse(`holds a segment "." or ".."`)
	}
	return checkURLText(dir, text)
}

func hasDots(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

// checkConditionText takes what some request has: a text without placeholders
// is the same for all of them.
func checkConditionText(text string) (string, *refusal) {
	if !strings.Contains(text, "{") {
		return "", &refusal{"has no placeholder: it is the same for every request", `write a text like "{scheme}" or "{map.NAME}"`}
	}
	return text, nil
}

func checkKind(_, text string) (string, *refusal) {
	return oneOf(text, "is no kind of file", "file", "folder", "any", "none")
}

func checkExistsPath(text string) (string, *refusal) {
	switch {
	case !strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "{"):
		return "", &refusal{"is not an absolute path", `write one like "/srv/www{path}"`}
	case hasDots(text):
		return "", refuse(`holds a segment "." or ".."`)
	}
	return text, nil
}

func checkRouteGroup(_, text string) (string, *refusal) {
	for i := range len(text) {
		c := text[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '_' && c != '-' {
			return "", refuse("is not the name of a group of routes")
		}
	}
	return text, nil
}

func checkTryFile(dir, text string) (string, *refusal) {
	if group, isGroup := strings.CutPrefix(text, "@"); isGroup {
		if group == "" {
			return "", refuse("names no group of routes")
		}
		_, bad := checkRouteGroup(dir, group)
		return text, bad
	}
	if code, isStatus := strings.CutPrefix(text, "="); isStatus {
		if n, err := strconv.Atoi(code); err != nil || n < 400 || n > 599 {
			return "", &refusal{"is not a status of an error", `write "=404"`}
		}
		return text, nil
	}
	return checkRewrite(dir, text)
}

func checkRedirectStatus(n int) *refusal {
	switch n {
	case 301, 302, 303, 307, 308:
		return nil
	}
	return refuse("is not the status of a redirect")
}

func checkRespondStatus(n int) *refusal {
	if n < 200 || n > 599 {
		return refuse("is not the status of a response")
	}
	return nil
}

func checkHeaderValue(_, text string) (string, *refusal) {
	if strings.ContainsFunc(text, func(c rune) bool { return c < 0x20 && c != '\t' || c == 0x7f }) {
		return "", refuse("holds a control character")
	}
	return text, nil
}

// checkErrorStatus takes "404", "4xx" and "5xx".
func checkErrorStatus(text string) (string, *refusal) {
	n, err := strconv.Atoi(text)
	switch {
	case text == "4xx" || text == "5xx":
	case err != nil || len(text) != 3 || n < 400 || n > 599:
		return "", &refusal{"is not the status of an error", `write "404", or "4xx" or "5xx" for all of them that have no page of their own`}
	case n == http.StatusProxyAuthRequired:
		return "", refuse("is a proxy's")
	}
	return text, nil
}

// checkHostPattern takes "~" and a regexp, and "*." and a name.
func checkHostPattern(text string) (string, *refusal) {
	if expr, isRegexp := strings.CutPrefix(text, "~"); isRegexp {
		if expr == "" {
			return "", &refusal{"has no regexp", `write '~^www\d+\.example\.com$'`}
		}
		_, bad := checkRegexp("", expr)
		return text, bad
	}
	rest, starts := strings.CutPrefix(text, "*.")
	if !starts || strings.Contains(rest, "*") {
		return "", &refusal{`has a "*" that is not its first label`, `write "*.example.com", or a regexp: '~^www\d+\.example\.com$'`}
	}
	if !isASCII(rest) {
		return "", &refusal{"is not in ASCII", "write the name as browsers send it, in punycode: xn--…"}
	}
	if !isHostName(rest) {
		return "", refuse("is not the name of a host")
	}
	return strings.ToLower(text), nil
}
