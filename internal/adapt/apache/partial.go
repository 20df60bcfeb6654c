package apache

// Sections for some of the paths of an area, as expressions on paths.

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"millrace/internal/adapt/pcre"
)

// partial is a section that is for some of the requests of an area.
type partial struct {
	s    *section
	expr string
	file bool // the expression is on the file's path, not on that of the URL
}

// partials are the sections that are for some of an area.
func (l *lowering) partials(a area) []partial {
	var all []partial
	add := func(s *section, expr string, file bool) {
		if expr != "" && relevant(s.list) {
			all = append(all, partial{s, expr, file})
		}
	}
	onFile := a.m.expr != "" && a.m.kind != isProxy
	files := func(list []section) {
		for i := range list {
			if s := &list[i]; s.kind == "files" && relevant(s.list) {
				add(s, l.nameExpr(s, !l.onScripts(s, a)), onFile)
			}
		}
	}
	for i := range l.site.sections {
		s := &l.site.sections[i]
		switch {
		case s.kind == "directory" && a.m.like != nil, s.kind == "directory" && a.folder == "", s.kind == "directory" && a.m.kind == isProxy:
		case s.kind == "directory" && (s.regexp || isGlob(s.pattern)) && !l.whole(s, a):
			if !relevant(s.list) {
				continue
			}
			expr, file := l.folderExpr(s, a)
			if expr != "" && len(l.inner(s)) > 0 {
				l.once(l.inner(s)[0].d, "<Files> within a <Directory> that is for some folders of "+a.folder, "write <Directory> for each of them")
			}
			if expr != "" {
				l.plain(s.list)
			}
			add(s, expr, file)
		case s.kind == "directory" && onFile && !s.regexp && !isGlob(s.pattern) && strings.HasPrefix(s.pattern, a.folder+"/"):
			if len(l.inner(s)) > 0 {
				l.once(l.inner(s)[0].d, "<Files> within a <Directory> that is for some files of an "+a.m.d.known.name, "write an Alias for the folder")
			}
			l.plain(s.list)
			add(s, "^"+quoteMeta(s.pattern)+"(?:/|$)", true)
		case s.kind == "location" && (s.regexp || isGlob(s.pattern)):
			expr := "^" + glob(s.pattern, false) + "$"
			if s.regexp {
				p, ok := l.matching(s.d.args[len(s.d.args)-1].place, s.pattern)
				if !ok {
					continue
				}
				if p.not != "" {
					l.once(s.d, "<LocationMatch> with a negative look-ahead", "write the exception as a <Location> below it")
				}
				expr = p.expr
			}
			if mayMatch(expr, a.prefix) {
				add(s, expr, false)
			}
		case s.kind == "location" && a.m.expr != "" && !a.in(s.pattern):
			expr := "^" + quoteMeta(strings.TrimSuffix(s.pattern, "/")) + "(?:/|$)"
			if strings.HasSuffix(s.pattern, "/") {
				expr = "^" + quoteMeta(s.pattern)
			}
			if fixed, _ := fixedStart(a.m.expr); !strings.HasPrefix(a.m.expr, "^") || strings.HasPrefix(fixed, s.pattern) || strings.HasPrefix(s.pattern, fixed) {
				l.plain(s.list)
				add(s, expr, false)
			}
		}
	}
	if a.m.file == "" && (a.m.kind == isFiles || a.m.kind == isProgram || a.m.kind == isVirtual || a.m.kind == isUserDir) {
		files(l.site.sections)
		for _, s := range l.folders(a, none) {
			files(l.inner(s))
		}
	}
	if l.onlyPrograms(a) { // each has what follows its name in the path as well, unless that lets in more
		for i := range all {
			if all[i].s.kind == "files" && !l.loosens(a, all, i) {
				all[i].expr = l.nameExpr(all[i].s, false)
			}
		}
	}
	return all
}

// followed are sections for programs which are heard for the last name of a path
// alone, since they let in whom others do not, as they are for paths that go on
// behind the name.
func (l *lowering) followed(a area, all []partial) []partial {
	if !l.onlyPrograms(a) {
		return nil
	}
	var out []partial
	for i, p := range all {
		if p.s.kind != "files" || !l.loosens(a, all, i) {
			continue
		}
		if e, alike := l.entry(l.holding(a, []partial{p})); alike && e.open() {
			continue
		}
		expr := l.nameExpr(p.s, false)
		if p.expr = strings.ReplaceAll(expr, "(?:/|$)", "/"); p.expr == expr && expr != "" {
			l.once(p.s.d, "the expression on names cannot be one on paths that go on behind a program", "write it with ^ and $ at its ends")
			continue
		}
		out = append(out, p)
	}
	return out
}

// behind are the routes of paths that go on behind a program's name. Which of two
// names in a path is the program's is not known before it is looked for: where
// that makes a difference nobody comes in.
func (l *lowering) behind(a area, all []partial, routes func(with []partial) []routed) {
	followed := l.followed(a, all)
	for i, p := range followed {
		for j, o := range slices.Concat(all, followed) {
			if o.s.d == p.s.d || j >= len(all) && j-len(all) < i || disjoint(p, o) {
				continue
			}
			if e, alike := l.entry(l.holding(a, []partial{o})); alike && e.open() {
				continue
			}
			l.site.emit(at(a.prefix, p.s.d.place, p.expr, o.expr), status(p.s.d.place, 403))
		}
	}
	for _, p := range followed {
		l.site.again(routes([]partial{p}))
	}
}

// onlyPrograms reports whether all files of an area are programs.
func (l *lowering) onlyPrograms(a area) bool {
	if a.m.kind == isProgram {
		return true
	}
	h := l.holding(a, nil).handler
	return h != nil && handlerName(h) != "default-handler"
}

// loosens reports whether a section may let in whom others do not without it.
func (l *lowering) loosens(a area, all []partial, i int) bool {
	return slices.ContainsFunc(subsets(all, all[i]), func(with []partial) bool {
		e, alike := l.entry(l.holding(a, with))
		than, same := l.entry(l.holding(a, slices.DeleteFunc(slices.Clone(with), func(p partial) bool { return p.s.d == all[i].s.d })))
		return !alike || !same || looser(e, than)
	})
}

// onScripts reports whether a <Files> is for scripts by their extensions, which
// have what follows their name in the path as well.
func (l *lowering) onScripts(s *section, a area) bool {
	exts := extensionsOfSection(s.d)
	if exts == nil && !s.regexp && !isGlob(s.pattern) {
		exts = []string{path.Ext(s.pattern)}
	}
	run := l.scriptsIn(a)
	return exts != nil && !slices.ContainsFunc(exts, func(e string) bool { return !slices.Contains(run, quoteMeta(extension(e))) })
}

// once refuses a directive that is looked at several times.
func (l *lowering) once(d *directive, problem, hint string) {
	if !l.told[d] {
		l.told[d] = true
		l.refuse(d, problem, hint)
	}
}

// plain refuses what a section that is for some of the paths of an area cannot
// say: rules, indexes, redirects and back ends would be of all of them.
func (l *lowering) plain(list []*directive) {
	for _, d := range list {
		switch d.name {
		case "rewriterule", "directoryindex", "fallbackresource", "redirect", "redirectmatch", "redirectpermanent", "redirecttemp", "proxypass", "proxypassmatch":
			l.once(d, d.known.name+" within a section for some paths of a folder", "write it into the <Directory> or <Location>, with the names in its expression")
		}
	}
}

// plainSections is plain of all sections that are never for all of an area.
func (l *lowering) plainSections() {
	for i := range l.site.sections {
		s := &l.site.sections[i]
		if s.kind == "files" || s.kind == "location" && (s.regexp || isGlob(s.pattern)) {
			l.plain(s.list)
		}
		for _, f := range l.inner(s) {
			l.plain(f.list)
		}
	}
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

// named reports whether a <Files> is for a name.
func (l *lowering) named(s *section, name string) bool {
	expr := s.pattern
	if !s.regexp {
		expr = "^" + glob(s.pattern, false) + "$"
	}
	p, ok := l.regexp(s.d.place, expr, false)
	return ok && tried(p.expr, name) && (p.not == "" || !tried(p.not, name))
}

// nameExpr is an expression on paths for one on the names of files. Last is for
// the last name of a path alone; else of any, as of a script's.
func (l *lowering) nameExpr(s *section, last bool) string {
	expr := s.pattern
	if !s.regexp {
		expr = "^" + glob(s.pattern, false) + "$"
	}
	p, ok := l.regexp(s.d.place, expr, false)
	if !ok {
		return ""
	}
	if p.not != "" {
		l.once(s.d, "<FilesMatch> with a negative look-ahead", "write the exception as a <Files> below it")
		return ""
	}
	rest := "(?:/|$)" // a script has what follows its name, too
	if last {
		rest = "$"
	}
	fold := strings.HasPrefix(p.expr, "(?i)")
	parts := pcre.Alternatives(strings.TrimPrefix(p.expr, "(?i)"))
	for i, part := range parts {
		inner, begins := strings.CutPrefix(part, "^")
		cut, ends := strings.CutSuffix(inner, "$")
		if ends = ends && !strings.HasSuffix(cut, `\`); ends {
			inner = cut
		}
		if !withinNames(inner) {
			out, ok := onNames(p.expr, last)
			if !ok {
				l.once(s.d, "the expression on names cannot be one on paths", "write it with ^ and $ at its ends")
			}
			return out
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
		parts[i] = inner + rest
	}
	out := strings.Join(parts, "|")
	if fold {
		out = "(?i)" + out
	}
	if _, err := regexp.Compile(out); err != nil {
		l.once(s.d, "the expression on names cannot be one on paths", "write it with ^ and $")
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

// folderExpr is an expression for a <DirectoryMatch>, or one with a *, that is for
// some of an area: on the paths of URLs, or on those of files.
func (l *lowering) folderExpr(s *section, a area) (expr string, file bool) {
	base := strings.TrimSuffix(a.m.prefix, "/")
	onURL := a.m.expr == "" && a.m.file == ""
	if !s.regexp {
		folder, pattern := strings.Split(a.m.folder, "/"), strings.Split(s.pattern, "/")
		if len(pattern) <= len(folder) {
			return "", false // for none of it: that it is for all is known
		}
		for i, name := range folder {
			if !tried("^"+glob(pattern[i], false)+"$", name) {
				return "", false
			}
		}
		// Apache tries it on the names of files as well.
		below := pattern[len(folder):]
		for i, name := range below {
			if strings.Trim(name, "*") == "" { // a name is not empty
				below[i] = "?*"
			}
		}
		switch rest := glob(strings.Join(below, "/"), false); {
		case a.m.kind == isWSGI || a.m.file != "":
			if tried("^"+glob(s.pattern, false)+"$", a.m.folder+"/"+a.m.file+a.m.to) {
				return ".", false
			}
			return "", false
		case onURL:
			return "^" + regexp.QuoteMeta(base) + "/" + rest + "(?:/|$)", false
		}
		return "^" + regexp.QuoteMeta(a.m.folder) + "/" + glob(strings.Join(below, "/"), false) + "(?:/|$)", true
	}
	p, ok := l.regexp(s.d.place, s.pattern, false)
	if !ok {
		return "", false
	}
	if p.not != "" {
		l.once(s.d, "<DirectoryMatch> with a negative look-ahead", "write the exception as a <Directory>")
		return "", false
	}
	if a.m.kind == isWSGI || a.m.file != "" { // of one file
		if tried(p.expr, a.m.folder+"/"+a.m.file+a.m.to) {
			return ".", false
		}
		return "", false
	}
	expr = p.expr
	rest, anchored := strings.CutPrefix(expr, "^")
	if fixed, _ := fixedStart(expr); anchored && !strings.HasPrefix(fixed, a.m.folder) && !strings.HasPrefix(a.m.folder, fixed) {
		return "", false
	}
	// Apache tries it on the path of the file, or of the folder with its slash.
	if below, ok := strings.CutPrefix(rest, regexp.QuoteMeta(a.m.folder)+"/"); anchored && ok && onURL && len(pcre.Alternatives(rest)) == 1 && !looksAround(rest) {
		return "^" + regexp.QuoteMeta(base) + "/" + below, false
	}
	if hidden := strings.TrimLeft(expr, "(^"); strings.HasPrefix(hidden, `/\.`) || strings.HasPrefix(hidden, `\.`) && !anchored && looksHidden(hidden) {
		return expr, false // names that begin with a dot are not served
	}
	return expr, true
}

func looksHidden(expr string) bool {
	return slices.ContainsFunc([]string{`\.git`, `\.svn`, `\.hg`, `\.bzr`, `\.ht`}, func(name string) bool { return strings.HasPrefix(expr, name) })
}
