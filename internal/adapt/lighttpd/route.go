package lighttpd

// This file: routes before they are written, and how conditions are put together.

import (
	"regexp"
	"slices"
	"strings"

	"millrace/internal/adapt/document"
)

// cond is one condition of a route.
type cond struct {
	key   string // path, regexp, uri, method, header, value, exists, client
	name  string // of header, value and exists
	value string
	not   bool
	at    document.Place
}

// route is a route in the making: conditions that must all hold, and keys.
type route struct {
	conds    []cond
	keys     []pair
	comments []string
	at       document.Place
}

type pair struct {
	name  string
	value any
	at    document.Place
}

func (r *route) set(name string, value any, at document.Place) *route {
	r.keys = append(r.keys, pair{name, value, at})
	return r
}

func (r *route) get(name string) any {
	for _, k := range r.keys {
		if k.name == name {
			return k.value
		}
	}
	return nil
}

// copy is a route that can be changed apart.
func (r *route) copy() *route {
	return &route{slices.Clone(r.conds), slices.Clone(r.keys), slices.Clone(r.comments), r.at}
}

func (r *route) comment(text string) *route {
	r.comments = append(r.comments, text)
	return r
}

// when is the route with further conditions in front.
func (r *route) when(conds ...cond) *route {
	r.conds = append(slices.Clone(conds), r.conds...)
	return r
}

// below is a path that begins with a text; for "" and "/" no condition.
func below(prefix string, at document.Place) []cond {
	if prefix == "" || prefix == "/" {
		return nil
	}
	if !strings.HasPrefix(prefix, "/") {
		return []cond{{key: "regexp", value: "^" + regexp.QuoteMeta(prefix), at: at}}
	}
	return []cond{{key: "path", value: prefix + "*", at: at}}
}

// condOf is a decided atom as a condition; nil where the order of the routes says
// it: one that does not hold.
func condOf(k known) []cond {
	if k.is == no {
		return nil
	}
	a, at := k.atom, k.atom.first.at
	if a.field == "url" {
		switch {
		case a.op == "==" && strings.HasPrefix(a.value, "/") && !strings.Contains(a.value, "*"):
			return []cond{{key: "path", value: a.value, at: at}}
		case a.op == "=^" && strings.HasPrefix(a.value, "/"):
			return below(a.value, at)
		}
		return []cond{{key: "regexp", value: a.expression(), at: at}}
	}
	if a.field == "remote-ip" && a.op == "==" {
		return []cond{{key: "client", value: a.value, at: at}}
	}
	text := a.value
	if a.op != "==" {
		text = "~" + a.expression()
	} else if strings.HasPrefix(text, "~") || text == "*" {
		text = "~^" + regexp.QuoteMeta(text) + "$"
	}
	switch a.field {
	case "request-method":
		if a.op == "==" && a.value != "GET" { // which is HEAD as well here
			return []cond{{key: "method", value: a.value, at: at}}
		}
		return []cond{{key: "value", name: "{method}", value: text, at: at}}
	case "header":
		if a.op == "=~" && a.re.MatchString("") { // lighttpd takes one that is missing for an empty one
			return []cond{{key: "value", name: "{header." + a.name + "}", value: text, at: at}}
		}
		return []cond{{key: "header", name: a.name, value: text, at: at}}
	case "host":
		return []cond{{key: "value", name: "{host}", value: text, at: at}}
	case "query-string":
		return []cond{{key: "value", name: "{normal_query}", value: text, at: at}}
	case "remote-ip":
		return []cond{{key: "value", name: "{client}", value: text, at: at}}
	}
	return []cond{{key: "value", name: "{" + a.field + "}", value: text, at: at}}
}

// expression is the atom as a regexp.
func (a *atom) expression() string {
	switch a.op {
	case "==":
		return "^" + regexp.QuoteMeta(a.value) + "$"
	case "=^":
		return "^" + regexp.QuoteMeta(a.value)
	case "=$":
		return regexp.QuoteMeta(a.value) + "$"
	}
	expr, _ := translate(a.value)
	return expr
}

// match is conditions as the tables of a route have them.
type match struct {
	one map[string]cond // path, regexp, uri, method, client
	of  map[string][]cond
	not []cond
}

// join sorts conditions into the tables of a route: what has no place beside another of its
// kind goes into rest. False: no request can meet them all.
func join(conds []cond) (m match, rest []cond, possible bool) {
	m = match{one: map[string]cond{}, of: map[string][]cond{}}
	if !together(conds) {
		return m, nil, false
	}
	for _, c := range conds {
		switch {
		case c.not:
			if len(m.not) == 0 {
				m.not = append(m.not, c)
			} else if !slices.ContainsFunc(m.not, c.same) {
				rest = append(rest, c)
			}
		case c.key == "path":
			have, ok := m.one["path"]
			if !ok {
				m.one["path"] = c
				continue
			}
			both, can := intersect(have.value, c.value)
			if !can {
				return m, nil, false
			}
			have.value = both
			m.one["path"] = have
		case c.key == "header" || c.key == "value" || c.key == "exists":
			i := slices.IndexFunc(m.of[c.key], func(o cond) bool { return o.name == c.name })
			switch {
			case i < 0:
				m.of[c.key] = append(m.of[c.key], c)
			case !c.same(m.of[c.key][i]):
				rest = append(rest, c)
			}
		default:
			have, ok := m.one[c.key]
			switch {
			case !ok:
				m.one[c.key] = c
			case c.key == "method" && have.value != c.value:
				return m, nil, false
			case !c.same(have):
				rest = append(rest, c)
			}
		}
	}
	if re, both := m.one["regexp"]; both && m.one["uri"].key != "" { // beside which there is no regexp
		delete(m.one, "regexp")
		rest = append(rest, re)
	}
	// A second regexp for the path can stand among the values.
	i := slices.IndexFunc(rest, func(c cond) bool { return c.key == "regexp" && !c.not })
	if i >= 0 && !slices.ContainsFunc(m.of["value"], func(c cond) bool { return c.name == "{path}" }) {
		c := rest[i]
		m.of["value"] = append(m.of["value"], cond{key: "value", name: "{path}", value: "~" + c.value, at: c.at})
		rest = slices.Delete(rest, i, i+1)
	}
	if path, ok := m.one["path"]; ok && !strings.HasSuffix(path.value, "*") {
		re, has := m.one["regexp"]
		if has {
			if compiled, err := regexp.Compile(re.value); err == nil {
				if !compiled.MatchString(path.value) {
					return m, nil, false
				}
			}
		}
	}
	return m, rest, true
}

// together reports whether paths may begin as all conditions on them want.
func together(conds []cond) bool {
	longest := ""
	for _, c := range conds {
		begins := ""
		switch {
		case c.not:
		case c.key == "path":
			begins = strings.TrimSuffix(c.value, "*")
		case c.key == "regexp":
			begins = literalPrefix(c.value)
		}
		if !strings.HasPrefix(longest, begins) && !strings.HasPrefix(begins, longest) {
			return false
		}
		if len(begins) > len(longest) {
			longest = begins
		}
	}
	return true
}

func (c cond) same(o cond) bool {
	return c.key == o.key && c.name == o.name && c.value == o.value && c.not == o.not
}

// intersect is the path that two paths have in common.
func intersect(a, b string) (string, bool) {
	pa, openA := strings.CutSuffix(a, "*")
	pb, openB := strings.CutSuffix(b, "*")
	switch {
	case openA && strings.HasPrefix(pb, pa):
		return b, true
	case openB && strings.HasPrefix(pa, pb):
		return a, true
	}
	return "", a == b
}

// write puts the conditions into a table, in the order that people read them in.
// What is in the rest after the second time has no place.
func (m match) write(t *document.Table) {
	for _, key := range []string{"path", "regexp", "uri", "method", "client"} {
		if c, ok := m.one[key]; ok {
			t.Set(key, c.value, c.at)
		}
	}
	for _, key := range []string{"header", "value", "exists"} {
		if len(m.of[key]) == 0 {
			continue
		}
		in := document.Inline()
		for _, c := range m.of[key] {
			in.Set(c.name, c.value, c.at)
		}
		t.Set(key, in, m.of[key][0].at)
	}
	for _, c := range m.not {
		in := document.Inline()
		c.not = false
		one, _, _ := join([]cond{c})
		one.write(in)
		t.Set("not", in, c.at)
	}
}

// emit writes routes into a site, those that a request can come to.
func (l *lowering) emit(site *document.Table, group string, routes []*route) {
	for _, r := range routes {
		m, rest, possible := join(r.conds)
		if !possible {
			continue
		}
		t := site.Append("route", r.at)
		for _, c := range r.comments {
			t.Comment(c)
		}
		if group != "" {
			t.Set("group", group, r.at)
		}
		m.write(t)
		if len(rest) > 0 {
			in := document.Inline()
			more, left, possible := join(rest)
			if !possible || len(left) > 0 {
				l.problems.Add(r.at, "too many conditions on one thing meet here to be said of one route", "have fewer conditions within one another, or join two regular expressions to one")
			}
			more.write(in)
			t.Set("any", []*document.Table{in}, r.at)
		}
		for _, k := range r.keys {
			t.Set(k.name, k.value, k.at)
		}
	}
}
