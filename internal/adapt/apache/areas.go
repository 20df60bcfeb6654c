package apache

// From paths to files and programs: Alias, ScriptAlias, ProxyPass,
// WSGIScriptAlias and DocumentRoot, in the order in which Apache asks for them,
// each parted into the folders and locations that have rules of their own.

import (
	"slices"
	"strings"
)

type mappingKind uint8

const (
	isFiles mappingKind = iota
	isProgram
	isProxy
	isWSGI
	isUserDir
	isRedirect
	isVirtual
)

// mapping is one way from paths to what answers.
type mapping struct {
	kind   mappingKind
	d      *directive
	prefix string // of paths; "/" is all; one without a slash at its end is itself, too
	folder string // without a slash at its end
	file   string // the one file that it is for, in folder
	expr   string // in place of prefix, an expression
	to     string // the path below folder, where there is an expression
}

// text is the file of a path, as a text.
func (m *mapping) fileText() (string, bool) {
	prefix := strings.TrimSuffix(m.prefix, "/")
	above, same := strings.CutSuffix(m.folder, prefix)
	if m.expr != "" || !same {
		return "", false
	}
	return strings.ReplaceAll(above, "{", "{{") + "{path}", true
}

// area is the part of a mapping for which the same holds.
type area struct {
	m      *mapping
	prefix string
	folder string
}

// areas are those of a mapping, those with the longest paths first.
func (l *lowering) areas(m *mapping) []area {
	all := []area{{m, m.prefix, m.folder}}
	if m.expr != "" || m.file != "" {
		return all
	}
	base := strings.TrimSuffix(m.prefix, "/")
	add := func(prefix string) {
		if slices.ContainsFunc(all, func(a area) bool { return a.prefix == prefix }) {
			return
		}
		folder := ""
		if m.folder != "" {
			folder = m.folder + strings.TrimSuffix(strings.TrimPrefix(prefix, base), "/")
		}
		all = append(all, area{m, prefix, folder})
	}
	for _, s := range l.site.sections {
		switch {
		case s.regexp:
		case s.kind == "directory" && m.folder != "" && (m.kind == isFiles || m.kind == isProgram) && strings.HasPrefix(s.pattern, m.folder+"/") && !isGlob(s.pattern):
			add(base + strings.TrimPrefix(s.pattern, m.folder))
		case s.kind == "location" && !isGlob(s.pattern) && len(s.pattern) > len(m.prefix) && strings.HasPrefix(s.pattern, base+"/"):
			add(s.pattern)
		}
	}
	slices.SortStableFunc(all, func(a, b area) int { return len(b.prefix) - len(a.prefix) })
	return all
}

// holding is what holds in an area, with some of its partial sections.
func (l *lowering) holding(a area, with []partial) *conf {
	c := l.site.base
	in := func(s *section) bool {
		return slices.ContainsFunc(with, func(p partial) bool { return p.s == s })
	}
	var inner []section // <Files> within what is for the area
	heard := func(s *section, of scope) {
		c = c.with(s.list, of)
		inner = append(inner, l.inner(s)...)
	}
	if a.folder != "" && a.m.kind != isProxy {
		for _, s := range l.folders(a) {
			heard(s, scope{folder: s.pattern})
		}
		for i := range l.site.sections {
			s := &l.site.sections[i]
			if s.kind == "directory" && (s.regexp || isGlob(s.pattern)) && (in(s) || l.whole(s, a)) {
				heard(s, scope{folder: a.folder})
			}
		}
	}
	for i := range l.site.sections {
		if s := &l.site.sections[i]; s.kind == "files" && in(s) {
			c = c.with(s.list, scope{})
		}
	}
	for i := range inner {
		for _, p := range with {
			if p.s.d == inner[i].d {
				c = c.with(p.s.list, scope{})
			}
		}
	}
	for i := range l.site.sections {
		s := &l.site.sections[i]
		if s.kind != "location" {
			continue
		}
		if s.regexp || isGlob(s.pattern) {
			if in(s) {
				c = c.with(s.list, scope{place: s.pattern})
			}
			continue
		}
		if inLocation(a.prefix, s.pattern) {
			c = c.with(s.list, scope{place: s.pattern})
			for _, p := range with {
				for _, f := range l.inner(s) {
					if p.s.d == f.d {
						c = c.with(p.s.list, scope{})
					}
				}
			}
		}
	}
	return c
}

// inLocation reports whether paths below a prefix are those of a <Location>.
func inLocation(prefix, location string) bool {
	return location == "/" || location == "" || prefix == location || strings.HasPrefix(prefix, strings.TrimSuffix(location, "/")+"/")
}

// inner are the <Files> within a section.
func (l *lowering) inner(s *section) []section {
	return slices.DeleteFunc(sections(s.list), func(f section) bool { return f.kind != "files" })
}

// folders are the <Directory> sections that an area is in, the outermost first.
func (l *lowering) folders(a area) []*section {
	var all []*section
	for i := range l.site.sections {
		s := &l.site.sections[i]
		if s.kind != "directory" || s.regexp || isGlob(s.pattern) {
			continue
		}
		if s.pattern == "/" || s.pattern == a.folder || strings.HasPrefix(a.folder, s.pattern+"/") {
			all = append(all, s)
		}
	}
	slices.SortStableFunc(all, func(x, y *section) int { return depth(x.pattern) - depth(y.pattern) })
	return all
}

func depth(folder string) int {
	if folder == "/" {
		return 0
	}
	return strings.Count(folder, "/")
}

// whole reports whether a <DirectoryMatch>, or one with a *, is for all of an
// area.
func (l *lowering) whole(s *section, a area) bool {
	if s.regexp {
		p, ok := l.regexp(s.d.place, s.pattern, false)
		return ok && !strings.HasSuffix(p.expr, "$") && tried(p.expr, a.folder+"/")
	}
	return tried("^"+glob(s.pattern, false)+"(?:/|$)", a.folder)
}
