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

// beforeRules emits what turns clients away below paths that have rules of who
// may, above the rules of mod_rewrite. A password cannot be asked for there:
// such a folder is taken past the rules, to a group, if there is one.
func (l *lowering) beforeRules(m *mapping, after string) {
	all := l.areas(m)
	whole := l.entry(l.holding(area{m, m.prefix, m.folder}, nil))
	for _, a := range all {
		c := l.holding(a, nil)
		if e := l.entry(c); a.prefix != m.prefix && !(len(e) == 1 && e[0].open()) && !(a.prefix != "/" && sameEntry(e, whole)) {
			l.before(at(a.prefix, placeOf(e[0].at)), e, c, a.folder, after)
		}
	}
	for _, p := range l.partials(area{m, m.prefix, m.folder}) {
		if p.s.kind != "location" {
			continue // files are looked at when they answer
		}
		c := l.holding(area{m, m.prefix, m.folder}, []partial{p})
		if e := l.entry(c); !sameEntry(e, whole) && !(len(e) == 1 && e[0].open()) {
			l.before(cond{regexp: p.expr, at: p.s.d.place}, e, c, "", after)
		}
	}
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
