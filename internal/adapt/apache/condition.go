package apache

// The conditions of an area, and of sections that are for some of it.

import (
	"regexp"
	"slices"
	"strings"

	"millrace/internal/adapt/document"
)

// condition is that of the requests of an area that some sections are for.
func (l *lowering) condition(a area, with []partial) cond {
	place := placeOf(a.m.d)
	if len(with) > 0 {
		place = with[0].s.d.place
	}
	var exprs []string
	text := ""
	for _, p := range with {
		if p.file {
			var expr string
			if text, expr = a.m.fileOf(); expr != "" {
				exprs = append(exprs, expr)
			}
			break
		}
	}
	if a.m.expr != "" {
		exprs = append(exprs, a.m.expr)
	}
	for _, p := range with {
		if !p.file && (a.m.file == "" || p.s.kind == "location") { // what is said of names and folders is known of one file
			exprs = append(exprs, p.expr)
		}
	}
	var c cond
	if a.m.kind == isUserDir && a.prefix == a.m.prefix {
		c = cond{path: a.prefix + "*", at: place}
		for _, e := range exprs {
			c.match(e)
		}
	} else {
		c = at(a.prefix, place, exprs...)
	}
	c.exclude = slices.Clone(a.m.except)
	for _, p := range with {
		if p.file && c.value.get(text) != nil {
			c.over = true
		} else if p.file {
			c.value.set(text, "~"+p.expr, place)
		}
	}
	if c.over {
		l.once(with[len(with)-1].s.d, "more sections are for the same paths of "+a.prefix+" than one route can hold", "join those that say the same")
	}
	return c
}

// fileOf is the file of a path of a mapping, as a text, and an expression on the
// path whose groups it names; "": none is needed.
func (m *mapping) fileOf() (text, expr string) {
	if text, ok := m.fileText(); ok {
		return text, ""
	}
	folder := document.Literal(m.folder)
	if m.expr != "" {
		return folder + m.to, ""
	}
	return folder + "{rest}", "^" + regexp.QuoteMeta(strings.TrimSuffix(m.prefix, "/")) + "(?P<rest>/.*)?$"
}
