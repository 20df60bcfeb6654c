package config

// What a value must look like beyond its TOML type. The forms that look at
// the file system are in forms_file.go.

import (
	"errors"
	"fmt"
	"mime"
	"net/netip"
	"net/url"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// form is a kind of value.
type form struct {
	takes   string // completes "it takes …", in hints and in the reference
	empty   bool   // "" is allowed, and means what the key's documentation says
	some    bool   // of a list: at least one
	repeats bool   // of a list: the same may stand there twice
	zero    bool   // of a number: 0 is allowed
	hidden  bool   // of a text: no message shows it, it may be a password

	texts bool // it may hold placeholders
	// textNames is whether the names of a table may hold them.
	textNames bool
	names     []string // further names that those may have; "response.*" is a family of them
	response  bool     // they may name headers of the response

	// number says what is wrong with a number, beside its being positive.
	number func(n int) *refusal

	// check returns the value as it is kept, or why it is refused. Relative
	// paths are relative to dir. It is not called with "".
	check func(dir, text string) (kept string, bad *refusal)
	// name checks the names of a table of strings, like check.
	name func(text string) (kept string, bad *refusal)
}

// refusal says why a value is refused: "KEY = VALUE in TABLE: reason".
type refusal struct {
	reason string
	hint   string // "": what the form takes
}

func refuse(reason string) *refusal { return &refusal{reason: reason} }

var (
	formBool         = form{takes: "true or false"}
	formCount        = form{takes: "a whole number, at least 1"}
	formCountOrZero  = form{takes: "a whole number, or 0", zero: true}
	formDuration     = form{takes: `a duration with a unit, like "500ms", "30s", "5m" or "1d"`}
	formDurationZero = form{takes: `a duration with a unit, like "500ms", "30s" or "5m", or "0s"`, zero: true}
	formSize         = form{takes: `a size with a unit (B, KB, MB, GB, KiB, MiB, GiB), like "64KiB"`}
	formSizeZero     = form{takes: `a size with a unit (B, KB, MB, GB, KiB, MiB, GiB), like "240B", or "0B"`, zero: true}

	formAddress      = form{takes: `addresses: "host:port", ":port", "unix:/path" or "systemd:NAME"`, some: true, check: checkAddress}
	formHost         = form{takes: `names of hosts, like "www.example.com", "*.example.com", or '~^www\d\.example\.com$'`, check: checkHost}
	formIndex        = form{takes: `names of files, like "index.html"`, check: checkIndex}
	formCacheControl = form{takes: `directives of Cache-Control, like "public, max-age=3600"`, check: checkCacheControl}
	formImmutable    = form{takes: `true, false, or a regular expression in Go's syntax: '^/assets/'`}
	formSort         = form{takes: `"name", "size" or "time", or with "-" in front the other way round`, check: checkSort}

	formPath     = form{takes: `a path that begins with "/"; "*" at its end makes it a prefix`, check: checkPath}
	formPrefix   = form{takes: `a path that begins with "/" and does not end with it, like "/shop"`, empty: true, check: checkPrefix}
	formRegexp   = form{takes: `a regular expression in Go's syntax, best in single quotes: '^/x$'`, check: checkRegexp}
	formApp      = form{takes: `the NAME of an [app.NAME]`}
	formUpstream = form{takes: `the NAME of an [upstream.NAME]`}
	formCallable = form{takes: `"module:callable", like "mysite.wsgi:application"`, check: checkCallable}
	formHook     = form{takes: `"module:callable", like "mysite.hooks:after_fork"`, empty: true, check: checkCallable}
	formMethod   = form{takes: `"prefork", "threaded" or "cgi"`, check: checkMethod}
	formEnv      = form{takes: `a table of strings: { NAME = "value" }`, empty: true, name: checkVariable}
	formOwnTypes = form{takes: `a table of endings or names and media types: ".foo" = "application/x-foo", "" for all others`, empty: true, check: checkMediaType, name: checkEnding}
	formTypes    = form{takes: `a table of extensions and media types: ".foo" = "application/x-foo"`, check: checkMediaType, name: checkExtension}
)

func checkAddress(dir, text string) (string, *refusal) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if path == "" {
			return "", refuse("no path follows unix:")
		}
		path, bad := checkSocket(dir, path)
		return "unix:" + path, bad
	}
	if name, ok := strings.CutPrefix(text, "systemd:"); ok {
		if name == "" || hasControl(name) || strings.ContainsAny(name, ":/") {
			return "", &refusal{"names no socket", `write "systemd:NAME", with FileDescriptorName=NAME in the socket unit`}
		}
		return text, nil
	}
	if strings.Contains(text, "://") {
		return "", &refusal{"is a URL", "write host and port alone"}
	}
	i := strings.LastIndexByte(text, ':')
	if i < strings.LastIndexByte(text, ']') || i < 0 {
		if _, err := strconv.Atoi(text); err == nil {
			return "", &refusal{"is a port without its colon", fmt.Sprintf("write %q, or %q for this machine alone", ":"+text, "127.0.0.1:"+text)}
		}
		return "", refuse("has no port")
	}
	host, port := text[:i], text[i+1:]
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return "", refuse("port is not a number from 0 to 65535")
	}
	switch inner, open := strings.CutPrefix(host, "["); {
	case host == "":
	case host == "*":
		return "", &refusal{`"*" is not a host`, fmt.Sprintf("write %q for every address", ":"+port)}
	case open:
		ip, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		if err != nil || !ip.Is6() || !strings.HasSuffix(inner, "]") {
			return "", refuse("is not an IPv6 address in brackets")
		}
	case strings.Contains(host, ":"):
		return "", &refusal{"is not host:port", `an IPv6 address stands in brackets: "[::1]:8000"`}
	case !isHostName(host):
		return "", refuse("is not a name of a host or an address")
	}
	return text, nil
}

// checkHost keeps a pattern as it is, and a name as package route compares it: in lower case, without
// the dot that may end it, an IPv6 address in brackets.
func checkHost(_, text string) (string, *refusal) {
	if strings.HasPrefix(text, "~") || strings.Contains(text, "*") {
		return checkHostPattern(text)
	}
	name := strings.ToLower(strings.TrimSuffix(text, "."))
	if ip, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil && ip.Is6() && ip.Zone() == "" {
		return "[" + ip.String() + "]", nil
	}
	switch {
	case strings.Contains(name, "/"):
		return "", &refusal{"is not the name of a host", "write the name alone, without http:// and path"}
	case strings.Contains(name, ":"):
		return "", &refusal{"has a port", "write the name alone; the port belongs in listen"}
	case !isASCII(name):
		return "", &refusal{"is not in ASCII", "write the name as browsers send it, in punycode: xn--…"}
	case !isHostName(name):
		return "", refuse("is not the name of a host")
	}
	return name, nil
}

func isHostName(name string) bool {
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return len(name) <= 253
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
}

func checkIndex(_, text string) (string, *refusal) {
	switch {
	case strings.ContainsAny(text, "/\\"):
		return "", &refusal{"is not a name alone", `write the name of a file in the folder, like "index.html"`}
	case strings.HasPrefix(text, "."):
		return "", &refusal{"files whose names begin with a dot are never served", ""}
	}
	return text, nil
}

func checkSort(_, text string) (string, *refusal) {
	return oneOf(text, "is not an order", "name", "-name", "size", "-size", "time", "-time")
}

func checkCacheControl(_, text string) (string, *refusal) {
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return "", refuse("holds what no header may")
	}
	return text, nil
}

func checkPath(_, text string) (string, *refusal) {
	switch star := strings.IndexByte(text, '*'); {
	case text == "*":
		return "", &refusal{`does not begin with "/"`, `write "/*", or leave path out: the route then matches every path`}
	case text[0] != '/':
		return "", &refusal{`does not begin with "/"`, fmt.Sprintf("write %q", "/"+short(text))}
	case star >= 0 && star != len(text)-1:
		return "", &refusal{`"*" stands before its end`, `"*" is for the end alone; for anything else use regexp`}
	}
	return text, neverAPath(text)
}

// neverAPath refuses what the path of no request is: paths are compared decoded,
// without the query, and those with dot segments are answered with 400.
func neverAPath(text string) *refusal {
	if decoded, err := url.PathUnescape(text); err == nil && decoded != text && utf8.ValidString(decoded) && !hasControl(decoded) {
		return &refusal{"is encoded, and paths are compared decoded", fmt.Sprintf("write %q", short(decoded))}
	}
	path, query, asks := strings.Cut(text, "?")
	whole := text // segments alone
	if strings.HasSuffix(text, "*") {
		whole = text[:strings.LastIndexByte(text, '/')]
	}
	switch {
	case asks && strings.Contains(query, "="):
		name, value, _ := strings.Cut(query, "=")
		return &refusal{"has a query, which is no part of the path", fmt.Sprintf("write path = %q and query = { %s = %q }", short(path), bareOrQuoted(short(name)), short(value))}
	case hasDots(whole):
		return &refusal{`has a segment "." or "..": such requests are answered with 400`, "write the path that is meant"}
	case hasControl(text):
		return refuse("holds a control character: such requests are answered with 400")
	}
	return nil
}

func checkPrefix(_, text string) (string, *refusal) {
	switch {
	case strings.Contains(text, "*"):
		return "", &refusal{`holds a "*"`, "write the prefix itself"}
	case text == "/":
		return "", &refusal{"is every path", "leave the key out"}
	case text[0] != '/':
		return "", &refusal{`does not begin with "/"`, fmt.Sprintf("write %q", "/"+short(text))}
	case strings.HasSuffix(text, "/"):
		return "", &refusal{`ends with "/"`, fmt.Sprintf("write %q", short(strings.TrimRight(text, "/")))}
	}
	return text, nil
}

func checkRegexp(_, text string) (string, *refusal) {
	_, err := regexp.Compile(text)
	var why *syntax.Error
	if errors.As(err, &why) {
		hint := ""
		if why.Code == syntax.ErrInvalidPerlOp {
			hint = "Go's regular expressions have no look-ahead, look-behind and back references; order the routes instead: the first match wins"
		}
		return "", &refusal{fmt.Sprintf("%s: %s", why.Code, short(why.Expr)), hint}
	}
	if err != nil {
		return "", refuse(err.Error())
	}
	return text, nil
}

// checkCallable takes what the worker takes: a module, then ":" or "." and a
// name in it, which may be an attribute of another.
func checkCallable(_, text string) (string, *refusal) {
	module, name, colon := strings.Cut(text, ":")
	switch {
	case strings.HasSuffix(text, ")"):
		return "", &refusal{"is a call", "name a callable of the module; bind what a factory returns to a name in it"}
	case strings.Contains(text, "/") || strings.HasSuffix(module, ".py"):
		return "", &refusal{"is a file", `write the module as Python imports it, like "mysite.wsgi:application"`}
	case colon && isDotted(module) && isDotted(name), !colon && strings.Contains(text, ".") && isDotted(text):
		return text, nil
	case !colon && isDotted(text):
		return "", &refusal{"names no callable", fmt.Sprintf("write %q, with the callable's name behind the colon", short(text)+":NAME")}
	}
	return "", refuse("is not module:callable")
}

// isDotted reports whether text is Python names with dots between them.
func isDotted(text string) bool {
	for name := range strings.SplitSeq(text, ".") {
		if name == "" || unicode.IsDigit([]rune(name)[0]) {
			return false
		}
		for _, r := range name {
			if r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
				return false
			}
		}
	}
	return true
}

func checkMethod(_, text string) (string, *refusal) {
	return oneOf(text, "is not a method", "prefork", "threaded", "cgi")
}

// oneOf takes one of a few words.
func oneOf(text, reason string, words ...string) (string, *refusal) {
	if slices.Contains(words, text) {
		return text, nil
	}
	if near := nearest(text, words); near != "" {
		return "", &refusal{reason, fmt.Sprintf("did you mean %q?", near)}
	}
	return "", refuse(reason)
}

func checkVariable(text string) (string, *refusal) {
	if text == "" || strings.Contains(text, "=") {
		return "", refuse("is not the name of a variable")
	}
	return text, nil
}

// checkExtension keeps lower case, as extensions are compared.
func checkExtension(text string) (string, *refusal) {
	const example = `write the last extension alone, like ".foo"`
	switch {
	case !strings.HasPrefix(text, "."):
		return "", &refusal{`does not begin with "."`, fmt.Sprintf("write %q", "."+short(text))}
	case len(text) == 1, strings.ContainsAny(text[1:], "./\\"), strings.ContainsFunc(text, unicode.IsSpace):
		return "", &refusal{"is not an extension", example}
	}
	return strings.ToLower(text), nil
}

// checkEnding is for names of files in full, and endings of them, of which there
// may be several in one: ".tar.gz".
func checkEnding(text string) (string, *refusal) {
	if text == "." || strings.ContainsAny(text, "/\\") || strings.ContainsFunc(text, unicode.IsControl) {
		return "", &refusal{"is neither an ending nor the name of a file", `write ".foo", ".tar.gz", "README", or "" for all others`}
	}
	return strings.ToLower(text), nil
}

func checkMediaType(_, text string) (string, *refusal) {
	kind, _, err := mime.ParseMediaType(text)
	top, sub, slash := strings.Cut(kind, "/")
	if err != nil || !slash || top == "" || sub == "" {
		return "", &refusal{"is not a media type", `write type/subtype, like "application/x-foo" or "text/foo; charset=utf-8"`}
	}
	return text, nil
}
