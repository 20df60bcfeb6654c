package nginx

// The directives of the rewrite module, run over all that may be true of a
// request: each if is a fork. The routes of what follows where its condition holds
// come first; so what comes behind them holds where it does not.

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"millrace/internal/adapt/document"
)

// rewriting are the directives that are run in order.
var rewriting = []string{"set", "if", "break", "return", "rewrite"}

// maxForks bounds what ifs in a row make.
const maxForks = 200

// state is what is known of a request at a step.
type state struct {
	when    conditions
	scope   scope
	changed bool   // the path is another one than the location was chosen by
	group   string // of the routes that are made
	tail    bool   // nothing of the server's rewriting follows
	loc     *location
}

func (st state) fork() state {
	st.scope.vars = maps.Clone(st.scope.vars)
	if st.scope.vars == nil {
		st.scope.vars = make(map[string]string)
	}
	return st
}

// steps runs the rest of a program.
func (s *site) steps(ops []*directive, st state) {
	if s.forks++; s.forks > maxForks {
		if s.forks == maxForks+1 {
			s.a.problem(st.scope.level.at, fmt.Sprintf("the ifs here make more than %d cases", maxForks), "put what they have in common into a map")
		}
		return
	}
	for i, d := range ops {
		rest := ops[i+1:]
		switch d.name {
		case "set":
			s.assign(d, &st)
		case "break":
			s.ends(st, true)
			return
		case "return":
			s.returns(d, st)
			return
		case "rewrite":
			if s.rewrites(d, rest, &st) {
				return
			}
		case "if":
			if s.branches(d, rest, &st) {
				return
			}
		}
	}
	s.ends(st, false)
}

// ends is behind the last step: what the location has answers, or the path that
// has changed is looked for anew. After a break it stays with the location.
func (s *site) ends(st state, broken bool) {
	if st.loc == nil { // the server's: on to the locations
		if !st.tail && len(st.when.atoms)+len(st.when.paths) > 0 {
			s.add(st.group, st.when, st.scope.level.at).set("goto", s.locationsGroup(), st.scope.level.at)
		}
		return
	}
	if st.changed && !broken {
		s.anew(s.add(st.group, st.when, st.scope.level.at), "{path}", st.scope.level.at)
		return
	}
	s.content(st)
}

// anew has a route look for a location for a path.
func (s *site) anew(r *route, to string, at document.Place) {
	if l := s.resolve(to); l != nil && l.level.internal() != nil { // to which no path leads
		r.set("rewrite", to, at)
		r.set("goto", s.groupOf(l), at)
		return
	}
	if s.phased {
		if to != "{path}" {
			r.set("rewrite", to, at)
		}
		r.set("goto", s.locationsGroup(), at)
		return
	}
	again := document.Inline()
	again.Set("to", to, at)
	again.Set("repeat", true, at)
	r.set("rewrite", again, at)
}

func (s *site) locationsGroup() string {
	s.grouped = true
	return "locations"
}

func (s *site) assign(d *directive, st *state) {
	name, is := strings.CutPrefix(d.arg(0), "$")
	if !is || name == "" {
		s.a.problem(d.argAt(0), fmt.Sprintf("invalid variable name %q", d.arg(0)), "a variable begins with $")
		return
	}
	if why, no := noNames[name]; no {
		s.a.problem(d.argAt(0), fmt.Sprintf("variable %q is not carried over: %s", "$"+name, why), "leave it out")
		return
	}
	if name == "args" || name == "uri" || fixedNames[name] != "" {
		s.a.problem(d.argAt(0), fmt.Sprintf("variable %q is not set here", "$"+name), "write a rewrite: it changes the path, and the query behind a ?")
		return
	}
	text, ok := st.scope.expand(d.args[1], forText)
	if !ok {
		return
	}
	*st = st.fork()
	st.scope.vars[name] = text
	delete(st.scope.vague, name)
}

// returns is a return.
func (s *site) returns(d *directive, st state) {
	code, text := d.arg(0), word{}
	if len(d.args) == 2 {
		text = d.args[1]
	}
	status, err := strconv.Atoi(code)
	if err != nil {
		if len(d.args) == 1 && (strings.HasPrefix(code, "http://") || strings.HasPrefix(code, "https://") || strings.HasPrefix(code, "$scheme") || strings.HasPrefix(code, "/")) {
			status, text = 302, d.args[0]
		} else {
			s.a.problem(d.argAt(0), fmt.Sprintf("invalid return code %q", code), "write a status, or a URL that begins with http://, https:// or $scheme")
			return
		}
	}
	r := s.add(st.group, st.when, d.at)
	defer func() {
		s.headers(r, st)
		s.ofRoute(r, st)
	}()
	switch {
	case status == 301 || status == 302 || status == 303 || status == 307 || status == 308:
		to, ok := st.scope.expand(text, forURL)
		if !ok {
			return
		}
		if to == "" {
			s.a.problem(d.at, fmt.Sprintf("return %d without a place to go to", status), "write the URL behind it")
			return
		}
		s.redirect(r, to, status, d.at)
	case status == 444:
		r.comment("return 444 closes the connection without a word; here the answer is 403.")
		respond(r, 403, "", "", d.at)
	case status < 200 || status > 599:
		s.a.problem(d.argAt(0), fmt.Sprintf("return %d: that is not the status of a response", status), "take one from 200 to 599")
	default:
		body, ok := st.scope.expand(text, forText)
		if !ok {
			return
		}
		respond(r, status, body, s.typeOf(st), d.at)
	}
}

// typeOf is the media type of what a return says: that of an add_header, which
// browsers heed, or that of the path's extension, where the path is known.
func (s *site) typeOf(st state) string {
	l := st.scope.level
	if t, ok := ownType(l); ok {
		return t
	}
	types, _, said := s.typesAt(l)
	if st.loc != nil && st.loc.exact {
		if ext := path.Ext(st.loc.name); ext != "" {
			if t, is := types.Get(ext).(string); is {
				return t
			}
			if t, is := common[ext]; is && !said {
				return t
			}
		}
	}
	if d := l.last("default_type"); d != nil {
		return d.arg(0)
	}
	return ""
}

// common are media types of nginx's mime.types, for a part of a configuration that
// does not have them.
var common = map[string]string{".txt": "text/plain", ".html": "text/html", ".json": "application/json", ".xml": "text/xml", ".js": "application/javascript", ".css": "text/css"}

func respond(r *route, status int, body, media string, at document.Place) {
	if status == 200 && media == "" && body != "" {
		r.set("respond", body, at)
		return
	}
	t := document.Inline()
	if status != 200 || body == "" {
		t.Set("status", status, at)
	}
	if body != "" {
		t.Set("body", body, at)
		if media != "" && media != "text/plain" {
			t.Set("type", media, at)
		}
	}
	r.set("respond", t, at)
}

func (s *site) redirect(r *route, to string, status int, at document.Place) {
	if status == 302 {
		r.set("redirect", to, at)
		return
	}
	t := document.Inline()
	t.Set("to", to, at)
	t.Set("status", status, at)
	r.set("redirect", t, at)
}

// rewrites is a rewrite. Done says that nothing comes to the next step.
func (s *site) rewrites(d *directive, rest []*directive, st *state) (done bool) {
	p, bad := newPattern(d.arg(0), false)
	if bad != nil {
		s.a.problem(d.argAt(0), bad.problem, bad.hint)
		return false
	}
	flag := d.arg(2)
	if flag != "" && flag != "last" && flag != "break" && flag != "redirect" && flag != "permanent" {
		s.a.problem(d.argAt(2), fmt.Sprintf("invalid parameter %q", flag), `it is "last", "break", "redirect" or "permanent"`)
		return false
	}
	next := st.fork()
	always := slices.Contains([]string{"^", ".*", "^.*$", "^.*", "(.*)", "^(.*)$", "^/", "/"}, d.arg(0))
	next.scope.groups = nil
	for i := range p.groups {
		next.scope.groups = append(next.scope.groups, "{"+strconv.Itoa(i+1)+"}")
	}
	next.scope.names = append(slices.Clone(next.scope.names), nonEmpty(p.names)...)
	replacement := d.args[1]
	clear := strings.HasSuffix(replacement.text, "?")
	replacement.text = strings.TrimSuffix(replacement.text, "?")
	to, ok := next.scope.expand(replacement, forURL)
	if !ok {
		return always
	}
	if !always || strings.Contains(to, "{1}") {
		next.when = next.when.matching(p)
	}
	if flag == "redirect" || flag == "permanent" || strings.HasPrefix(to, "http://") || strings.HasPrefix(to, "https://") || strings.HasPrefix(replacement.text, "$scheme") {
		s.rewriteAway(d, to, clear, flag, next)
		return always
	}
	if clear {
		if !strings.Contains(to, "?") {
			to += "?" // which is an empty query
		}
	} else if strings.Contains(to, "?") {
		to += "&{query}"
	}
	if !strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "{") {
		to = "/" + to
	}
	s.rewriteWithin(d, to, flag, rest, next)
	return always && st.loc != nil || always && (flag == "last" || flag == "break")
}

func nonEmpty(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == "" })
}

// rewriteAway is a rewrite that sends the client elsewhere.
func (s *site) rewriteAway(d *directive, to string, clear bool, flag string, st state) {
	if !clear {
		if strings.Contains(to, "?") {
			to += "&{query}"
		} else {
			to += "?{query}"
		}
	}
	status := 302
	if flag == "permanent" {
		status = 301
	}
	r := s.add(st.group, st.when, d.at)
	s.redirect(r, to, status, d.at)
	s.headers(r, st)
}

// rewriteWithin is a rewrite to another path of the site.
func (s *site) rewriteWithin(d *directive, to, flag string, rest []*directive, st state) {
	switch {
	case st.loc == nil: // the server's
		r := s.add(st.group, st.when, d.at)
		r.set("rewrite", to, d.at)
		if (flag == "last" || flag == "break") && len(rest) > 0 {
			r.set("goto", s.locationsGroup(), d.at)
		}
	case flag == "break":
		st.changed = true
		s.rewritten(st, to, d.at, func(inner state) { s.content(inner) })
	case flag == "last" || len(rest) == 0:
		s.anew(s.add(st.group, st.when, d.at), to, d.at)
	default:
		st.changed = true
		s.continued(st, to, d.at, func(inner state) { s.steps(rest, inner) })
	}
}

// rewritten has what follows answer for a path, by the routes that it makes: if
// it makes one, that route rewrites; else they are a group.
func (s *site) rewritten(st state, to string, at document.Place, follow func(state)) {
	before := len(s.routes)
	follow(st)
	made := s.routes[before:]
	if len(made) == 1 && made[0].get("rewrite") == nil && made[0].get("try_files") == nil && sameConditions(made[0].when, st.when) {
		made[0].set("rewrite", to, at)
		return
	}
	s.routes = s.routes[:before]
	s.continued(st, to, at, follow)
}

func sameConditions(a, b conditions) bool {
	return a.path == b.path && len(a.paths) == len(b.paths) && len(a.atoms) == len(b.atoms)
}

// continued has a group answer for a path.
func (s *site) continued(st state, to string, at document.Place, follow func(state)) {
	group := s.newGroup(st.loc)
	r := s.add(st.group, st.when, at)
	r.set("rewrite", to, at)
	r.set("goto", group, at)
	st.when, st.group = conditions{}, group
	for i := range st.scope.groups {
		st.scope.groups[i] = ""
	}
	follow(st)
}

func (s *site) newGroup(l *location) string {
	s.groups++
	name := "server"
	if l != nil && l.named {
		name = groupName(l.name)
	} else if l != nil && l.d != nil {
		name = groupName(l.name)
	}
	return fmt.Sprintf("%s-%d", name, s.groups)
}

// groupName is a group's name of a location's.
func groupName(text string) string {
	name := strings.Trim(strings.Map(func(r rune) rune {
		if r < 0x80 && isWord(byte(r)) {
			return r
		}
		return '-'
	}, text), "-")
	for strings.Contains(name, "--") {
		name = strings.ReplaceAll(name, "--", "-")
	}
	if name == "" {
		return "location"
	}
	return name[:min(len(name), 40)]
}
