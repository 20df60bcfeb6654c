package apache

// The routes of a site while they are being made.

import (
	"fmt"
	"slices"
	"strings"

	"millrace/internal/adapt/document"
	"millrace/internal/adapt/pcre"
)

// pair is a key and its value.
type pair struct {
	name  string
	value any
	at    document.Place
}

// pairs are keys in order.
type pairs []pair

func (p *pairs) set(name string, value any, at document.Place) {
	for i := range *p {
		if (*p)[i].name == name {
			(*p)[i].value, (*p)[i].at = value, at
			return
		}
	}
	*p = append(*p, pair{name, value, at})
}

func (p pairs) get(name string) any {
	for _, one := range p {
		if one.name == name {
			return one.value
		}
	}
	return nil
}

// inline is the pairs as { … }.
func (p pairs) inline() *document.Table {
	t := document.Inline()
	for _, one := range p {
		t.Set(one.name, one.value, one.at)
	}
	return t
}

// cond is the conditions of a route.
type cond struct {
	path    string
	regexp  string
	method  []string
	client  []string
	header  pairs
	value   pairs
	exists  pairs
	not     pairs
	any     []pairs
	exclude []string // expressions on the path, none of which may match
	over    bool     // there were more expressions than it can hold
	at      document.Place
}

func (c cond) clone() cond {
	c.header, c.value, c.exists, c.not = slices.Clone(c.header), slices.Clone(c.value), slices.Clone(c.exists), slices.Clone(c.not)
	c.any, c.exclude = slices.Clone(c.any), slices.Clone(c.exclude)
	return c
}

// all is the conditions as keys.
func (c *cond) all() pairs {
	var out pairs
	if c.path != "" {
		out.set("path", c.path, c.at)
	}
	if c.regexp != "" {
		out.set("regexp", c.regexp, c.at)
	}
	if len(c.method) > 0 {
		out.set("method", c.method, c.at)
	}
	if len(c.client) > 0 {
		out.set("client", c.client, c.at)
	}
	for name, of := range map[string]pairs{"header": c.header} {
		if len(of) > 0 {
			out.set(name, of.inline(), of[0].at)
		}
	}
	if len(c.value) > 0 {
		out.set("value", c.value.inline(), c.value[0].at)
	}
	if len(c.exists) > 0 {
		out.set("exists", c.exists.inline(), c.exists[0].at)
	}
	not, any := slices.Clone(c.not), slices.Clone(c.any)
	if len(c.exclude) > 0 {
		var e pairs
		e.set("regexp", pcre.Union(c.exclude), c.at)
		switch {
		case len(not) == 0:
			not = e
		case len(any) == 0:
			var one pairs
			one.set("not", e.inline(), c.at)
			any = []pairs{one}
		default: // each of any has its own
			for i := range any {
				if any[i].get("not") == nil {
					any[i] = slices.Clone(any[i])
					any[i].set("not", e.inline(), c.at)
				}
			}
		}
	}
	if len(not) > 0 {
		out.set("not", not.inline(), not[0].at)
	}
	if len(any) > 0 {
		var list []*document.Table
		for _, one := range any {
			list = append(list, one.inline())
		}
		out.set("any", list, any[0][0].at)
	}
	return out
}

// body is what a route does.
type body struct {
	at       document.Place
	comments []string
	keys     pairs
}

// routed is a route.
type routed struct {
	group string
	cond  cond
	body  body
}

// answers reports whether a body takes all requests that come to it.
func (b *body) answers() bool {
	if b.keys.get("script") != nil || b.keys.get("internal") != nil {
		return false
	}
	for _, name := range []string{"files", "app", "upstream", "respond", "goto", "status", "user_dirs"} {
		if b.keys.get(name) != nil {
			return true
		}
	}
	if r, ok := b.keys.get("redirect").(*document.Table); ok {
		to, _ := r.Get("to").(string)
		return !strings.HasPrefix(to, "{map.")
	}
	return false
}

// shown is what a body is, for comparing.
func (b *body) shown() string {
	d := document.New()
	t := d.Append("route", document.Place{})
	for _, k := range b.keys {
		t.Set(k.name, k.value, document.Place{})
	}
	return string(d.Bytes())
}

func shown(list []routed) string {
	var b strings.Builder
	for _, r := range list {
		c := body{keys: r.cond.all()}
		b.WriteString(r.group + c.shown() + r.body.shown())
	}
	return b.String()
}

// emit adds a route, but for one that no request would come to: one above it
// takes them all.
func (s *site) emit(c cond, b body) {
	key := body{keys: c.all()}
	of := s.group + "\x00" + key.shown()
	if s.closed[of] || s.closed[s.group+"\x00"+(&body{}).shown()] {
		return
	}
	if b.answers() {
		s.closed[of] = true
	}
	s.routes = append(s.routes, routed{s.group, c, b})
}

// write puts the routes into the document.
func (s *site) write() {
	for _, r := range append(s.before, s.routes...) {
		if s.always != nil && !s.always.Empty() && r.body.keys.get("headers") == nil && (r.body.keys.get("redirect") != nil || r.body.keys.get("respond") != nil) {
			r.body.keys = append(r.body.keys, pair{"headers", s.always, r.body.at})
		}
		t := s.table.Append("route", r.body.at)
		for _, text := range r.body.comments {
			t.Comment(text)
		}
		if r.group != "" {
			t.Set("group", r.group, r.body.at)
		}
		for _, k := range append(r.cond.all(), r.body.keys...) {
			if k.at == (document.Place{}) {
				k.at = r.body.at
			}
			t.Set(k.name, k.value, k.at)
		}
	}
}

// answer is a body of one key.
func answer(at document.Place, name string, value any) body {
	b := body{at: at}
	b.keys.set(name, value, at)
	return b
}

// status is a body that answers with a status.
func status(at document.Place, code int) body {
	var p pairs
	p.set("status", code, at)
	return answer(at, "respond", p.inline())
}

// jump is a body that goes on with a group.
func jump(at document.Place, group string) body { return answer(at, "goto", group) }

// unique is a name that no other thing of the site has.
func (s *site) unique(name string) string {
	for i := 1; ; i++ {
		n := name
		if i > 1 {
			n = fmt.Sprintf("%s-%d", name, i)
		}
		if !s.names[n] {
			s.names[n] = true
			return n
		}
	}
}

// at is the conditions on a path: a prefix, "" for all of the site; one that
// ends with a slash is of what is below it, one without also of itself. The
// expressions must match as well.
func at(prefix string, place document.Place, exprs ...string) cond {
	c := cond{at: place}
	switch {
	case prefix == "" || prefix == "/":
	case strings.HasSuffix(prefix, "/"):
		c.path = prefix + "*"
	case slices.ContainsFunc(exprs, func(e string) bool { return !tried(e, prefix) }):
		c.path = prefix + "/*" // not of itself
	default:
		var self, below pairs
		self.set("path", prefix, place)
		below.set("path", prefix+"/*", place)
		c.any = []pairs{self, below}
	}
	for _, e := range exprs {
		c.match(e)
	}
	return c
}

// match adds an expression on the path, which must match as well.
func (c *cond) match(expr string) bool {
	switch {
	case c.regexp == "":
		c.regexp = expr
	case len(c.any) == 0:
		var p pairs
		p.set("regexp", expr, c.at)
		c.any = []pairs{p}
	case !slices.ContainsFunc(c.any, func(p pairs) bool { return p.get("regexp") != nil || p.get("path") == nil }):
		any := slices.Clone(c.any)
		for i := range any {
			any[i] = slices.Clone(any[i])
			any[i].set("regexp", expr, c.at)
		}
		c.any = any
	case c.value.get("{path}") == nil:
		c.value.set("{path}", "~"+expr, c.at)
	default:
		c.over = true
		return false
	}
	return true
}

// only is the conditions of at for the path itself, without what is below it.
func (c cond) only(path string) cond {
	c = c.clone()
	c.path = path
	if len(c.any) > 0 && c.any[0].get("path") == path {
		self := slices.DeleteFunc(slices.Clone(c.any[0]), func(p pair) bool { return p.name == "path" })
		if c.any = nil; len(self) > 0 {
			c.any = []pairs{self}
		}
	}
	return c
}
