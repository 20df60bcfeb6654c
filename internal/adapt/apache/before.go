package apache

// Who may, before rules: Apache asks that of the path as it came, and rewrites
// it then. Here a route asks that answers, so that rules could lead past it.

import (
	"os"
	"slices"
)

// leads reports whether a set has a rule that leads to other content.
func leads(set *ruleset) bool {
	for ; set != nil; set = set.also {
		if set.on && slices.ContainsFunc(set.rules, func(r rule) bool {
			return r.d.arg(1) != "-" && !r.has("r") && !r.has("f") && !r.has("g") || r.has("p")
		}) {
			return true
		}
	}
	return false
}

// restricts reports whether a set has a rule that turns clients away.
func restricts(set *ruleset) bool {
	for ; set != nil; set = set.also {
		if set.on && slices.ContainsFunc(set.rules, func(r rule) bool { return r.turnsAway() }) {
			return true
		}
	}
	return false
}

// turnsAway reports whether a rule answers with an error.
func (r *rule) turnsAway() bool {
	code := r.number("r", 302)
	return r.has("f") || r.has("g") || r.has("r") && (code < 300 || code > 399)
}

// beforeRules emits what turns clients away below paths that have rules of who
// may, above the rules of mod_rewrite. A password cannot be asked for there:
// such a folder is taken past the rules, to a group, if there is one.
func (l *lowering) beforeRules(m *mapping, after string) {
	asked := func(a area, with []partial) *conf {
		if after == "" { // outside of folders <Location> alone is asked: the folder will be another
			a.m, a.folder = &mapping{kind: isFiles, prefix: m.prefix}, ""
		}
		return l.holding(a, with)
	}
	root := area{m, m.prefix, m.folder}
	whole, _ := l.entry(asked(root, nil))
	for _, a := range l.areas(m) {
		c := asked(a, nil)
		if a.prefix != m.prefix && l.unlike(c) {
			continue
		}
		if e, _ := l.entry(c); a.prefix != m.prefix && !e.open() && !(a.prefix != "/" && sameEntry(e, whole)) {
			l.before(at(a.prefix, placeOf(e[0].at)), e, c, a.folder, after)
		}
	}
	for _, p := range l.partials(root) {
		if p.s.kind != "location" {
			continue // files are looked at when they answer
		}
		c := asked(root, []partial{p})
		if l.unlike(c) {
			continue
		}
		if e, _ := l.entry(c); !sameEntry(e, whole) && !e.open() {
			l.before(cond{regexp: p.expr, at: p.s.d.place}, e, c, "", after)
		}
	}
}

// unlike refuses what is asked for by methods, or of TLS, for paths that rules
// rewrite: a route above them holds what is asked for of all requests alone.
func (l *lowering) unlike(c *conf) bool {
	if _, all := l.entry(c); !all {
		l.refuse(slices.Concat(c.access.require, c.access.older)[0], "<Limit> and <LimitExcept> for paths that rules rewrite: Apache asks before them, and here who answers does", "write one rule for all methods, or take the rules out")
		return true
	}
	if c.sslRequired != nil && !l.site.tls {
		l.refuse(c.sslRequired, "SSLRequireSSL for paths that rules rewrite, in a site without TLS", "write Require all denied")
		return true
	}
	return false
}

func sameEntry(a, b entry) bool {
	return slices.EqualFunc(a, b, func(x, y gate) bool {
		return x.shut == y.shut && x.named == y.named && slices.Equal(x.clients, y.clients) && slices.Equal(x.not, y.not) && slices.Equal(x.users, y.users)
	})
}

// before is beforeRules for one path.
func (l *lowering) before(on cond, e entry, c *conf, folder, after string) {
	var clients []string
	named := false
	for _, g := range e {
		named = named || g.named
		clients = append(clients, g.clients...)
	}
	at := placeOf(e[0].at)
	switch {
	case named:
		if info, err := os.Stat(folder); folder != "" && after != "" && err == nil && info.IsDir() {
			b := jump(at, after)
			b.comments = []string{"a password is asked for here: the rules below would lead past it"}
			l.site.emit(on, b)
			return
		}
		l.refuse(e[0].at, "a password for paths that rules rewrite: Apache asks for it before them, and here who answers does", "ask for it in the whole site, or have the app do it")
	case len(e) == 1 && e[0].shut:
		l.site.emit(on, l.refused(c, at))
	case len(e) == 1 && len(e[0].not) > 0:
		of := on.clone()
		of.client = e[0].not
		l.site.emit(of, l.refused(c, at))
		fallthrough
	case len(clients) > 0 && !slices.ContainsFunc(e, func(g gate) bool { return g.clients == nil }):
		if len(clients) == 0 {
			return
		}
		of := on.clone()
		var p pairs
		p.set("client", unique(clients), at)
		of.not = p
		l.site.emit(of, l.refused(c, at))
	default:
		if len(e) > 1 {
			l.refuse(e[0].at, "alternatives of who may come in, for paths that rules rewrite", "write one rule")
		}
	}
}
