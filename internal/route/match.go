package route

// The conditions of a route.

import (
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"millrace/internal/placeholder"
)

// Match is conditions on a request; all that are given must hold.
type Match struct {
	Path    string         // exact, or a prefix that ends in "*"
	Regexp  string         // Go syntax, on the decoded path
	URI     string         // the same, on the path and the query as they are encoded; with it there is no Regexp
	Methods []string       // one of these; GET is HEAD as well
	Header  []Condition    // of headers
	Query   []Condition    // of the first values of names in the query
	Cookie  []Condition    // of cookies
	Client  []netip.Prefix // one of which has the client's address
	Value   []Value        // of texts
	Exists  []Exists       // of files
	Not     *Match         // must not hold
}

// Condition is one on a value: the text itself, "~" and a regexp, "*" for one
// that is there, "" for one that is empty or missing.
type Condition struct{ Name, Value string }

// compiled is a Route, ready.
type compiled struct {
	Route
	own matcher
	any []matcher

	doubled bool // a path or a regexp of it has two slashes in a row
	number  int  // among all routes of the site, from 1
}

// matcher is a Match, ready.
type matcher struct {
	kind    kind
	path    string // exact, or the prefix without its "*"
	re      *regexp.Regexp
	uri     bool // re is for the URI, not the path
	methods []string
	values  []condition
	client  []netip.Prefix
	texts   []condition
	files   []Exists
	not     *matcher
}

type kind uint8

const (
	anyPath kind = iota
	exact
	prefix
)

// condition is a Condition, ready.
type condition struct {
	of   source
	name string
	how  how
	text string
	re   *regexp.Regexp
	from *placeholder.Text
}

type source uint8

const (
	ofHeader source = iota
	ofQuery
	ofCookie
	ofText
)

type how uint8

const (
	equal how = iota
	matches
	present
)

func compile(in *Route) (compiled, error) {
	c := compiled{Route: *in}
	if in.Handler == nil && in.Rewrite == nil && in.Goto == "" {
		return c, fmt.Errorf("leads nowhere")
	}
	if in.Handler == nil && in.Try != nil {
		return c, fmt.Errorf("looks for files, and has nothing that answers")
	}
	var err error
	if c.own, err = compileMatch(&in.Match); err != nil {
		return c, err
	}
	for i := range in.Any {
		m, err := compileMatch(&in.Any[i])
		if err != nil {
			return c, err
		}
		c.any = append(c.any, m)
	}
	c.doubled = slices.ContainsFunc(append(slices.Clone(in.Any), in.Match), func(m Match) bool {
		return strings.Contains(m.Path, "//") || strings.Contains(m.Regexp, "//") || strings.Contains(m.URI, "//")
	})
	return c, nil
}

func compileMatch(in *Match) (matcher, error) {
	m := matcher{methods: in.Methods, client: in.Client}
	if slices.Contains(in.Methods, http.MethodGet) {
		m.methods = append(slices.Clone(in.Methods), http.MethodHead)
	}
	if p := in.Path; p != "" && p != "*" && p != "/*" {
		path, isPrefix := strings.CutSuffix(p, "*")
		if !strings.HasPrefix(path, "/") {
			return m, fmt.Errorf("path %q does not start with a slash", p)
		}
		if strings.Contains(path, "*") {
			return m, fmt.Errorf("path %q has a * that is not its end; use a regexp", p)
		}
		m.path, m.kind = path, exact
		if isPrefix {
			m.kind = prefix
		}
	}
	var err error
	if in.Regexp != "" && in.URI != "" {
		return m, fmt.Errorf("has a regexp for the path and one for the URI")
	}
	if expr := in.Regexp + in.URI; expr != "" {
		m.uri = in.URI != ""
		if m.re, err = regexp.Compile(expr); err != nil {
			return m, err
		}
	}
	for of, list := range [...][]Condition{ofHeader: in.Header, ofQuery: in.Query, ofCookie: in.Cookie} {
		for _, c := range list {
			ready, err := compileCondition(source(of), c)
			if err != nil {
				return m, err
			}
			m.values = append(m.values, ready)
		}
	}
	for _, v := range in.Value {
		ready, err := compileCondition(ofText, Condition{Value: v.Value})
		if err != nil {
			return m, err
		}
		ready.from = v.Text
		m.texts = append(m.texts, ready)
	}
	m.files = in.Exists
	if in.Not != nil {
		not, err := compileMatch(in.Not)
		if err != nil {
			return m, err
		}
		m.not = &not
	}
	return m, nil
}

func compileCondition(of source, in Condition) (condition, error) {
	c := condition{of: of, name: in.Name, text: in.Value}
	if of == ofHeader {
		c.name = http.CanonicalHeaderKey(in.Name)
	}
	expr, isRegexp := strings.CutPrefix(in.Value, "~")
	switch {
	case in.Value == "*":
		c.how = present
	case isRegexp:
		c.how = matches
		var err error
		if c.re, err = regexp.Compile(expr); err != nil {
			return c, err
		}
	}
	return c, nil
}

// takes returns a request that meets all conditions of a route as it is for the
// route: r, or single, which is r with single slashes; nil: it does not meet
// them.
func (c *compiled) takes(r, single *http.Request, keep bool) *http.Request {
	switch {
	case !c.doubled && !c.holds(single, keep):
		return nil
	case (single != r || c.doubled) && c.holds(r, keep):
		return r
	case c.doubled:
		return nil
	}
	return single
}

// holds reports whether a request meets all conditions of a route, and keeps
// the groups of their regexps if it does.
func (c *compiled) holds(r *http.Request, keep bool) bool {
	var groups []string
	if !c.own.first(r, keep, &groups) {
		return false
	}
	var found *placeholder.Found
	if keep {
		found = placeholder.FoundOf(r)
	}
	if found == nil {
		return c.rest(r)
	}
	before := *found
	c.own.keep(r, found, groups)
	if !c.rest(r) {
		*found = before
		return false
	}
	return true
}

// rest is what is looked at once the groups of the route's regexp are known,
// which texts may name.
func (c *compiled) rest(r *http.Request) bool {
	return c.own.rest(r) &&
		(len(c.any) == 0 || slices.ContainsFunc(c.any, func(m matcher) bool { return m.holds(r) })) &&
		(c.When == nil || len(c.When.Append(nil, r)) > 0)
}

// holds reports whether all conditions hold; it keeps no groups.
func (m *matcher) holds(r *http.Request) bool { return m.first(r, false, nil) && m.rest(r) }

// rest is the conditions that may want the groups of the route's regexp.
func (m *matcher) rest(r *http.Request) bool {
	for i := range m.texts {
		if !m.texts[i].holds(r) {
			return false
		}
	}
	for i := range m.files {
		if !m.files[i].holds(r) {
			return false
		}
	}
	return m.not == nil || !m.not.holds(r)
}

// first is all other conditions, from what costs little to what costs more.
func (m *matcher) first(r *http.Request, keep bool, groups *[]string) bool {
	switch path := r.URL.Path; {
	case m.kind == exact && path != m.path, m.kind == prefix && !strings.HasPrefix(path, m.path):
		return false
	case len(m.methods) > 0 && !slices.Contains(m.methods, r.Method):
		return false
	case len(m.client) > 0 && !within(m.client, r):
		return false
	}
	for i := range m.values {
		if !m.values[i].holds(r) {
			return false
		}
	}
	if m.re == nil {
		return true
	}
	text := r.URL.Path
	if m.uri {
		text = placeholder.URI(r)
	}
	if !keep {
		return m.re.MatchString(text)
	}
	*groups = m.re.FindStringSubmatch(text)
	return *groups != nil
}

// keep puts the groups of a route's regexps where texts find them.
func (m *matcher) keep(r *http.Request, found *placeholder.Found, groups []string) {
	if m.re != nil {
		found.Groups, found.Encoded = groups, m.uri
		name(found, m.re, groups, m.uri)
	}
	for _, list := range [...][]condition{m.values, m.texts} {
		for i := range list {
			if c := &list[i]; c.how == matches && c.re.NumSubexp() > 0 {
				value, _ := c.value(r)
				name(found, c.re, c.re.FindStringSubmatch(value), false)
			}
		}
	}
}

func name(found *placeholder.Found, re *regexp.Regexp, groups []string, encoded bool) {
	for i, name := range re.SubexpNames() {
		if name != "" && i < len(groups) {
			found.Named = append(found.Named, placeholder.Named{Name: name, Value: groups[i], Encoded: encoded})
		}
	}
}

func within(networks []netip.Prefix, r *http.Request) bool {
	ip, err := netip.ParseAddr(placeholder.Client(r))
	if err != nil { // over a Unix socket there is none
		return false
	}
	ip = ip.Unmap().WithZone("")
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(ip) })
}

func (c *condition) holds(r *http.Request) bool {
	value, there := c.value(r)
	switch c.how {
	case present:
		return there
	case matches:
		return (there || c.of == ofText) && c.re.MatchString(value)
	}
	return value == c.text
}

// value is what a request has of a condition's name.
func (c *condition) value(r *http.Request) (string, bool) {
	switch c.of {
	case ofText:
		value := c.from.Expand(r)
		return value, value != ""
	case ofQuery:
		return placeholder.QueryValue(r.URL.RawQuery, c.name)
	case ofCookie:
		cookie, err := r.Cookie(c.name)
		if err != nil {
			return "", false
		}
		return cookie.Value, true
	}
	if c.name == "Host" { // Go keeps it apart
		return r.Host, r.Host != ""
	}
	values := r.Header[c.name]
	if len(values) == 1 {
		return values[0], true
	}
	return strings.Join(values, ", "), len(values) > 0
}
