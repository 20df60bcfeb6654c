package apache

// Which rules of who may come in hold somewhere, for which methods.

import (
	"slices"
	"strings"
)

// accessRules are those that hold somewhere. mod_authz_core and mod_access_compat
// each have the innermost section that says something to them, as a whole; what
// stands in its <Limit> and <LimitExcept> is for some methods alone.
type accessRules struct {
	require []*directive
	older   []*directive // Order, Allow, Deny, Satisfy
}

func isRequire(d *directive) bool {
	return d.name == "require" || d.name == "requireall" || d.name == "requireany" || d.name == "requirenone"
}

func isOlder(d *directive) bool {
	return d.name == "order" || d.name == "allow" || d.name == "deny" || d.name == "satisfy"
}

func isLimit(d *directive) bool { return d.name == "limit" || d.name == "limitexcept" }

// with is what holds once another section is heard.
func (a accessRules) with(list []*directive) accessRules {
	var require, older []*directive
	merging := ""
	for _, d := range list {
		if isRequire(d) || isLimit(d) && slices.ContainsFunc(d.within, isRequire) {
			require = append(require, d)
		}
		if isOlder(d) || isLimit(d) && slices.ContainsFunc(d.within, isOlder) {
			older = append(older, d)
		}
		if d.name == "authmerging" {
			merging = strings.ToLower(d.arg(0))
		}
	}
	switch {
	case len(require) == 0:
	case len(a.require) > 0 && (merging == "and" || merging == "or"):
		name := map[string]string{"and": "requireall", "or": "requireany"}[merging]
		a.require = []*directive{{name: name, known: directives[name], place: require[0].place, within: []*directive{
			{name: "requireany", known: directives["requireany"], place: require[0].place, within: a.require},
			{name: "requireany", known: directives["requireany"], place: require[0].place, within: require},
		}}}
	default:
		a.require = require
	}
	if len(older) > 0 {
		a.older = older
	}
	return a
}

// limited are the methods that a <Limit> or <LimitExcept> names.
func (a accessRules) limited() []string {
	var all []string
	for _, d := range append(slices.Clone(a.require), a.older...) {
		if isLimit(d) {
			for _, m := range d.texts() {
				if m == "HEAD" { // which goes with GET
					m = "GET"
				}
				all = append(all, m)
			}
		}
	}
	return unique(all)
}

// of are those of a list that hold for a method; "": for one that none names.
func of(list []*directive, method string) []*directive {
	var all []*directive
	for _, d := range list {
		if !isLimit(d) {
			all = append(all, d)
			continue
		}
		named := slices.Contains(d.texts(), method) || method == "GET" && slices.Contains(d.texts(), "HEAD")
		if named == (d.name == "limit") {
			all = append(all, d.within...)
		}
	}
	return all
}

// class is methods that have the same way in; without methods: all others.
type class struct {
	methods []string
	entry   entry
}

// classes are the ways in by methods, the last that of all others.
func (l *lowering) classes(c *conf) []class {
	others := class{entry: l.entryFor(c, "")}
	var all []class
	for _, m := range c.access.limited() {
		e := l.entryFor(c, m)
		if sameEntry(e, others.entry) {
			continue
		}
		if i := slices.IndexFunc(all, func(k class) bool { return sameEntry(k.entry, e) }); i >= 0 {
			all[i].methods = append(all[i].methods, m)
			continue
		}
		all = append(all, class{[]string{m}, e})
	}
	return append(all, others)
}

// entry is what the rules of a place ask for, of every method: the second is
// false where methods differ.
func (l *lowering) entry(c *conf) (entry, bool) {
	k := l.classes(c)
	return k[len(k)-1].entry, len(k) == 1
}

// entryFor is what they ask for of one method.
func (l *lowering) entryFor(c *conf, method string) entry {
	e := entry{{}}
	if list := of(c.access.require, method); slices.ContainsFunc(list, isRequire) {
		e = l.requires(c, slices.DeleteFunc(slices.Clone(list), func(d *directive) bool { return !isRequire(d) }), "requireany")
	}
	if len(e) == 0 { // what cannot be said was refused
		e = entry{{shut: true, at: c.access.require[0]}}
	}
	if len(c.access.older) == 0 {
		return e
	}
	list := of(c.access.older, method)
	older := l.older(slices.DeleteFunc(slices.Clone(list), func(d *directive) bool { return !isOlder(d) }), c.access.older[0])
	any := false
	for _, d := range list {
		if d.name == "satisfy" {
			any = strings.EqualFold(d.arg(0), "any")
		}
	}
	if any && len(c.access.require) > 0 {
		return append(older, e...).simple()
	}
	return both(older, e)
}

// simple leaves out ways that make no difference: all others, beside one that is
// open, and those that are shut beside one that is not.
func (e entry) simple() entry {
	open := func(g gate) bool { return !g.shut }
	for _, g := range e {
		if g.open() {
			return entry{g}
		}
	}
	if !slices.ContainsFunc(e, open) {
		return e[:min(len(e), 1)]
	}
	var all entry
	for _, g := range e {
		if open(g) {
			all = append(all, g)
		}
	}
	return all
}

func (e entry) open() bool { return len(e) == 1 && e[0].open() }

func (e entry) shut() bool { return !slices.ContainsFunc(e, func(g gate) bool { return !g.shut }) }

// looser reports whether what a section asks for may let in whom another does
// not.
func looser(e, than entry) bool {
	return !than.open() && !e.shut() && !sameEntry(e, than)
}

// limitRight refuses in <Limit> and <LimitExcept> what is not of who may come in.
func (l *lowering) limitRight(d *directive) {
	for _, m := range d.texts() {
		if strings.ToUpper(m) != m {
			l.refuse(d, "<"+d.known.name+">: "+m+" is another method than "+strings.ToUpper(m), "write methods in capital letters")
		}
	}
	for _, in := range d.within {
		if in.known != nil && in.known.nothing == "" && !isRequire(in) && !isOlder(in) {
			l.refuse(in, in.known.name+" within <"+d.known.name+">: only who may come in goes by methods here", "write it outside of <"+d.known.name+">")
		}
	}
}
