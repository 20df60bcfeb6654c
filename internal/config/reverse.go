package config

// What a route changes of the requests to its back ends, and of the places that
// they name in their responses.

import (
	"fmt"
	"net/textproto"
	"slices"
	"strings"
)

// Reverse rewrites Location, Content-Location, Refresh and Set-Cookie. In each
// table the first line that matches holds.
type Reverse struct {
	Automatic    bool  // automatic: the back ends' addresses, and the mount; default true
	Location     Lines // location: beginnings of URLs and paths, or "~regexp", to what is there instead
	CookieDomain Lines // cookie_domain: domains, or "~regexp"; "" drops it
	CookiePath   Lines // cookie_path: beginnings of paths, or "~regexp"
	CookieFlags  Lines // cookie_flags: names of cookies, or "~regexp", to flags
}

var requestHeadersSection = &section{
	title:   "request_headers of %s",
	example: "[[site.route]]",
	doc:     "Changes the headers of requests to the app or the back ends. First `remove`, then `set`, then `add`. What millrace says by itself, like `X-Forwarded-For`, can be changed as well, and so can `Host`, by `set`.",
	keys: []key{
		{name: "set", field: "Set", form: formRequestHeaders, doc: "Headers in place of those that there are, with placeholders."},
		{name: "add", field: "Add", form: formRequestHeaders, doc: "Headers beside those that there are, with placeholders."},
		{name: "remove", field: "Remove", form: formRequestHeaderNames, doc: "Headers that are left out."},
	},
}

var reverseSection = &section{
	title:   "reverse of %s",
	example: "[[site.route]]",
	doc:     "Rewrites the places that back ends name in `Location`, `Content-Location`, `Refresh` and the `Domain` and `Path` of `Set-Cookie`. In each table the first line that matches holds; a key is a text, or `~` and a regexp, which replaces all of the value, `$1` being its first group.",
	keys: []key{
		{name: "automatic", field: "Automatic", form: formBool, def: "true", doc: "What no line matches, of HTTP back ends: the address of a back end becomes that of the site, and paths are put within the `mount`, unless they are there."},
		{name: "location", field: "Location", form: formReverse, doc: "Beginnings of URLs and paths, and what is there instead."},
		{name: "cookie_domain", field: "CookieDomain", form: formReverse, doc: "Domains, and what is there instead; an empty one leaves the attribute out."},
		{name: "cookie_path", field: "CookiePath", form: formReverse, doc: "Beginnings of paths, and what is there instead."},
		{name: "cookie_flags", field: "CookieFlags", form: formCookieFlags, doc: "Names of cookies, and the flags that they are to have, whatever the back end says: `secure`, `httponly`, `samesite=strict`, `samesite=lax`, `samesite=none`, and `nosecure`, `nohttponly`, `nosamesite` for those that they are not to have."},
	},
}

var (
	formRequestHeaders     = form{takes: `a table of headers: { X-Real-IP = "{client}" }`, empty: true, texts: true, check: checkHeaderValue, name: checkRequestHeader}
	formRequestHeaderNames = form{takes: `names of headers, like "Cookie"`, check: checkRequestHeaderName}
	formCookieFlags        = form{takes: `a table of cookies and flags: { sessionid = "secure httponly samesite=lax", "~." = "secure" }`, name: checkMapKey, check: checkCookieFlags}
	formReverse            = form{takes: `a table of texts: { "http://old.example/" = "/", "~^http://(.*)\\.internal" = "https://$1.example" }`, empty: true, name: checkMapKey, check: checkHeaderValue}
)

// CookieFlags are the words of cookie_flags. Package upstream knows the same: a test
// of package server holds that.
var CookieFlags = []string{"secure", "nosecure", "httponly", "nohttponly", "samesite=strict", "samesite=lax", "samesite=none", "nosamesite"}

func checkCookieFlags(_, text string) (string, *refusal) {
	for word := range strings.FieldsSeq(text) {
		if !slices.Contains(CookieFlags, strings.ToLower(word)) {
			return "", &refusal{quote(word) + " is no flag of a cookie", "there are " + strings.Join(CookieFlags, ", ")}
		}
	}
	if strings.TrimSpace(text) == "" {
		return "", &refusal{"says no flag", "there are " + strings.Join(CookieFlags, ", ")}
	}
	return text, nil
}

// checkRequestHeader refuses what is the connection's.
func checkRequestHeader(text string) (string, *refusal) {
	name, bad := checkToken(text)
	switch textproto.CanonicalMIMEHeaderKey(name) {
	case "Content-Length", "Transfer-Encoding", "Trailer", "Te", "Connection", "Keep-Alive", "Proxy-Connection", "Upgrade", "Expect":
		return "", &refusal{"is about the connection to the back end, which is millrace's", "leave it out"}
	}
	if bad == nil && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "" {
		return "", &refusal{"is not passed on: to a program that makes variables of headers it could pass for another one", "take a name of letters, digits and -"}
	}
	return name, bad
}

func checkRequestHeaderName(_, text string) (string, *refusal) {
	name, bad := checkRequestHeader(text)
	if name = textproto.CanonicalMIMEHeaderKey(name); name == "Host" && bad == nil {
		return "", &refusal{"cannot be left out", "set it to another value"}
	}
	return name, bad
}

// toBackEnds refuses what has nobody to be for.
func (k *checker) toBackEnds(path, where string, r *Route, answers []string) {
	if len(answers) == 0 {
		return
	}
	if at := join(path, "request_headers"); r.RequestHeaders != nil && !k.bad[at] && answers[0] != "app" && answers[0] != "upstream" {
		k.fail(at, fmt.Sprintf("request_headers in %s: %s asks nobody", where, answers[0]), "leave them out")
	}
	if at := join(path, "reverse"); r.Reverse != nil && !k.bad[at] && answers[0] != "upstream" {
		k.fail(at, fmt.Sprintf("reverse in %s: it is for upstream alone, and this is %s", where, answers[0]), "leave it out")
	}
}
