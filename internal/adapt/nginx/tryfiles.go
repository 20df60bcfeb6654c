package nginx

// try_files.

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"millrace/internal/adapt/document"
)

// attempt is one item of try_files.
type attempt struct {
	text   string // a path with placeholders
	folder bool
	at     document.Place
}

// tryOr makes the routes of a location with try_files, or without.
func (s *site) tryOr(st state) {
	own := st.scope.level.own("try_files")
	if len(own) == 0 {
		if !s.missing(st) {
			s.handle(st)
		}
		return
	}
	d := own[len(own)-1]
	if p, is := s.partsBefore(st, d); is { // the script, whatever follows its name
		parted := st.fork()
		parted.when = parted.when.matching(p)
		parted.scope.script = &split{"{1}", "{2}"}
		s.try(parted, d)
	}
	s.try(st, d)
}

// partsBefore is what parts a path before a try_files that looks for the script.
func (s *site) partsBefore(st state, d *directive) (pattern, bool) {
	l := st.scope.level
	parts, handler := l.last("fastcgi_split_path_info"), l.handler()
	if parts == nil || handler == nil || handler.name != "fastcgi_pass" || !s.parts(parts, st) || !strings.Contains(d.arg(0), "$fastcgi_script_name") {
		return pattern{}, false
	}
	p, bad := newPattern(parts.arg(0), false)
	return p, bad == nil && p.groups >= 2
}

// try makes the routes of a try_files.
func (s *site) try(st state, d *directive) {
	var items []attempt
	for _, w := range d.args[:len(d.args)-1] {
		text, ok := st.scope.expand(w, forURL)
		if !ok {
			return
		}
		a := attempt{text: text, at: w.at}
		if strings.HasSuffix(w.text, "/") {
			a.folder, a.text = true, strings.TrimSuffix(text, "/")
		}
		if a.text != "" && !strings.HasPrefix(a.text, "/") && !strings.HasPrefix(a.text, "{") {
			a.text = "/" + a.text
		}
		items = append(items, a)
	}
	last := d.args[len(d.args)-1]
	if s.plainly(st, items, last, d) {
		return
	}
	s.attempts(st, items, d)
	s.finally(st, last, d)
}

// missing is an error_page 404 that names a location where files are missing:
// the way of the time before try_files.
func (s *site) missing(st state) bool {
	l := st.scope.level
	own := l.location().own("error_page")
	if len(own) == 0 || l.location().context != 'L' {
		return false
	}
	for _, d := range own {
		target := d.arg(len(d.args) - 1)
		if l.handler() == nil && l.last("root", "alias") != nil && strings.HasPrefix(target, "@") && d.arg(0) == "404" && len(own) == 1 && (!l.asks() || s.sameBehind(d.args[len(d.args)-1], st)) {
			p, ok := s.placeOf(&st)
			if !ok {
				return true
			}
			r := s.add(st.group, st.when, d.at)
			r.set("files", s.filesTable(&st.scope, p, s.index(st, p)), p.at)
			if group, ok := s.namedGroup(d.args[len(d.args)-1]); ok {
				r.set("try_files", []string{"{path}", "@" + group}, d.at)
			}
			return true
		}
	}
	return false
}

// plainly is try_files as a route has it: files, and then one thing.
func (s *site) plainly(st state, items []attempt, last word, d *directive) bool {
	if st.scope.level.asks() && !s.sameBehind(last, st) { // it is to be guarded, too
		return false
	}
	if st.scope.level.handler() != nil || slices.ContainsFunc(items, func(a attempt) bool { return a.folder }) {
		return false
	}
	p, ok := s.placeOf(&st)
	if !ok {
		return true
	}
	if p.none || p.to != "" || strings.Contains(p.folder, "{") {
		return false
	}
	list := make([]string, 0, len(items)+1)
	for _, a := range items {
		list = append(list, a.text)
	}
	switch {
	case strings.HasPrefix(last.text, "="):
		code, ok := s.status(last)
		if !ok {
			return true
		}
		if code < 400 {
			return false
		}
		list = append(list, "="+strconv.Itoa(code))
	case strings.HasPrefix(last.text, "@"):
		group, ok := s.namedGroup(last)
		if !ok {
			return true
		}
		list = append(list, "@"+group)
	default:
		to, ok := s.target(last, &st.scope)
		if !ok {
			return true
		}
		switch l := s.resolve(to); {
		case l == nil || l.level.internal() != nil:
			return false
		case l == st.loc: // this very route answers
			path, _, _ := strings.Cut(to, "?")
			list = append(list, path, "=404")
		default:
			list = append(list, to)
		}
	}
	r := s.add(st.group, st.when, d.at)
	r.set("try_files", list, d.at)
	files := s.filesTable(&st.scope, p, nil) // what is tried are files: a folder is none, whatever is in it
	if l := st.scope.level; l.on("autoindex", false) {
		files.Set("listing", false, l.last("autoindex").at)
	}
	r.set("files", files, p.at)
	s.typesOf(r, st.scope.level)
	return true
}

// sameBehind reports whether what try_files ends with asks for the same as the level
// itself.
func (s *site) sameBehind(last word, st state) bool {
	switch {
	case strings.HasPrefix(last.text, "="):
		return true
	case strings.HasPrefix(last.text, "@"):
		i := slices.IndexFunc(s.locations, func(l *location) bool { return l.named && l.name == last.text })
		return len(st.scope.level.location().own("limit_req", "limit_conn")) == 0 && i >= 0 && s.sameAt(s.locations[i], st.scope.level)
	}
	path, _, _ := strings.Cut(last.text, "?")
	if strings.Contains(path, "$") {
		return false
	}
	l := s.resolve(path)
	return l != nil && l == st.loc || len(st.scope.level.location().own("limit_req", "limit_conn"))+len(s.level.own(rewriting...)) == 0 && s.sameAt(l, st.scope.level)
}

// target is the path that try_files ends with.
func (s *site) target(w word, sc *scope) (string, bool) {
	to, ok := sc.expand(w, forURL)
	if ok && !strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "{") {
		to = "/" + to
	}
	return to, ok
}

func (s *site) status(w word) (int, bool) {
	n, err := strconv.Atoi(strings.TrimPrefix(w.text, "="))
	if err != nil || n < 200 || n > 599 {
		s.a.problem(w.at, fmt.Sprintf("invalid code %q", w.text), `write "=404"`)
		return 0, false
	}
	return n, true
}

// namedGroup is the group of a named location.
func (s *site) namedGroup(w word) (string, bool) {
	for _, l := range s.locations {
		if l.named && l.name == w.text {
			return s.groupOf(l), true
		}
	}
	s.a.problem(w.at, fmt.Sprintf("could not find named location %q", w.text), "write location "+w.text+" { … } at the server")
	return "", false
}

// attempts makes a route for each file that is looked for.
func (s *site) attempts(st state, items []attempt, d *directive) {
	root, dir, ok := s.root(&st.scope)
	if !ok {
		return
	}
	if dir != nil && dir.name == "alias" {
		s.a.problem(d.at, "try_files with folders, or before back ends, below an alias is not carried over", "write root, with the files in a folder of the location's name")
		return
	}
	for i := 0; i < len(items); i++ {
		a := items[i]
		kind := "file"
		if a.folder {
			kind = "folder"
		}
		if i+1 < len(items) && items[i+1].text == a.text && items[i+1].folder != a.folder { // $uri $uri/
			kind = "any"
			i++
		}
		inner := st.fork()
		inner.when = inner.when.with(atom{subject: root + a.text, op: 'f', value: kind})
		if a.text == "{path}" || a.text == "" {
			s.handle(inner)
			continue
		}
		inner.changed = true
		s.rewritten(inner, a.text, a.at, s.handle)
	}
}

// finally is where a request goes whose files are missing.
func (s *site) finally(st state, last word, d *directive) {
	switch {
	case strings.HasPrefix(last.text, "="):
		if code, ok := s.status(last); ok {
			respond(s.add(st.group, st.when, last.at), code, "", "", last.at)
		}
	case strings.HasPrefix(last.text, "@"):
		if group, ok := s.namedGroup(last); ok {
			s.add(st.group, st.when, last.at).set("goto", group, last.at)
		}
	default:
		to, ok := s.target(last, &st.scope)
		if !ok {
			return
		}
		r := s.add(st.group, st.when, last.at)
		if l := s.resolve(to); l != nil && l.level.internal() != nil {
			r.set("rewrite", to, last.at)
			r.set("goto", s.groupOf(l), last.at)
			return
		}
		again := document.Inline() // nginx begins anew with the server's own rewriting
		again.Set("to", to, last.at)
		again.Set("repeat", true, last.at)
		r.set("rewrite", again, last.at)
	}
}
