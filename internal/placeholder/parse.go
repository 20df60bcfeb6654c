package placeholder

// From a text to its parts, and back.

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Scope says what a text may name beside what every request has. The zero
// value adds nothing.
type Scope struct {
	Groups int             // groups of the route's regexp: {1} to {Groups}; with at least one, or Whole, {0} too
	Whole  bool            // there is a regexp: {0} is all that it matched
	Names  []string        // named groups
	Maps   map[string]*Map // tables, by name

	// Response says that there is a response: {response.NAME}, and tables that
	// look such a header up. AppendWith is given a Responded.
	Response bool

	// Getenv looks a variable up; nil: os.LookupEnv.
	Getenv func(name string) (string, bool)

	// Extra finds further names; nil: there are none. A name that it does not
	// know gives nil.
	Extra func(name string) Value

	// ExtraNames are names that Extra knows, for suggestions.
	ExtraNames []string
}

// Value appends what a name of Scope.Extra stands for. With is what
// AppendWith was given.
type Value func(dst []byte, r *http.Request, with any) []byte

// Responded is what AppendWith has to be given for a text of Scope.Response.
type Responded interface {
	ResponseHeader() http.Header
}

// Error says what is wrong with a text.
type Error struct {
	Offset  int    // in bytes, where in the text
	Problem string // "unknown placeholder {hosst}"
	Hint    string // "did you mean {host}?"; may be empty
}

func (e *Error) Error() string {
	if e.Hint != "" {
		return e.Problem + ": " + e.Hint
	}
	return e.Problem
}

// Text is a parsed text. It does not change.
type Text struct {
	parts []part
	needs Needs
}

// Needs is what a text wants to be found out about a request.
type Needs uint8

const (
	NeedsGroups   Needs = 1 << iota // {1}, {name}: also by way of a map
	NeedsUser                       // {user} and {auth.NAME}
	NeedsID                         // {request_id}, or a header that package requestid sets
	NeedsResponse                   // {response.NAME}: also by way of a map
)

// part is one piece of a text: fixed, or a value.
type part struct {
	what  what
	text  string // fixed: what it is; else the key: of a header, a cookie, …
	name  string // as it was written, between the braces
	index int    // of a group
	value Value
	table *Map
	real  *realpath
	tls   func(*tls.ConnectionState) string
}

type what uint8

const (
	fixed what = iota
	path
	uri
	requestURI
	query
	normalQuery
	queryValue
	header
	cookie
	host
	port
	method
	scheme
	client
	user
	requestID
	overTLS
	authValue
	env
	group
	namedGroup
	mapped
	response
	realPath
	extra
)

// plainNames are the names without a key.
var plainNames = map[string]what{
	"path": path, "uri": uri, "query": query, "normal_query": normalQuery, "host": host, "port": port, "method": method, "scheme": scheme,
	"client": client, "user": user, "request_id": requestID, "request_uri": requestURI,
}

// families are the names with a key behind a dot.
var families = map[string]what{"query": queryValue, "header": header, "cookie": cookie, "auth": authValue, "env": env, "map": mapped, "tls": overTLS}

// Reserved reports whether a name means something in every text, so that no
// group of a regexp can have it.
func Reserved(name string) bool {
	_, plain := plainNames[name]
	_, family := families[name]
	return plain || family
}

// Parse reads a text. The error is an *Error.
func Parse(text string, scope Scope) (*Text, error) {
	t := &Text{}
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			t.parts = append(t.parts, part{what: fixed, text: literal.String()})
			literal.Reset()
		}
	}
	for i := 0; i < len(text); {
		open := strings.IndexByte(text[i:], '{')
		if open < 0 {
			literal.WriteString(text[i:])
			break
		}
		literal.WriteString(text[i : i+open])
		i += open
		if strings.HasPrefix(text[i:], "{{") {
			literal.WriteByte('{')
			i += 2
			continue
		}
		end := strings.IndexAny(text[i+1:], "{}")
		if end < 0 || text[i+1+end] == '{' {
			return nil, &Error{i, "a placeholder is not closed", "write {name}, or {{ for a brace"}
		}
		p, err := resolve(text[i+1:i+1+end], scope)
		if err != nil {
			err.Offset = i
			return nil, err
		}
		i += end + 2
		switch p.what {
		case group, namedGroup:
			t.needs |= NeedsGroups
		case user, authValue:
			t.needs |= NeedsUser
		case requestID:
			t.needs |= NeedsID
		case response:
			t.needs |= NeedsResponse
		case header:
			if p.text == requestIDHeader || p.text == requestStartHeader {
				t.needs |= NeedsID
			}
		case mapped:
			t.needs |= p.table.needs
		case fixed:
			literal.WriteString(p.text)
			continue
		}
		flush()
		t.parts = append(t.parts, p)
	}
	flush()
	return t, nil
}

// Fixed makes a Text that is the same for every request.
func Fixed(text string) *Text {
	if text == "" {
		return &Text{}
	}
	return &Text{parts: []part{{what: fixed, text: text}}}
}

// resolve finds what a name stands for. A variable of the environment is
// fixed, unless it is empty.
func resolve(name string, scope Scope) (part, *Error) {
	if name == "" {
		return part{}, &Error{Problem: "a placeholder has no name", Hint: "write {name}, or {{} for a pair of braces"}
	}
	if scope.Extra != nil {
		if v := scope.Extra(name); v != nil {
			return part{what: extra, name: name, value: v}, nil
		}
	}
	if w, ok := plainNames[name]; ok {
		return part{what: w, name: name}, nil
	}
	if n, err := strconv.Atoi(name); err == nil && n >= 0 && strconv.Itoa(n) == name {
		return resolveGroup(name, n, scope)
	}
	if slices.Contains(scope.Names, name) {
		return part{what: namedGroup, name: name, text: name}, nil
	}
	family, key, dotted := strings.Cut(name, ".")
	switch {
	case family == "response" && dotted:
		return resolveResponse(name, key, scope)
	case family == "realpath" && dotted:
		if !filepath.IsAbs(key) {
			return part{}, &Error{Problem: "{" + show(name) + "} names no absolute path", Hint: "write {realpath./srv/www}"}
		}
		return part{what: realPath, name: name, real: &realpath{of: key}}, nil
	}
	w, known := families[family]
	switch {
	case !dotted && known:
		return part{}, &Error{Problem: "{" + show(name) + "} lacks what follows a dot", Hint: "write {" + family + ".NAME}"}
	case !dotted || !known:
		return part{}, unknown(name, scope)
	case key == "":
		return part{}, &Error{Problem: "{" + show(name) + "} has nothing behind its dot", Hint: "write {" + family + ".NAME}"}
	}
	return resolveKey(w, name, key, scope)
}

func resolveGroup(name string, n int, scope Scope) (part, *Error) {
	switch {
	case n <= scope.Groups && (n > 0 || scope.Whole || scope.Groups > 0):
		return part{what: group, name: name, index: n}, nil
	case scope.Groups == 0 && !scope.Whole:
		return part{}, &Error{Problem: "{" + name + "} is a group of a regexp, and there is none", Hint: "give the route a regexp with a group: (…)"}
	}
	return part{}, &Error{Problem: fmt.Sprintf("{%s} is a group that the regexp does not have: it has %d", show(name), scope.Groups), Hint: "count its opening parentheses"}
}

func resolveKey(w what, name, key string, scope Scope) (part, *Error) {
	p := part{what: w, name: name, text: key}
	switch w {
	case header:
		if !isToken(key) {
			return p, &Error{Problem: "{" + show(name) + "} names no header", Hint: "write {header.User-Agent}"}
		}
		p.text = http.CanonicalHeaderKey(key)
	case authValue:
		if !isToken(key) {
			return p, &Error{Problem: "{" + show(name) + "} names no header", Hint: "write {auth.X-User}"}
		}
	case cookie:
		if !isToken(key) {
			return p, &Error{Problem: "{" + show(name) + "} names no cookie", Hint: "write {cookie.session}"}
		}
	case overTLS:
		if p.tls = tlsValues[key]; p.tls == nil {
			return p, noTLS(name, key)
		}
	case env:
		getenv := scope.Getenv
		if getenv == nil {
			getenv = os.LookupEnv
		}
		value, ok := getenv(key)
		if !ok {
			return p, &Error{Problem: "the variable of {" + show(name) + "} is not set in the environment", Hint: "set it, or correct the name"}
		}
		return part{what: fixed, text: value}, nil
	case mapped:
		if p.table = scope.Maps[key]; p.table == nil {
			return p, noMap(name, key, scope)
		}
		if p.table.needs&NeedsResponse != 0 && !scope.Response {
			return p, &Error{Problem: "{" + show(name) + "} looks up a header of the response, which is not there yet", Hint: "headers of responses and logs may name it"}
		}
	}
	return p, nil
}

func resolveResponse(name, key string, scope Scope) (part, *Error) {
	switch {
	case !scope.Response:
		return part{}, &Error{Problem: "{" + show(name) + "} is a header of the response, which is not there yet", Hint: "headers of responses and logs may name it"}
	case !isToken(key):
		return part{}, &Error{Problem: "{" + show(name) + "} names no header", Hint: "write {response.Content-Type}"}
	}
	return part{what: response, name: name, text: http.CanonicalHeaderKey(key)}, nil
}

// isToken reports whether a name can be a header's or a cookie's (RFC 9110,
// section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// String is the text as Parse reads it; of {env.X} it has the value.
func (t *Text) String() string {
	var b strings.Builder
	for _, p := range t.parts {
		if p.what == fixed {
			b.WriteString(strings.ReplaceAll(p.text, "{", "{{"))
			continue
		}
		b.WriteString("{" + p.name + "}")
	}
	return b.String()
}

// Needs is what the text wants to be found out.
func (t *Text) Needs() Needs { return t.needs }

// Constant returns the text if it is the same for every request.
func (t *Text) Constant() (string, bool) {
	switch {
	case len(t.parts) == 0:
		return "", true
	case len(t.parts) == 1 && t.parts[0].what == fixed:
		return t.parts[0].text, true
	}
	return "", false
}

// Parts are the pieces of the text, each as a text: of one after the other
// that is fixed, and of one that is a value. For whoever treats values unlike
// what stands between them, as a log does.
func (t *Text) Parts() []*Text {
	all := make([]*Text, len(t.parts))
	for i := range t.parts {
		all[i] = &Text{parts: t.parts[i : i+1]}
		if table := t.parts[i].table; table != nil {
			all[i].needs = table.needs
		}
	}
	return all
}

// Prefix is the fixed text that it begins with.
func (t *Text) Prefix() string {
	if len(t.parts) > 0 && t.parts[0].what == fixed {
		return t.parts[0].text
	}
	return ""
}
