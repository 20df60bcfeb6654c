package apache

// What a listing of folders shows: not what IndexIgnore names, nor what others than
// those who may see the folder are let in to.

import (
	"regexp"
	"regexp/syntax"
	"strings"

	"millrace/internal/adapt/document"
	"millrace/internal/adapt/pcre"
)

// listing is the value of listing.
func (l *lowering) listing(a area, c *conf) any {
	var hidden []string
	add := func(expr string) {
		if tree, err := syntax.Parse(expr, syntax.Perl); err == nil && len(hidden) < 100 {
			hidden = append(hidden, tree.String())
		}
	}
	for _, d := range c.ignore {
		for _, pattern := range d.texts() {
			if expr := "^" + glob(pattern, true) + "$"; !strings.HasPrefix(pattern, ".") { // those are never listed
				add(expr)
			}
		}
	}
	plain, same := l.entry(l.holding(a, nil))
	asks := func(c *conf) bool {
		e, all := l.entry(c)
		return !e.open() && (!all || !same || !sameEntry(e, plain))
	}
	for _, p := range l.partials(a) {
		if p.s.kind == "files" && asks(l.holding(a, []partial{p})) {
			expr := p.s.pattern
			if !p.s.regexp {
				expr = "^" + glob(expr, false) + "$"
			}
			if of, ok := l.regexp(p.s.d.place, expr, false); ok && of.not == "" {
				add(of.expr)
			}
		}
	}
	base := strings.TrimSuffix(a.prefix, "/") + "/"
	for _, in := range l.areas(a.m) {
		if name, below := strings.CutPrefix(strings.TrimSuffix(in.prefix, "/"), base); below && name != "" && !strings.Contains(name, "/") && asks(l.holding(in, nil)) {
			add("^" + regexp.QuoteMeta(name) + "$")
		}
	}
	if len(hidden) == 0 {
		return true
	}
	t := document.Inline()
	t.Set("hide", pcre.Union(unique(hidden)), placeOf(c.optionsAt))
	return t
}
