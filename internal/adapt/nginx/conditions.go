package nginx

// What a route can say of a request.

import (
	"regexp"
	"slices"
	"strings"

	"millrace/internal/adapt/document"
	"millrace/internal/adapt/pcre"
)

// atom is one condition.
type atom struct {
	subject string // a text with placeholders; of 'f' an absolute path with them
	op      byte   // '=' equal, '~' a regexp, 'f' exists, 'c' the client is of networks
	value   string // 'f': file, folder or any
	nets    []string
	not     bool
}

// conditions are those of a route, all of which must hold.
type conditions struct {
	path  string // "/x", "/x/*"; "": any
	paths []pattern
	atoms []atom
}

// with is the conditions and one more.
func (c conditions) with(a atom) conditions {
	c.atoms = append(slices.Clone(c.atoms), a)
	return c
}

// matching is the conditions and an expression on the path, whose groups are
// those of the route.
func (c conditions) matching(p pattern) conditions {
	c.paths = append(slices.Clone(c.paths), p)
	return c
}

// truth is a condition that a text is neither empty nor "0", as nginx sees it.
const truth = `(?s)^(?:[^0]|0.)`

// write puts the conditions into a route. It returns false for more than a route
// can hold.
func (c conditions) write(t *document.Table, at document.Place) bool {
	w := conditionWriter{table: t, at: at, values: document.Inline(), exists: document.Inline(), header: document.Inline(), query: document.Inline(), cookie: document.Inline()}
	if c.path != "" && c.path != "/*" {
		t.Set("path", c.path, at)
	}
	rest := c.paths
	if n := len(rest); n > 0 {
		t.Set("regexp", rest[n-1].expr, at)
		rest = rest[:n-1]
	}
	for _, p := range rest {
		w.positive(atom{subject: "{path}", op: '~', value: p.expr})
	}
	for _, p := range c.paths {
		if p.except != "" {
			w.negative(atom{subject: "{path}", op: '~', value: p.except})
		}
	}
	for _, a := range c.atoms {
		switch {
		case a.not && a.op == 'f' && a.value == "any":
			a.not, a.value = false, "none"
			w.positive(a)
		case a.not:
			w.negative(a)
		default:
			w.positive(a)
		}
	}
	return w.finish()
}

type conditionWriter struct {
	table                                 *document.Table
	at                                    document.Place
	values, exists, header, query, cookie *document.Table
	any                                   []*document.Table
	not                                   []atom
	full                                  bool
}

func (w *conditionWriter) positive(a atom) {
	into, name, value := w.place(a)
	switch {
	case into == nil && w.table.Get(name) != nil:
		w.also(a)
	case into == nil && name == "client":
		w.table.Set(name, a.nets, w.at)
	case into == nil:
		w.table.Set(name, []string{value}, w.at)
	case into.Get(name) != nil && into.Get(name) != value:
		w.also(a)
	default:
		into.Set(name, value, w.at)
	}
}

// also is a condition that has no room beside another of its kind.
func (w *conditionWriter) also(a atom) {
	if len(w.any) > 0 {
		w.full = true
		return
	}
	w.any = append(w.any, single(a, w.at))
}

func (w *conditionWriter) negative(a atom) { w.not = append(w.not, a) }

// single is a table of conditions with one condition.
func single(a atom, at document.Place) *document.Table {
	t := document.Inline()
	w := conditionWriter{table: t, at: at, values: document.Inline(), exists: document.Inline(), header: document.Inline(), query: document.Inline(), cookie: document.Inline()}
	if a.op == '~' && a.subject == "{path}" {
		t.Set("regexp", a.value, at)
		return t
	}
	w.positive(a)
	w.tables()
	return t
}

// place is the table and the name that a condition has in a route, and its value.
// A nil table is the route itself.
func (w *conditionWriter) place(a atom) (into *document.Table, name, value string) {
	value = a.value
	switch {
	case a.op == 'c':
		return nil, "client", ""
	case a.op == 'f':
		return w.exists, a.subject, value
	case a.op == '~':
		value = "~" + value
	case value == "*" || strings.HasPrefix(value, "~"):
		value = "~^" + regexp.QuoteMeta(value) + "$"
	}
	if a.subject == "{method}" && a.op == '=' && a.value != "GET" && a.value != "" && strings.ToUpper(a.value) == a.value {
		return nil, "method", a.value
	}
	empty := a.op == '~' && matchesEmpty(a.value) // where what is missing is as what is empty
	family, key, ok := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(a.subject, "{"), "}"), ".")
	if ok && !empty && strings.Count(a.subject, "{") == 1 && strings.HasSuffix(a.subject, "}") && strings.HasPrefix(a.subject, "{") {
		switch family {
		case "header":
			return w.header, key, value
		case "query":
			return w.query, key, value
		case "cookie":
			return w.cookie, key, value
		}
	}
	return w.values, a.subject, value
}

func matchesEmpty(expr string) bool {
	re, err := regexp.Compile(expr)
	return err != nil || re.MatchString("")
}

// tables writes the tables that have got something.
func (w *conditionWriter) tables() {
	for _, t := range []struct {
		name  string
		table *document.Table
	}{{"header", w.header}, {"query", w.query}, {"cookie", w.cookie}, {"value", w.values}, {"exists", w.exists}} {
		if !t.table.Empty() {
			w.table.Set(t.name, t.table, w.at)
		}
	}
}

// finish writes what has been put off. Several that must not hold and are of one
// text are one expression; else there is room for two.
func (w *conditionWriter) finish() bool {
	w.tables()
	not := merged(w.not)
	if len(not) > 0 {
		w.table.Set("not", single(not[0], w.at), w.at)
		not = not[1:]
	}
	if len(not) > 0 && len(w.any) == 0 {
		t := document.Inline()
		t.Set("not", single(not[0], w.at), w.at)
		w.any = append(w.any, t)
		not = not[1:]
	}
	if len(w.any) > 0 {
		w.table.Set("any", w.any, w.at)
	}
	return len(not) == 0 && !w.full
}

func merged(list []atom) []atom {
	var all []atom
next:
	for _, a := range list {
		for i := range all {
			if b := &all[i]; b.subject == a.subject && (a.op == '=' || a.op == '~') && (b.op == '=' || b.op == '~') {
				b.value, b.op = pcre.Union([]string{asExpr(*b), asExpr(a)}), '~'
				continue next
			}
		}
		all = append(all, a)
	}
	return all
}

func asExpr(a atom) string {
	if a.op == '~' {
		return a.value
	}
	return "^" + regexp.QuoteMeta(a.value) + "$"
}

// has reports whether conditions that are of the path alone hold for a path.
func (c conditions) has(path string) bool {
	if prefix, is := strings.CutSuffix(c.path, "*"); is && !strings.HasPrefix(path, prefix) || !is && c.path != "" && path != c.path {
		return false
	}
	for _, p := range c.paths {
		if !regexp.MustCompile(p.expr).MatchString(path) || p.except != "" && regexp.MustCompile(p.except).MatchString(path) {
			return false
		}
	}
	return true
}
