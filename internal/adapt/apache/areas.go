package apache

// From paths to files and programs: Alias, ScriptAlias, ProxyPass,
// WSGIScriptAlias and DocumentRoot, in the order in which Apache asks for them,
// each parted into the folders and locations that have rules of their own.

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
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

// partial is a section that is for some of the requests of an area.
type partial struct {
	s    *section
	expr string
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
				p, ok := l.regexp(s.d.args[len(s.d.args)-1].place, s.pattern, false)
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
	parts := alternatives(strings.TrimPrefix(p.expr, "(?i)"))
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

// folderExpr is an expression on paths for a <DirectoryMatch>, or one with a *.
func (l *lowering) folderExpr(s *section, a area) string {
	base := strings.TrimSuffix(a.m.prefix, "/")
	if !s.regexp {
		pattern, ok := strings.CutPrefix(s.pattern, a.m.folder+"/")
		if !ok {
			if !isGlob(strings.SplitN(s.pattern, "/", 3)[1]) && !strings.HasPrefix(a.m.folder, strings.SplitN(s.pattern, "*", 2)[0]) {
				return ""
			}
			if tried("^"+glob(s.pattern, false)+"$", a.folder) {
				return ""
			}
			return ""
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

// htaccesses reads the .htaccess files of the folders that are served, where
// AllowOverride lets them be.
func (l *lowering) htaccesses(s *site) {
	if s.root == "" || l.read.htaccess {
		return
	}
	roots := []string{s.root}
	for _, d := range s.all("alias") {
		if len(d.args) == 2 {
			roots = append(roots, strings.TrimRight(l.path(d.arg(1)), "/"))
		}
	}
	seen := map[string]bool{}
	budget := 5000
	for _, root := range roots {
		for _, folder := range l.foldersBelow(root, 0, &budget) {
			if seen[folder] {
				continue
			}
			seen[folder] = true
			l.htaccess(s, folder)
		}
	}
	if budget <= 0 {
		s.table.Comment("there are more folders than are looked through for .htaccess files")
	}
}

func (l *lowering) foldersBelow(folder string, depth int, budget *int) []string {
	entries, err := os.ReadDir(folder)
	if err != nil || depth > 8 || *budget <= 0 {
		return nil
	}
	all := []string{folder}
	for _, e := range entries {
		*budget--
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			all = append(all, l.foldersBelow(filepath.Join(folder, e.Name()), depth+1, budget)...)
		}
	}
	return all
}

// htaccess is the file of one folder, as a section behind those of the folder.
func (l *lowering) htaccess(s *site, folder string) {
	file := filepath.Join(folder, ".htaccess")
	if _, err := os.Stat(file); err != nil {
		return
	}
	m := &mapping{kind: isFiles, folder: folder, prefix: "/"}
	c := s.base
	for _, of := range l.folders(area{m: m, folder: folder, prefix: "/"}) {
		c = c.with(of.list, scope{folder: of.pattern})
	}
	if c.override == nil || slices.ContainsFunc(c.override.texts(), func(t string) bool { return strings.EqualFold(t, "none") }) {
		return
	}
	d := &directive{name: "directory", shown: "Directory", known: directives["directory"], args: []arg{{text: folder}}}
	d.place.File, d.place.Line, d.place.Column = file, 1, 1
	was := l.read.htaccess
	l.read.htaccess = true
	l.read.file(file, d.place, &d.within, nil)
	l.read.htaccess = was
	d.within = byExtension(d.within)
	s.sections = append(s.sections, section{d: d, kind: "directory", pattern: path.Clean(folder), list: d.within})
}
