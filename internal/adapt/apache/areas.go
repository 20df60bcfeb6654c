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
	prefix string   // of paths; "/" is all; one without a slash at its end is itself, too
	folder string   // without a slash at its end
	file   string   // the one file that it is for, in folder
	expr   string   // in place of prefix, an expression
	to     string   // the path below folder, where there is an expression
	except []string // paths of a proxy that it is not for, as expressions
	like   *like    // of folders that are another for each host or user
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
		case s.kind == "location" && !isGlob(s.pattern) && len(s.pattern) > len(m.prefix) && (strings.HasPrefix(s.pattern, base+"/") || m.kind == isUserDir && strings.HasPrefix(s.pattern, "/~")):
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
	if a.m.kind == isProxy {
		for _, d := range l.proxySections(a.m.d, a.m.d.arg(1)) {
			c = c.with(d.within, scope{proxy: true})
		}
	} else {
		for _, s := range l.folders(a, in) {
			of := s.pattern
			if s.regexp || isGlob(s.pattern) {
				of = a.folder
			}
			heard(s, scope{folder: of})
		}
	}
	if a.m.kind == isWSGI || a.m.file != "" { // of one file it is known which <Files> are for it
		name := a.m.file + a.m.to
		for i := range l.site.sections {
			if s := &l.site.sections[i]; s.kind == "files" && l.named(s, name) {
				c = c.with(s.list, scope{})
			}
		}
		for i := range inner {
			if l.named(&inner[i], name) {
				c = c.with(inner[i].list, scope{})
			}
		}
		inner = nil
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
		if in(s) || !s.regexp && !isGlob(s.pattern) && a.in(s.pattern) {
			c = c.with(s.list, scope{place: s.pattern})
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

// in reports whether all paths of an area are those of a <Location>.
func (a area) in(location string) bool {
	if a.m.expr != "" {
		fixed, _ := fixedStart(a.m.expr)
		return location == "/" || location == "" || strings.HasPrefix(a.m.expr, "^") && strings.HasPrefix(fixed, strings.TrimSuffix(location, "/")+"/")
	}
	return inLocation(a.prefix, location)
}

// folders are the <Directory> sections that an area is in, the outermost first,
// then those with an expression. Those that in knows are for some of the area.
func (l *lowering) folders(a area, in func(*section) bool) []*section {
	var all, exprs []*section
	if a.m.like != nil {
		all, exprs = l.likeSections(a.m)
	} else if a.folder != "" {
		for i := range l.site.sections {
			s := &l.site.sections[i]
			switch {
			case s.kind != "directory":
			case s.regexp:
				if in(s) || l.whole(s, a) {
					exprs = append(exprs, s)
				}
			case in(s), isGlob(s.pattern) && l.whole(s, a), inFolder(a.folder, s.pattern):
				all = append(all, s)
			}
		}
	}
	slices.SortStableFunc(all, func(x, y *section) int { return depth(x.pattern) - depth(y.pattern) })
	// Apache counts the slashes of expressions as well.
	slices.SortStableFunc(exprs, func(x, y *section) int { return depth(x.pattern) - depth(y.pattern) })
	return append(all, exprs...)
}

// inFolder reports whether a folder is one, or below it.
func inFolder(folder, of string) bool {
	return of == "/" || of == folder || strings.HasPrefix(folder, of+"/")
}

func none(*section) bool { return false }

func depth(folder string) int {
	if folder == "/" {
		return 0
	}
	return strings.Count(folder, "/")
}

// whole reports whether a <DirectoryMatch>, or one with a *, is for all of an
// area.
func (l *lowering) whole(s *section, a area) bool { return l.wholeOf(s, a.folder) }

func (l *lowering) wholeOf(s *section, folder string) bool {
	if s.regexp {
		p, ok := l.regexp(s.d.place, s.pattern, false)
		return ok && p.not == "" && !looksAround(p.expr) && tried(p.expr, folder+"/")
	}
	return tried("^"+glob(s.pattern, false)+"(?:/|$)", folder)
}
