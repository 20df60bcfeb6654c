package apache

// Sections for some of the paths of an area, as expressions on paths.

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"millrace/internal/adapt/pcre"
)

// partial is a section that is for some of the requests of an area.
type partial struct {
	s    *section
	expr string
}

// partials are the sections that are for some of an area.
func (l *lowering) partials(a area) []partial {
	var all []partial
	add := func(s *section, expr string) {
		if expr != "" && relevant(s.list) {
			all = append(all, partial{s, expr})
		}
	}
	files := func(list []section) {
		for i := range list {
			if s := &list[i]; s.kind == "files" {
				expr := l.nameExpr(s)
				if a.m.file == "" || tried(expr, "/"+a.m.file) { // of one file it is known
					add(s, expr)
				}
			}
		}
	}
	for i := range l.site.sections {
		s := &l.site.sections[i]
		switch {
		case s.kind == "directory" && (s.regexp || isGlob(s.pattern)) && a.folder != "" && a.m.kind != isProxy && !l.whole(s, a):
			add(s, l.folderExpr(s, a))
		case s.kind == "location" && (s.regexp || isGlob(s.pattern)):
			expr := "^" + glob(s.pattern, false) + "(?:/|$)"
			if s.regexp {
				p, ok := l.matching(s.d.args[len(s.d.args)-1].place, s.pattern)
				if !ok {
					continue
				}
				if p.not != "" {
					l.refuse(s.d, "<LocationMatch> with a negative look-ahead", "write the exception as a <Location> below it")
				}
				expr = p.expr
			}
			if mayMatch(expr, a.prefix) {
				add(s, expr)
			}
		case s.kind == "location" && inLocation(a.prefix, s.pattern):
			files(l.inner(s))
		}
	}
	if a.m.kind == isFiles || a.m.kind == isProgram || a.m.kind == isVirtual || a.m.kind == isUserDir {
		files(l.site.sections)
		if a.folder != "" {
			for _, s := range l.folders(a) {
				files(l.inner(s))
			}
		}
	}
	return all
}

// relevant reports whether a section has more than comments in it.
func relevant(list []*directive) bool {
	return slices.ContainsFunc(list, func(d *directive) bool {
		return d.known != nil && (d.known.nothing == "" || d.known.section)
	})
}

// mayMatch reports whether an expression may match a path below a prefix.
func mayMatch(expr, prefix string) bool {
	if !strings.HasPrefix(expr, "^") || prefix == "/" {
		return true
	}
	fixed, _ := fixedStart(expr)
	return strings.HasPrefix(fixed, prefix) || strings.HasPrefix(prefix, fixed)
}

// nameExpr is an expression on paths for one on the names of files.
func (l *lowering) nameExpr(s *section) string {
	expr := s.pattern
	if !s.regexp {
		expr = "^" + glob(s.pattern, false) + "$"
	}
	p, ok := l.regexp(s.d.place, expr, false)
	if !ok {
		return ""
	}
	if p.not != "" {
		l.refuse(s.d, "<FilesMatch> with a negative look-ahead", "write the exception as a <Files> below it")
		return ""
	}
	fold := strings.HasPrefix(p.expr, "(?i)")
	parts := pcre.Alternatives(strings.TrimPrefix(p.expr, "(?i)"))
	for i, part := range parts {
		rest, begins := strings.CutPrefix(part, "^")
		inner, ends := strings.CutSuffix(rest, "$")
		if strings.HasSuffix(inner, `\`) {
			inner, ends = rest, false
		}
		inner = strings.ReplaceAll(dotless(inner), "[^/]*?[^/]*", "[^/]*")
		switch {
		case begins:
			inner = "/" + inner
		case ends && simpleEnd(inner):
		default:
			inner = "/[^/]*" + inner
		}
		if !ends {
			inner += "[^/]*"
		}
		inner += "(?:/|$)" // a script has what follows its name, too
		parts[i] = inner
	}
	out := strings.Join(parts, "|")
	if fold {
		out = "(?i)" + out
	}
	if _, err := regexp.Compile(out); err != nil {
		l.refuse(s.d, "the expression on names cannot be one on paths", "write it with ^ and $")
		return ""
	}
	return out
}

// simpleEnd is an expression on the end of a name in which nothing matches a
// slash.
func simpleEnd(expr string) bool {
	return strings.HasPrefix(expr, `\.`) && !strings.Contains(expr, "[^")
}

// dotless has "." match no slash.
func dotless(expr string) string {
	var b strings.Builder
	class := false
	for i := 0; i < len(expr); i++ {
		c := expr[i]
		switch {
		case c == '\\' && i+1 < len(expr):
			b.WriteString(expr[i : i+2])
			i++
			continue
		case class:
			class = c != ']'
		case c == '[':
			class = true
		case c == '.':
			b.WriteString("[^/]")
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// belowFolder is what a pattern of folders says below a folder that the beginning
// of it matches; "": nothing.
func belowFolder(pattern, folder string) string {
	parts, n := strings.Split(pattern, "/"), strings.Count(folder, "/")+1
	if len(parts) <= n || !tried("^"+glob(strings.Join(parts[:n], "/"), false)+"$", folder) {
		return ""
	}
	return strings.Join(parts[n:], "/")
}

// folderExpr is an expression on paths for a <DirectoryMatch>, or one with a *.
func (l *lowering) folderExpr(s *section, a area) string {
	base := strings.TrimSuffix(a.m.prefix, "/")
	if !s.regexp {
		pattern, ok := strings.CutPrefix(s.pattern, a.m.folder+"/")
		if !ok {
			if pattern = belowFolder(s.pattern, a.m.folder); pattern == "" {
				return ""
			}
		}
		return "^" + regexp.QuoteMeta(base) + "/" + glob(pattern, false) + "/"
	}
	p, ok := l.regexp(s.d.place, s.pattern, false)
	if !ok {
		return ""
	}
	if p.not != "" {
		l.refuse(s.d, "<DirectoryMatch> with a negative look-ahead", "write the exception as a <Directory>")
		return ""
	}
	expr := p.expr
	if rest, anchored := strings.CutPrefix(expr, "^"); anchored {
		quoted := regexp.QuoteMeta(a.m.folder)
		below, ok := strings.CutPrefix(rest, quoted)
		if !ok {
			below, ok = strings.CutPrefix(rest, a.m.folder)
		}
		if !ok {
			if fixed, _ := fixedStart(expr); !strings.HasPrefix(fixed, a.m.folder) && !strings.HasPrefix(a.m.folder, fixed) {
				return ""
			}
			l.refuse(s.d, fmt.Sprintf("<DirectoryMatch>: the expression does not begin with the folder %s as it is written", a.m.folder), "begin it with ^"+quoted)
			return ""
		}
		expr = "^" + regexp.QuoteMeta(base) + below
	}
	if cut, ends := strings.CutSuffix(expr, "$"); ends && !strings.HasSuffix(cut, `\`) {
		return strings.TrimSuffix(strings.TrimSuffix(cut, "/?"), "/") + "/[^/]*$"
	}
	if strings.HasSuffix(expr, "/") {
		return expr
	}
	return expr + ".*/"
}
