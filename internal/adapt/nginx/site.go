package nginx

// From a server to a site.

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"millrace/internal/adapt/document"
)

// site is one server in the making.
type site struct {
	a         *adapter
	level     *level
	table     *document.Table
	name      string   // the first name, for $server_name
	names     []string // named groups of the hosts
	hostGroup []string // what $1 and so on stand for, of a host that is an expression
	ports     []string

	routes     []*route
	locations  []*location
	whole      *location
	maps       map[string]bool // tables that are written; false: being written
	ofResponse map[string]bool // those that look up a header of the response
	chosen     map[string]*chosen
	order      []*chosen
	blurred    map[string]string // variables of the server that are set under conditions, and where

	choices []choice // among the locations, in order

	groups, captures, forks, count int

	askedFor map[*location]bool // what auth_request asks

	again   bool // there is a group that begins anew
	phased  bool // what the server's own rewriting does must not be done twice
	grouped bool // the locations are a group
	wanted  []*location
}

// chosen is a table that ifs of a server make.
type chosen struct {
	name, subject, def string
	values             [][2]string
	at                 document.Place
}

// site makes one site, or two where a server is the default of some addresses
// and not of others.
func (a *adapter) site(l *level, number int) {
	all := a.listens(l)
	var ours, others []listen
	for _, one := range all {
		if a.defaultOf[one.address] == l.directive() {
			ours = append(ours, one)
		} else {
			others = append(others, one)
		}
	}
	if len(ours) > 0 {
		a.makeSite(l, ours, true)
	}
	if len(others) > 0 {
		a.makeSite(l, others, false)
	}
}

// directive stands for a level among others: its block.
func (l *level) directive() *directive { return l.of }

func (a *adapter) makeSite(l *level, at []listen, isDefault bool) {
	s := &site{a: a, level: l, maps: map[string]bool{}, ofResponse: map[string]bool{}, chosen: map[string]*chosen{}, blurred: map[string]string{}}
	hosts, ok := s.hosts(at)
	if !ok {
		return
	}
	if len(hosts) == 0 && !isDefault {
		a.doc.Top().Comment(fmt.Sprintf("The server of line %d has no name, and another is the default of its addresses: no request comes to it.", l.at.Line))
		return
	}
	s.table = a.doc.Append("site", l.at)
	if l.on("ssl_reject_handshake", false) {
		s.table.Comment("ssl_reject_handshake: names that no site has are refused in the handshake anyway.")
	}
	s.addresses(at, hosts, isDefault)
	s.logs()
	s.table.Set("follow_symlinks", true, l.at)
	s.compress()
	s.siteLimit()
	s.locations = s.readLocations(l, nil)
	s.errorPages()
	s.types()
	s.whole = &location{level: l, name: "/"}
	s.choices = order(s.locations, s.whole)
	if a.problems.Len() > 0 && len(s.locations) == 0 {
		return
	}
	s.lower()
	s.writeRoutes()
	for _, c := range s.order {
		m := s.table.Table("map", c.at).Table(c.name, c.at)
		m.Set("from", c.subject, c.at)
		lines := document.Inline()
		for _, v := range c.values {
			lines.Set(v[0], document.Literal(v[1]), c.at)
		}
		m.Set("values", lines, c.at)
		if c.def != "" {
			m.Set("default", document.Literal(c.def), c.at)
		}
	}
}

// lower makes the routes.
func (s *site) lower() {
	st := state{scope: scope{site: s, level: s.level, names: s.names, groups: s.hostGroup}}
	ops := s.level.own(rewriting...)
	base := st
	if len(ops) > 0 {
		base = s.serverSteps(ops, st).fork()
		for name := range s.blurred {
			delete(base.scope.vars, name)
		}
		base.scope.vague = s.blurred
		if base.loc == s.whole { // it answers whatever comes
			return
		}
	}
	before := len(s.routes)
	s.phased = slices.ContainsFunc(s.routes, func(r *route) bool {
		return r.get("rewrite") != nil || r.get("goto") != nil || len(r.when.paths) > 0 || slices.ContainsFunc(r.when.atoms, func(a atom) bool {
			return a.op == 'f' && strings.Contains(a.subject, "{") || strings.Contains(a.subject, "{path}") || strings.Contains(a.subject, "{query")
		})
	})
	choices := s.choices
	if len(choices) > maxChoices {
		s.a.problem(s.level.at, fmt.Sprintf("the locations make more than %d routes", maxChoices), "put regular expressions beside each other, at the level of the server")
		return
	}
	for _, c := range choices {
		if !c.add {
			c.to.uses++
		}
	}
	for _, c := range choices {
		s.choose(c, base)
	}
	for len(s.wanted) > 0 {
		l := s.wanted[0]
		s.wanted = s.wanted[1:]
		s.locate(l, conditions{}, l.group, base)
	}
	if s.again {
		all := document.Inline()
		all.Set("to", "{path}", s.level.at)
		all.Set("repeat", true, s.level.at)
		s.add("again", conditions{}, s.level.at).set("rewrite", all, s.level.at)
	}
	for _, l := range s.locations {
		if l.named && l.group == "" {
			s.table.Comment(fmt.Sprintf("Nothing leads to location %s of line %d.", l.name, l.d.at.Line))
		}
	}
	if s.grouped {
		for _, r := range s.routes[before:] {
			if r.group == "" {
				r.group = "locations"
			}
		}
		s.add("", conditions{}, s.level.at).set("goto", "locations", s.level.at)
	}
}

// serverSteps runs the server's own rewriting. What is known behind it holds for
// all locations.
func (s *site) serverSteps(ops []*directive, st state) state {
	for i, d := range ops {
		rest := ops[i+1:]
		switch d.name {
		case "set":
			s.assign(d, &st)
		case "break":
			return st
		case "return":
			s.returns(d, st)
			st.loc = s.whole
			return st
		case "rewrite":
			if s.rewrites(d, rest, &st) && len(rest) == 0 {
				return st
			}
		case "if":
			if s.branches(d, rest, &st) {
				st.loc = s.whole
				return st
			}
		}
	}
	return st
}

// choose makes the routes of one choice.
func (s *site) choose(c choice, base state) {
	l := c.to
	at := l.level.at
	if c.add {
		if l.level.internal() != nil {
			respond(s.add("", c.when, at), 404, "", "", at)
			return
		}
		r := s.add("", c.when, at)
		r.comment("As nginx does for " + l.is() + ".")
		s.redirect(r, strings.TrimSuffix(l.name, "/")+"/?{query}", 301, at)
		return
	}
	if d := l.level.internal(); d != nil { // only what begins within comes here; the rest finds nothing
		r := s.add("", c.when, d.at)
		r.set("internal", true, d.at)
		r.set("goto", s.groupOf(l), d.at)
		respond(s.add("", c.when, d.at), 404, "", "", d.at)
		return
	}
	if l.uses > 1 && !l.short() {
		s.add("", c.when, at).set("goto", s.groupOf(l), at)
		return
	}
	s.locate(l, c.when, "", base)
}

// short reports whether a location is one simple answer, which may be said
// several times.
func (l *location) short() bool {
	return len(l.level.own(rewriting...)) == 1 && len(l.level.own("return")) == 1
}

// groupOf is the group of a location, which is made.
func (s *site) groupOf(l *location) string {
	if l.group == "" {
		if l.named {
			l.group = s.freeGroup(groupName(l.name))
		} else {
			l.group = s.newGroup(l)
		}
		s.wanted = append(s.wanted, l)
	}
	return l.group
}

func (s *site) freeGroup(name string) string {
	taken := func(n string) bool {
		return n == "locations" || slices.ContainsFunc(s.locations, func(l *location) bool { return l.group == n })
	}
	for n, base := 2, name; taken(name); n++ {
		name = base + "-" + strconv.Itoa(n)
	}
	return name
}

// locate makes the routes of a location.
func (s *site) locate(l *location, when conditions, group string, base state) {
	s.forks = 0
	st := base.fork()
	st.when, st.loc, st.group, st.changed = when, l, group, false
	st.scope.level = l.level
	if l.regex != nil {
		st.scope.names = append(slices.Clone(st.scope.names), nonEmpty(l.regex.names)...)
		st.scope.groups = nil
		for i := range l.regex.groups {
			if group == "" {
				st.scope.groups = append(st.scope.groups, "{"+strconv.Itoa(i+1)+"}")
			}
		}
		if group != "" && l.regex.groups > 0 { // what chose the group is forgotten in it
			st.when = st.when.matching(*l.regex)
			for i := range l.regex.groups {
				st.scope.groups = append(st.scope.groups, "{"+strconv.Itoa(i+1)+"}")
			}
		}
	}
	for _, d := range l.level.own("limit_except") {
		s.limitExcept(d, st)
	}
	if l == s.whole { // whose own rewriting has been done
		s.content(st)
		return
	}
	s.steps(l.level.own(rewriting...), st)
}

// limitExcept is what holds for other methods than those it names.
func (s *site) limitExcept(d *directive, st state) {
	methods := d.words()
	if slices.Contains(methods, "GET") && !slices.Contains(methods, "HEAD") {
		methods = append(methods, "HEAD")
	}
	st = st.fork()
	st.when = st.when.with(atom{subject: "{method}", op: '~', value: "^(" + strings.Join(methods, "|") + ")$", not: true})
	st.scope.level = &level{parent: st.scope.level, context: 'X', at: d.at, list: d.block, of: d}
	s.content(st) // nginx runs no rewriting there
}

// resolve is the location that a path comes to; nil: that is not known before.
func (s *site) resolve(path string) *location {
	path, _, _ = strings.Cut(path, "?")
	if strings.ContainsAny(path, "{") || path == "" {
		return nil
	}
	for _, c := range s.choices {
		if !c.add && c.when.has(path) {
			return c.to
		}
	}
	return nil
}
