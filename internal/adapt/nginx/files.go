package nginx

// Files: root, alias, index, autoindex, and what their responses say.

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"millrace/internal/adapt/document"
)

// place is where the files of a location are: below a folder, with a path of
// their own.
type place struct {
	folder string // below which the whole path is looked for
	strip  string // but for this beginning of it
	to     string // or this path is; "": the request's
	at     document.Place
	none   bool // there is no folder: nginx has one of its own
}

// files makes the routes of files.
func (s *site) files(st state) {
	p, ok := s.placeOf(&st)
	if !ok {
		return
	}
	s.filesAt(st, p)
}

func (s *site) filesAt(st state, p place) {
	l := st.scope.level
	if p.none {
		r := s.add(st.group, st.when, p.at)
		r.comment("There is no root: where nginx has its welcome page, nothing is found here.")
		respond(r, 404, "", "", p.at)
		return
	}
	index := s.index(st, p)
	s.forbidden(st, p, index)
	r := s.add(st.group, st.when, p.at)
	r.set("files", s.filesTable(&st.scope, p, index), p.at)
	if p.to != "" {
		r.set("rewrite", p.to, p.at)
	}
	s.typesOf(r, l)
}

// forbidden answers for folders that have no index and are not listed: with 403, as
// nginx does; here they are not found.
func (s *site) forbidden(st state, p place, index []string) {
	if st.scope.level.on("autoindex", false) || p.to != "" || !s.endsWithSlash(st) || len(st.when.paths) > 1 || st.changed {
		return
	}
	expr, path := "/$", "{path}"
	if p.strip != "" {
		expr, path = "^"+regexp.QuoteMeta(p.strip)+"(/|/.*/)$", "{1}"
	}
	slash, bad := newPattern(expr, false)
	if bad != nil {
		return
	}
	folder := p.folder + path
	when := st.when
	when.atoms = slices.DeleteFunc(slices.Clone(when.atoms), func(a atom) bool { return a.op == 'f' && a.subject == folder && a.value == "any" && !a.not })
	if slices.ContainsFunc(when.atoms, func(a atom) bool { return a.op == 'f' && a.subject == folder }) {
		return
	}
	when = when.matching(slash).with(atom{subject: folder, op: 'f', value: "folder"})
	for _, name := range index {
		when = when.with(atom{subject: folder + document.Literal(name), op: 'f', value: "any", not: true})
	}
	r := s.add(st.group, when, p.at)
	r.comment("A folder without an index, which nginx does not list.")
	if !slices.ContainsFunc(when.atoms, func(a atom) bool { return a.subject == "{method}" }) {
		r.set("method", []string{"GET", "POST"}, p.at) // any other is not allowed, folder or not
	}
	respond(r, 403, "", "", p.at)
}

// filesTable is the files of a route.
func (s *site) filesTable(sc *scope, p place, index []string) *document.Table {
	l := sc.level
	t := document.Inline()
	t.Set("root", p.folder, p.at)
	if p.strip != "" {
		t.Set("strip", p.strip, p.at)
	}
	if d := l.last("index"); d != nil || len(index) != 1 || index[0] != "index.html" {
		at := p.at
		if d != nil {
			at = d.at
		}
		if len(index) != 1 || index[0] != "index.html" {
			if index == nil {
				index = []string{}
			}
			t.Set("index", index, at)
		}
	}
	if l.on("autoindex", false) {
		t.Set("listing", true, l.last("autoindex").at)
	}
	if d := l.last("gzip_static"); d != nil && d.arg(0) != "off" {
		if d.arg(0) == "always" {
			s.a.problem(d.argAt(0), "gzip_static always is not carried over: a client that takes no gzip gets the file itself", `write "on"`)
		}
		t.Set("precompressed", true, d.at)
	}
	return t
}

// placeOf is where the files of a location are. With an alias the conditions may
// become closer.
func (s *site) placeOf(st *state) (place, bool) {
	root, d, ok := s.root(&st.scope)
	if !ok {
		return place{}, false
	}
	p := place{folder: root, at: st.scope.level.at}
	if d == nil {
		p.none = true
		return p, true
	}
	p.at = d.at
	if d.name == "root" {
		return p, true
	}
	return s.alias(root, d, st, p)
}

func (s *site) alias(root string, d *directive, st *state, p place) (place, bool) {
	l := st.loc
	for l != nil && !slices.Contains(l.level.own("alias"), d) { // an inner location has that of the one around it, and what that strips
		l = l.outer
	}
	switch {
	case l == nil || l.named || l.d == nil:
		s.a.problem(d.at, "alias in a named location is not carried over", "write root")
		return p, false
	case l != st.loc && (l.exact || l.regex != nil):
		s.a.problem(st.loc.level.at, "a location within one that has an alias for one file is not carried over", "put it beside that one")
		return p, false
	case l.exact:
		if i := strings.LastIndexByte(root, '/'); strings.HasSuffix(root, "/") || i <= 0 {
			p.folder, p.to = strings.TrimSuffix(root, "/"), "/"
		} else {
			p.folder, p.to = root[:i], root[i:]
		}
		return p, true
	case l.regex != nil:
		folder, rest := root, ""
		if i := strings.IndexByte(strings.ReplaceAll(root, "{{", "__"), '{'); i >= 0 {
			i = strings.LastIndexByte(root[:i], '/')
			folder, rest = root[:i], root[i:]
		} else if i := strings.LastIndexByte(root, '/'); i > 0 {
			folder, rest = root[:i], root[i:]
		}
		if folder == "" {
			s.a.problem(d.argAt(0), "an alias that begins with a variable is not carried over", "begin it with a folder that exists")
			return p, false
		}
		p.folder, p.to = folder, rest
		return p, true
	}
	slash, to := strings.HasSuffix(l.name, "/"), strings.HasSuffix(root, "/")
	p.folder = strings.TrimSuffix(root, "/")
	if p.folder == "" {
		p.folder = "/"
	}
	if slash != to && l.name != "/" {
		s.a.problem(d.argAt(0), fmt.Sprintf("alias %q of location %q: one ends with a slash, and the other does not, so that names of files are joined to another's", d.arg(0), l.name), "end both with a slash")
		return p, false
	}
	p.strip = strings.TrimSuffix(l.name, "/")
	if !slash { // "/media" is no prefix of "/media2" here
		s.beside(st, l, p)
	}
	return p, true
}

// beside parts a location without a slash at its end from paths that only begin
// alike.
func (s *site) beside(st *state, l *location, p place) {
	pattern, bad := newPattern("^"+regexp.QuoteMeta(l.name)+"(?:/|$)", false)
	if bad == nil {
		st.when = st.when.matching(pattern)
	}
}

// index is the names of files that answer for a folder in this location. Those
// that another location answers for are routes of their own, which lead there.
func (s *site) index(st state, p place) []string {
	names, at := []string{"index.html"}, p.at
	request := "" // of names, that with variables
	if d := st.scope.level.last("index"); d != nil {
		names, at = nil, d.at
		for _, w := range d.args {
			if strings.HasPrefix(w.text, "/") && strings.Contains(w.text, "$") { // it is a request of its own
				if text, ok := st.scope.expand(w, forText); ok {
					names, request = append(names, text), text
				}
				continue
			}
			text, ok := st.scope.fixed(w, "a name of index")
			if ok {
				names = append(names, text)
			}
		}
	}
	last := -1
	for i, name := range names {
		if s.elsewhere(name, st.loc) {
			last = i
		}
	}
	if !s.endsWithSlash(st) { // no folder is asked for, and no other location is led to
		return []string{"index.html"}
	}
	if last < 0 {
		return slices.DeleteFunc(names, func(n string) bool { return strings.HasPrefix(n, "/") })
	}
	if p.strip != "" || p.to != "" {
		folder := p.folder
		if p.to != "" {
			return nil
		}
		prefix, bad := newPattern("^"+regexp.QuoteMeta(p.strip)+"(/|/.*/)$", false)
		if bad != nil {
			return nil
		}
		for _, name := range names[:last+1] {
			r := s.add(st.group, st.when.matching(prefix).with(atom{subject: folder + "{1}" + document.Literal(name), op: 'f', value: "file"}), at)
			forIndex(r)
			s.anew(r, "{path}"+document.Literal(name), at)
		}
		return names[last+1:]
	}
	folder, _ := newPattern("/$", false)
	when := st.when.matching(folder)
	for i, name := range names[:last+1] {
		if strings.HasPrefix(name, "/") {
			if i > 0 { // those before it were looked for in a folder
				when = when.with(atom{subject: p.folder + "{path}", op: 'f', value: "folder"})
			}
			r := s.add(st.group, when, at)
			forIndex(r)
			to := document.Literal(name)
			if name == request {
				to = name
			}
			s.anew(r, to, at)
			return nil
		}
		r := s.add(st.group, when.with(atom{subject: p.folder + "{path}" + document.Literal(name), op: 'f', value: "file"}), at)
		forIndex(r)
		s.anew(r, "{path}"+document.Literal(name), at)
	}
	return names[last+1:]
}

// forIndex has a route that leads to an index take the methods that nginx looks for
// one with. Any other is not allowed of a folder, whatever answers for its index.
func forIndex(r *route) {
	if !slices.ContainsFunc(r.when.atoms, func(a atom) bool { return a.subject == "{method}" }) {
		r.set("method", []string{"GET", "POST"}, r.at)
	}
}

// elsewhere reports whether a file of a folder may be for another location.
func (s *site) elsewhere(name string, here *location) bool {
	if strings.HasPrefix(name, "/") {
		return true
	}
	from := "/" // what the paths of this location begin with
	if here != nil && here.d != nil && here.regex == nil && !here.named {
		from = here.name
	}
	var find func(all []*location) bool
	find = func(all []*location) bool {
		return slices.ContainsFunc(all, func(l *location) bool {
			if find(l.inner) {
				return true
			}
			if l == here || l.named {
				return false
			}
			if l.regex != nil {
				return mayMatch(l.regex.expr, from, name, here != nil && here.regex != nil)
			}
			if strings.HasSuffix(l.name, "/") {
				return false
			}
			base, folder := path.Base(l.name), strings.TrimSuffix(path.Dir(l.name), "/")+"/"
			if !strings.HasPrefix(folder, from) { // another folder than any of this location
				return false
			}
			return l.exact && base == name || !l.exact && strings.HasPrefix(name, base)
		})
	}
	return find(s.locations)
}
