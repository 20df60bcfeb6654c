package apache

// Who may, behind rules: Apache hears the <Location> of the path as it came, and
// that of a path that rules have made only with [PT]. Here each path has its own.

import (
	"regexp"
	"slices"
	"strings"
)

// loosened refuses a rule outside of folders whose target is in a <Location> that
// lets in whom the folder alone does not: Apache would not hear it. One that lets in
// fewer is heard, here as it would be for its own paths.
func (l *lowering) loosened(r *rule, to string, root bool) {
	path, _, _ := strings.Cut(to, "?")
	fixed, _, open := strings.Cut(path, "{")
	for _, m := range l.site.mappings {
		if m.kind != isFiles && m.kind != isProgram || m.expr != "" || root && m.prefix != "/" {
			continue
		}
		for _, a := range l.areas(m) {
			if inLocation(fixed, a.prefix) || open && strings.HasPrefix(a.prefix, fixed) {
				if !l.lets(r, a, nil) {
					return
				}
			}
		}
		whole := area{m, m.prefix, m.folder}
		for _, p := range l.partials(whole) {
			if p.s.kind == "location" && mayLead(p.expr, fixed, open) {
				if !l.lets(r, whole, []partial{p}) {
					return
				}
			}
		}
	}
}

// mayLead reports whether an expression may match a path, of which only the
// beginning is known if it is open.
func mayLead(expr, path string, open bool) bool {
	if !open {
		return tried(expr, path)
	}
	rest, anchored := strings.CutPrefix(expr, "^")
	re, err := regexp.Compile(rest)
	if err != nil || !anchored {
		return true
	}
	begins, _ := re.LiteralPrefix()
	return strings.HasPrefix(begins, path) || strings.HasPrefix(path, begins)
}

// lets refuses a rule that leads to an area, if its <Location> lets in more than the
// folder, and reports whether it may stay.
func (l *lowering) lets(r *rule, a area, with []partial) bool {
	here := l.holding(a, with)
	all := l.site.sections
	l.site.sections = slices.DeleteFunc(slices.Clone(all), func(s section) bool {
		return s.kind == "location" && (s.regexp || strings.Trim(s.pattern, "/") != "") // that of / is for every path
	})
	folder := l.holding(a, nil)
	l.site.sections = all
	e, alike := l.entry(here)
	of, same := l.entry(folder)
	switch {
	case alike && same && of.open():
	case alike && e.shut():
	case alike && same && sameEntry(e, of) && here.text("authuserfile") == folder.text("authuserfile"):
	default:
		where := a.prefix
		if with != nil {
			where = with[0].s.pattern
		}
		l.refuse(r.d, "RewriteRule without [PT] leads to what <Location "+short(where)+"> lets others in to than its folder does: Apache does not hear it then", "write [PT], or who may in <Directory>")
		return false
	}
	return true
}
