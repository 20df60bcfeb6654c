package apache

// Which mappings a site has, in the order of Apache's hooks: proxies, then
// redirects and aliases, WSGI scripts, folders of users, DocumentRoot.

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"millrace/internal/adapt/pcre"
)

func (l *lowering) mappingsOf(s *site) {
	for _, d := range s.both() { // those of the main server first, as mod_proxy has them
		if d.name == "proxypass" || d.name == "proxypassmatch" {
			l.proxyMapping(s, d)
		}
	}
	for _, d := range s.all("redirect", "redirectmatch", "redirectpermanent", "redirecttemp") {
		s.mappings = append(s.mappings, &mapping{kind: isRedirect, d: d})
	}
	for _, d := range s.all("alias", "aliasmatch", "scriptalias", "scriptaliasmatch") {
		l.alias(s, d)
	}
	for _, d := range s.all("wsgiscriptalias", "wsgiscriptaliasmatch") {
		l.wsgiMapping(s, d)
	}
	for _, d := range s.all("userdir") {
		if len(d.args) == 1 && !strings.EqualFold(d.arg(0), "disabled") && !strings.EqualFold(d.arg(0), "enabled") {
			s.mappings = append(s.mappings, &mapping{kind: isUserDir, d: d, prefix: "/~", like: likeOfUsers(usersFolder(d))})
			break
		}
	}
	if d := s.last("virtualdocumentroot"); d != nil {
		s.mappings = append(s.mappings, &mapping{kind: isVirtual, d: d, prefix: "/", like: likeOfHosts(d.arg(0))})
	} else if s.root != "" {
		d := s.last("documentroot")
		s.mappings = append(s.mappings, &mapping{kind: isFiles, d: d, prefix: "/", folder: s.root})
	}
}

// alias is Alias, ScriptAlias and their kin.
func (l *lowering) alias(s *site, d *directive) {
	if len(d.args) != 2 {
		l.refuse(d, d.known.name+" within a <Location>", "write it outside, with the path before the folder")
		return
	}
	kind := isFiles
	if strings.HasPrefix(d.name, "script") {
		kind = isProgram
	}
	from, to := d.arg(0), d.arg(1)
	if strings.HasSuffix(d.name, "match") {
		p, ok := l.regexp(d.args[0].place, from, false)
		if !ok {
			return
		}
		if p.not != "" {
			l.refuse(d, d.known.name+" with a negative look-ahead", "write what is excepted as an Alias above it")
			return
		}
		t := &texts{groups: pcre.Groups(p.expr), url: true, whole: "{0}"}
		fixed := to
		if i := strings.IndexByte(to, '$'); i >= 0 {
			fixed = to[:i]
		}
		i := strings.LastIndexByte(fixed, '/')
		if i < 1 {
			l.refuse(d, d.known.name+": the folder begins with what the path says", "let it begin with a folder that is fixed")
			return
		}
		below, ok := l.expand(d, to[i:], t)
		if ok {
			s.mappings = append(s.mappings, &mapping{kind: kind, d: d, prefix: "/", folder: to[:i], expr: p.expr, to: below})
		}
		return
	}
	if !strings.HasPrefix(from, "/") {
		l.refuse(d, fmt.Sprintf("%s: the path %q does not begin with a slash", d.known.name, from), "write /"+from)
		return
	}
	folder := l.path(to)
	info, err := os.Stat(folder)
	isFile := err == nil && info.Mode().IsRegular() || err != nil && path.Ext(from) != "" && path.Ext(from) == path.Ext(to)
	switch {
	case isFile:
		m := &mapping{kind: kind, d: d, prefix: strings.TrimRight(from, "/"), folder: path.Dir(folder), file: path.Base(folder)}
		s.mappings = append(s.mappings, m)
		return
	case strings.HasSuffix(from, "/") != strings.HasSuffix(to, "/") && from != "/" && strings.HasSuffix(from, "/"):
		l.refuse(d, fmt.Sprintf("%s: %s ends with a slash and %s does not: Apache looks for %s with the rest behind it, without a slash", d.known.name, from, to, to), "end both with a slash, or none")
		return
	}
	s.mappings = append(s.mappings, &mapping{kind: kind, d: d, prefix: from, folder: folder})
}

// routesOf makes the routes of a site.
func (l *lowering) routesOf(s *site) {
	rules := rulesOf(s.own, scope{})
	if s.at != nil {
		switch of := rulesOf(s.main, scope{}); {
		case of == nil:
		case rules == nil:
			if of.down {
				rules = of
			}
		case rules.inherit || of.down:
			rules.also = of
		}
	}
	if l.read.htaccess {
		rules = nil
	}
	others := slices.ContainsFunc(s.mappings, func(m *mapping) bool { return m.prefix != "/" || m.kind != isFiles })
	if rules != nil && rules.on && len(rules.rules)+lenAlso(rules) > 0 {
		w := &rewriting{server: true, after: "site", files: "site"}
		s.names["site"], s.names["files"] = true, true
		if others && s.root != "" {
			w.files = "files"
		}
		l.under = nil
		if last := len(s.mappings) - 1; last >= 0 && leads(rules) {
			m := s.mappings[last]
			if m.prefix != "/" || m.kind == isRedirect || m.expr != "" {
				m = &mapping{kind: isFiles, prefix: "/"}
			}
			l.beforeRules(m, "")
		}
		s.serverRules = rules
		l.rules(rules, w)
		if l.jumps(s, "site", "files") {
			s.emit(cond{}, jump(rules.at.place, "site"))
			s.group = "site"
		}
		if w.files == "files" && !l.jumps(s, "files") {
			w.files = ""
		}
		if w.files == "files" {
			l.mapped(s, true)
			return
		}
	}
	l.mapped(s, false)
}

func lenAlso(set *ruleset) int {
	n := 0
	for also := set.also; also != nil; also = also.also {
		n += len(also.rules)
	}
	return n
}

// jumps reports whether a route goes to one of some groups.
func (l *lowering) jumps(s *site, groups ...string) bool {
	return slices.ContainsFunc(s.routes, func(r routed) bool {
		to, _ := r.body.keys.get("goto").(string)
		return slices.Contains(groups, to)
	})
}

// mapped makes the routes of all mappings.
func (l *lowering) mapped(s *site, parted bool) {
	var except []string // paths of ProxyPass … !
	for i, m := range s.mappings {
		if parted && i == len(s.mappings)-1 {
			s.emit(cond{}, jump(m.d.place, "files"))
			s.group = "files"
		}
		switch m.kind {
		case isRedirect:
			l.redirect(m.d, "", cond{}, nil)
		case isProxy:
			if m.d.arg(1) == "!" {
				except = append(except, m.expr0())
				continue
			}
			l.proxyRoutes(m, except)
		default:
			l.mappingRoutes(m)
		}
	}
	l.locations(s)
}

// locations are those that answer though no mapping is for them.
func (l *lowering) locations(s *site) {
	if s.root != "" || slices.ContainsFunc(s.mappings, func(m *mapping) bool { return m.prefix == "/" }) {
		return
	}
	l.mappingRoutes(&mapping{kind: isFiles, prefix: "/", d: s.at})
}

// expr0 is an expression for the paths of a mapping.
func (m *mapping) expr0() string {
	switch {
	case m.expr != "":
		return m.expr
	case strings.HasSuffix(m.prefix, "/"):
		return "^" + quoteMeta(m.prefix)
	}
	return "^" + quoteMeta(m.prefix) + "(?:/|$)"
}

// mappingRoutes makes the routes of a mapping of files or programs: what is shut,
// the rules of its folders, then what answers.
func (l *lowering) mappingRoutes(m *mapping) {
	s := l.site
	areas := l.areas(m)
	was := l.under
	l.under = m
	defer func() { l.under = was }()
	var sets []*ruleset
	var of []area
	for _, a := range areas {
		c := l.holding(a, nil)
		if c.rewrite != nil && c.rewrite.on && len(c.rewrite.rules)+lenAlso(c.rewrite) > 0 && !slices.ContainsFunc(sets, func(o *ruleset) bool { return o.at == c.rewrite.at }) {
			sets = append(sets, c.rewrite)
			of = append(of, a)
		}
	}
	group := s.group
	if len(sets) > 0 && (m.expr != "" || m.file != "" && slices.ContainsFunc(sets, restricts)) {
		l.once(sets[0].at, "rules of the folder "+m.folder+", of which "+m.d.known.name+" serves files by other names: they see the names of the files", "write RewriteEngine Off for it, or an Alias of the folder by its own names")
		sets = nil
	}
	if len(sets) > 0 {
		after := s.unique("answers")
		before := len(s.routes)
		if slices.ContainsFunc(sets, leads) {
			l.beforeRules(m, after)
		}
		for i, set := range sets {
			l.folderRules(set, m, of[i], areas, after, len(sets) > 1)
		}
		used := slices.ContainsFunc(s.routes[before:], func(r routed) bool { to, _ := r.body.keys.get("goto").(string); return to == after })
		if used {
			c := cond{}
			if m.prefix != "/" {
				c = at(m.prefix, placeOf(m.d))
			}
			s.emit(c, jump(placeOf(m.d), after))
			s.group = after
		} else {
			delete(s.names, after)
		}
	}
	l.indexes(areas, sets)
	for i, a := range areas {
		if !l.same(a, areas[i+1:]) {
			l.areaRoutes(a)
		}
	}
	s.group = group
}

// same reports whether an area says what the one around it does.
func (l *lowering) same(a area, shorter []area) bool {
	for _, around := range shorter {
		if !inLocation(a.prefix, around.prefix) {
			continue
		}
		inner, outer := l.partials(a), l.partials(around)
		if len(inner)+len(outer) > 0 || len(l.holding(a, nil).redirects) > 0 {
			return false
		}
		x, y := l.made(a, l.holding(a, nil)), l.made(a, l.holding(around, nil))
		return x == y
	}
	return false
}

// made is the routes that an area would have, for comparing.
func (l *lowering) made(a area, c *conf) string {
	s := l.site
	was, group, closed := s.routes, s.group, s.closed
	s.routes, s.closed = nil, map[string]bool{}
	l.answers(a, c, nil)
	text := shown(s.routes)
	s.routes, s.group, s.closed = was, group, closed
	return text
}

// folderRules lowers the rules of a folder.
func (l *lowering) folderRules(set *ruleset, m *mapping, a area, areas []area, after string, several bool) {
	s := l.site
	prefix := a.prefix
	switch {
	case set.place != "":
		prefix = set.place
	case set.folder == "/" || set.folder != "" && !strings.HasPrefix(set.folder+"/", m.folder+"/"): // of a folder above
		prefix = m.prefix
		if rest, ok := strings.CutPrefix(m.folder, set.folder+"/"); ok && rest != "" && l.has(set, func(d *directive) bool { return !everything(d.arg(0)) && strings.HasPrefix(d.arg(0), "^") }) {
			l.refuse(set.at, fmt.Sprintf("rules of the folder %s, which is above that of %s: they see a path that begins with %s", set.folder, m.prefix, rest), "write them into the folder that the path leads to")
			return
		}
	case set.folder != "":
		prefix = strings.TrimSuffix(m.prefix, "/") + strings.TrimPrefix(set.folder, m.folder)
	}
	if !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	w := &rewriting{prefix: prefix, after: after}
	if set.base != nil {
		w.base = strings.TrimRight(set.base.arg(0), "/") + "/"
		if !strings.HasPrefix(w.base, "/") {
			l.refuse(set.base, "RewriteBase: only valid if it begins with a slash", "write RewriteBase /"+w.base)
			return
		}
	}
	w.guard = l.guardOf(prefix)
	if exts := l.scriptsIn(a); len(exts) > 0 && m.prefix == "/" {
		w.script = cond{regexp: "^" + quoteMeta(strings.TrimSuffix(prefix, "/")) + `(?P<script>/.*?\.(?:` + strings.Join(exts, "|") + "))/", at: set.at.place}
		w.script.exists.set(strings.ReplaceAll(m.folder, "{", "{{")+quoteBraces(strings.TrimSuffix(prefix, "/"))+"{script}", "file", set.at.place)
	}
	l.rules(set, w)
	if several && prefix != "/" {
		s.emit(cond{path: prefix + "*", at: set.at.place}, jump(set.at.place, after))
	}
}

func quoteBraces(text string) string { return strings.ReplaceAll(text, "{", "{{") }

// scriptsIn are the extensions of scripts in an area, as expressions.
func (l *lowering) scriptsIn(a area) []string {
	var all []string
	for _, h := range l.holding(a, nil).byHandler() {
		if name := handlerName(h.d); name == "php" || name == "cgi-script" || name == "fcgid-script" || strings.HasPrefix(name, "proxy:") {
			for _, e := range h.exts {
				all = append(all, quoteMeta(e))
			}
		}
	}
	if l.guessPHP && len(all) == 0 {
		all = []string{"php"}
	}
	return all
}

func (l *lowering) has(set *ruleset, f func(*directive) bool) bool {
	return slices.ContainsFunc(set.rules, func(r rule) bool { return f(r.d) })
}

// guardOf is what guards a path, for comparing; "": nothing does.
func (l *lowering) guardOf(to string) string {
	for _, m := range l.site.mappings {
		if m.kind != isFiles || m.expr != "" || !inLocation(to, m.prefix) && m.prefix != "/" {
			continue
		}
		for _, a := range l.areas(m) {
			if a.prefix == "/" || to == a.prefix || strings.HasPrefix(to, strings.TrimSuffix(a.prefix, "/")+"/") {
				c := l.holding(a, nil)
				e, all := l.entry(c)
				if all && e.open() {
					return ""
				}
				text := ""
				if !all {
					text = "of some methods "
				}
				for _, g := range e {
					text += fmt.Sprint(g.shut, g.clients, g.not, g.users, g.named, c.text("authuserfile"), c.text("authname"))
				}
				return text
			}
		}
	}
	return ""
}

// areaRoutes are those of an area, and of the sections that are for some of it.
func (l *lowering) areaRoutes(a area) {
	s := l.site
	plain := l.holding(a, nil)
	for _, d := range plain.redirects {
		guard := plain
		if l.inLocations(d) { // which Apache hears before it asks who may come in
			guard = nil
		}
		l.redirect(d, a.prefix, cond{}, guard)
	}
	routes := func(with []partial) []routed {
		was, group, closed := s.routes, s.group, s.closed
		s.routes, s.closed = nil, map[string]bool{}
		l.answers(a, l.holding(a, with), with)
		made := s.routes
		s.routes, s.group, s.closed = was, group, closed
		return made
	}
	all := l.partials(a)
	if len(all) > 9 {
		l.refuse(all[9].s.d, fmt.Sprintf("%d sections are for some of the paths below %s: more than are looked at together", len(all), a.prefix), "join those that say the same")
		return
	}
	l.behind(a, all, routes)
	said := map[string]string{} // what a route says, by the sections that are for it
	says := func(with []partial) string {
		key := ""
		for _, p := range with {
			key += fmt.Sprintf("%p ", p.s.d)
		}
		if _, ok := said[key]; !ok {
			said[key] = l.made(a, l.holding(a, with))
		}
		return said[key]
	}
	all = slices.DeleteFunc(all, func(p partial) bool { // those that never make a difference
		return !slices.ContainsFunc(subsets(all, p), func(with []partial) bool {
			return says(with) != says(slices.DeleteFunc(slices.Clone(with), func(o partial) bool { return o.s.d == p.s.d }))
		})
	})
	if len(all) > 6 {
		l.refuse(all[6].s.d, fmt.Sprintf("%d sections are for some of the paths below %s: more than are looked at together", len(all), a.prefix), "join those that say the same")
		return
	}
	// A section that has the last word wherever it is heard goes first, alone.
	rest := all
	for i := 0; i < len(rest); i++ {
		p := rest[i]
		if !slices.ContainsFunc(subsets(rest, p), func(with []partial) bool { return says(with) != says([]partial{p}) }) {
			s.again(routes([]partial{p}))
			rest = slices.Delete(slices.Clone(rest), i, i+1)
			i = -1 // others may have it now
		}
	}
	for n := len(rest); n > 0; n-- {
		for _, with := range subsets(rest, partial{}) {
			if len(with) == n {
				s.again(routes(with))
			}
		}
	}
	s.again(routes(nil))
}

// subsets are those of sections which some requests may be for, all at once; with
// one of them, or any.
func subsets(all []partial, with partial) [][]partial {
	var out [][]partial
	if len(all) > 9 {
		all = all[:9] // more are refused
	}
	for bits := 1; bits < 1<<len(all); bits++ {
		var of []partial
		for i := range all {
			if bits>>i&1 == 1 {
				of = append(of, all[i])
			}
		}
		if with.s != nil && !slices.ContainsFunc(of, func(p partial) bool { return p.s.d == with.s.d }) {
			continue
		}
		apart := false
		for i := range of {
			for j := range i {
				apart = apart || disjoint(of[j], of[i])
			}
		}
		if !apart {
			out = append(out, of)
		}
	}
	return out
}

// inLocations reports whether a directive stands in a <Location>.
func (l *lowering) inLocations(d *directive) bool {
	return slices.ContainsFunc(l.site.sections, func(s section) bool { return s.kind == "location" && slices.Contains(s.list, d) })
}

// again emits routes that were made apart.
func (s *site) again(list []routed) {
	for _, r := range list {
		s.emit(r.cond, r.body)
	}
}

// disjoint reports whether no path is for both of two sections.
func disjoint(a, b partial) bool {
	if a.s.kind != "files" || b.s.kind != "files" {
		return false
	}
	if !a.s.regexp && !b.s.regexp && !isGlob(a.s.pattern) && !isGlob(b.s.pattern) {
		return a.s.pattern != b.s.pattern
	}
	x, y := extensions(a.s.pattern), extensions(b.s.pattern)
	if x == nil || y == nil || !a.s.regexp || !b.s.regexp {
		return false
	}
	return !slices.ContainsFunc(x, func(e string) bool {
		return slices.ContainsFunc(y, func(f string) bool { return strings.HasSuffix(e, f) || strings.HasSuffix(f, e) })
	})
}
