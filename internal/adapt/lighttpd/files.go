package lighttpd

// This file: what answers by what there is of files: scripts, programs, files.

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"millrace/internal/adapt/document"
	"millrace/internal/adapt/pcre"
)

// tree is a folder of files as paths lead to it.
type tree struct {
	root  string // a text
	strip string
	conds []cond
	at    document.Place
}

// file is the file of the path, as a text, and the conditions that find it.
func (t tree) file() (string, []cond) {
	if t.strip == "" {
		return t.root + "{path}", nil
	}
	return t.root + "{below}", []cond{{key: "value", name: "{path}", value: "~^" + regexp.QuoteMeta(t.strip) + "(?P<below>/.*)$", at: t.at}}
}

// there is the condition that there is something at the path, or at a name behind it.
func (t tree) there(kind, name string, at document.Place) []cond {
	file, conds := t.file()
	return append(conds, cond{key: "exists", name: file + document.Literal(name), value: kind, at: at})
}

// aliases are the routes of alias.url, of which the first that a path begins with
// counts.
func (l *lowering) aliases(gateways []*gateway, all []known) []*route {
	s := l.effective("alias.url", all)
	if s == nil {
		return nil
	}
	var out []*route
	for _, of := range s.value.items {
		if !of.keyed || of.value.shape == isList {
			l.problems.Add(of.at, `alias.url takes "/path" => "/folder/"`, "write a string, =>, and a string")
			continue
		}
		key, to := of.key, of.value.string()
		target := absolute(to)
		switch {
		case isFile(target) && !strings.HasSuffix(key, "/"):
			files := document.Inline()
			files.Set("root", document.Literal(filepath.Dir(target)), of.at)
			r := (&route{at: of.at}).set("rewrite", document.Literal("/"+filepath.Base(target)), of.at).set("files", files, of.at)
			out = append(out, r.when(cond{key: "path", value: key, at: of.at}))
		case strings.HasSuffix(key, "/") && !strings.HasSuffix(to, "/"):
			l.problems.Add(of.at, "alias.url "+quote(key)+" => "+quote(to)+" cannot be carried over: what follows the key is put behind the folder's name without a slash", `end both with a slash: "`+key+`" => "`+to+`/"`)
		case !strings.HasPrefix(key, "/"):
			l.problems.Add(of.at, "alias.url "+quote(key)+" cannot be carried over: no path begins with it", "begin it with a slash")
		case key == "/":
			out = append(out, l.physical(tree{root: document.Literal(target), at: of.at}, gateways, all)...)
		case strings.HasSuffix(key, "/"):
			t := tree{root: document.Literal(target), strip: strings.TrimSuffix(key, "/"), conds: below(key, of.at), at: of.at}
			out = append(out, l.physical(t, gateways, all)...)
		case strings.HasSuffix(target, key) && len(target) > len(key):
			t := tree{root: document.Literal(strings.TrimSuffix(target, key)), conds: below(key, of.at), at: of.at}
			out = append(out, l.physical(t, gateways, all)...)
		default:
			slashed := document.Inline()
			slashed.Set("to", document.Literal(key)+"/?{query}", of.at)
			slashed.Set("status", 301, of.at)
			out = append(out, (&route{at: of.at}).set("redirect", slashed, of.at).when(cond{key: "path", value: key, at: of.at}))
			t := tree{root: document.Literal(target), strip: key, conds: below(key+"/", of.at), at: of.at}
			routes := l.physical(t, gateways, all)
			if len(routes) > 0 {
				routes[0].comment("the alias is for " + key + "/ and what is below it: what else begins with " + key + " is not")
			}
			out = append(out, routes...)
		}
	}
	return out
}

// documents are the routes of the folder of a site: that of evhost or simple-vhost,
// where it is there, else server.document-root.
func (l *lowering) documents(gateways []*gateway, all []known) []*route {
	var out []*route
	for _, t := range l.hostTrees(all) {
		out = append(out, l.physical(t, gateways, all)...)
		if len(t.conds) == 0 { // which takes all that is left
			return out
		}
	}
	s := l.effective("server.document-root", all)
	if s == nil || s.value.text == "" {
		at := l.blocks[0].at
		status := document.Inline()
		status.Set("status", 404, at)
		return append(out, (&route{at: at}).set("respond", status, at).comment("there is no server.document-root"))
	}
	return append(out, l.physical(tree{root: document.Literal(absolute(s.value.text)), at: s.at}, gateways, all)...)
}

// physical are the routes of one tree, the last of which takes all of it.
func (l *lowering) physical(t tree, gateways []*gateway, all []known) []*route {
	var out []*route
	index, first := l.index(gateways, all)
	scripts := l.scripts(t, gateways, all)
	out = append(out, l.firstIndex(t, first)...)
	dotted, anything := l.scriptEndings(gateways, all)
	out = append(out, l.barredScripts(t, dotted, anything, all)...)
	out = append(out, scripts...)
	out = append(out, l.programs(t, all)...)
	if s := l.effective("static-file.exclude-extensions", all); s != nil && len(s.value.items) > 0 {
		out = append(out, forbidden(s.at, cond{key: "regexp", value: endings(s.value.items, func(of item) string { return of.value.string() }), at: s.at}))
	}
	files := document.Inline()
	files.Set("root", t.root, t.at)
	if t.strip != "" {
		files.Set("strip", t.strip, t.at)
	}
	files.Set("index", index, t.at)
	if s := l.listing(all); s != nil {
		files.Set("listing", l.listed(all), s.at)
	}
	if l.listing(all) == nil { // lighttpd shows that the folder is there
		conds := append(t.there("folder", "", t.at), cond{key: "regexp", value: "/$", at: t.at})
		for _, name := range index {
			conds = append(conds, t.there("none", name, t.at)...)
		}
		out = append(out, forbidden(t.at, conds...))
	}
	if s := l.handler404(all); s != nil { // files take no other method, and that is who answers for what is no file
		group := l.handlerGroup(s)
		out = append(out, (&route{at: s.at}).set("goto", group, s.at).
			when(append(t.there("none", "", s.at), cond{key: "value", name: "{method}", value: "~^(?:GET|HEAD)$", not: true, at: s.at})...))
	}
	out = append(out, (&route{at: t.at}).set("files", files, t.at))
	for _, r := range out {
		r.when(t.conds...)
	}
	return out
}

func (l *lowering) listing(all []known) *setting {
	s := l.effective("dir-listing.activate", all)
	if s == nil {
		s = l.effective("server.dir-listing", all)
	}
	if s == nil || !enabled(s.value) {
		return nil
	}
	return s
}

// listed is the value of listing: which names are not shown, if any.
func (l *lowering) listed(all []known) any {
	s := l.effective("dir-listing.exclude", all)
	if s == nil || len(s.value.items) == 0 {
		return true
	}
	var exprs []string
	for _, of := range s.value.items {
		expr, bad := translate(of.value.string())
		if bad != "" {
			l.problems.Add(s.at, "dir-listing.exclude: regular expression "+quote(of.value.string())+" "+bad, hintOfRegexp)
			return true
		}
		exprs = append(exprs, expr)
	}
	t := document.Inline()
	t.Set("hide", pcre.Union(exprs), s.at)
	return t
}

// indexed is an index file that is looked for before others, as another one behind it
// is no plain file.
type indexed struct {
	name      string
	forbidden bool
	conds     []cond // of a forbidden one: of which folders
}

// index is the files that answer for a folder, and those that have to be looked for one
// by one: all before a script, and those that are not shown.
func (l *lowering) index(gateways []*gateway, all []known) (names []string, first []indexed) {
	names = []string{}
	s := l.indexNames(all)
	if s == nil {
		return names, nil
	}
	var seen []indexed
	access := l.accessOf(all)
	for _, of := range s.value.items {
		name := of.value.string()
		barred, conds := access.barredIndex(name)
		if barred {
			seen = append(seen, indexed{name, true, conds})
			first = slices.Clone(seen)
			if len(conds) == 0 {
				continue
			}
		}
		switch {
		case strings.HasPrefix(name, "/") || name == "" || strings.Contains(name, "/"):
			l.problems.Add(of.at, s.name+" cannot be carried over with "+quote(name)+": an index is a file of the folder", "write its name, without a slash")
		case l.isScript(name, gateways, all):
			first = slices.Clone(seen)
		case l.excluded(name, all):
			seen = append(seen, indexed{name, true, nil})
			first = slices.Clone(seen)
		default:
			seen = append(seen, indexed{name, false, nil})
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names, first
}

// indexNames is the setting that names them.
func (l *lowering) indexNames(all []known) *setting {
	if s := l.effective("index-file.names", all); s != nil {
		return s
	}
	return l.effective("server.indexfiles", all)
}

// excluded reports whether a file is not shown for its name.
func (l *lowering) excluded(name string, all []known) bool {
	s := l.effective("static-file.exclude-extensions", all)
	return s != nil && slices.ContainsFunc(s.value.items, func(i item) bool { return strings.HasSuffix(name, i.value.string()) })
}

// scriptIndex is the first index that a script with one of some endings may be.
func (l *lowering) scriptIndex(ending []string, all []known) string {
	s := l.indexNames(all)
	if s == nil {
		return ""
	}
	for _, of := range s.value.items {
		if slices.ContainsFunc(ending, func(e string) bool { return strings.HasSuffix(of.value.string(), e) }) {
			return of.value.string()
		}
	}
	return ""
}

// isScript reports whether a file's name is that of a script or a program.
func (l *lowering) isScript(name string, gateways []*gateway, all []known) bool {
	for _, g := range gateways {
		for _, key := range append(slices.Clone(g.mapped), g.key) {
			if g.local && !g.authorizer && strings.HasPrefix(key, ".") && strings.HasSuffix(name, key) {
				return true
			}
		}
	}
	if s := l.effective("cgi.assign", all); s != nil {
		for _, of := range s.value.items {
			if strings.HasPrefix(of.key, ".") && strings.HasSuffix(name, of.key) {
				return true
			}
		}
	}
	return false
}

// firstIndex is the routes of index files that are looked for one by one.
func (l *lowering) firstIndex(t tree, names []indexed) []*route {
	var out []*route
	for _, of := range names {
		conds := append(t.there("file", of.name, t.at), cond{key: "regexp", value: "/$", at: t.at})
		if of.forbidden {
			out = append(out, forbidden(t.at, append(conds, of.conds...)...))
			continue
		}
		files := document.Inline()
		files.Set("root", t.root, t.at)
		if t.strip != "" {
			files.Set("strip", t.strip, t.at)
		}
		files.Set("index", []string{of.name}, t.at)
		out = append(out, (&route{at: t.at}).set("files", files, t.at).when(conds...))
	}
	return out
}

// scripts are the routes of gateways that want a file.
func (l *lowering) scripts(t tree, gateways []*gateway, all []known) []*route {
	var out []*route
	for _, g := range gateways {
		if g.authorizer || g.http {
			continue
		}
		var dotted []string
		for _, key := range append(slices.Clone(g.mapped), g.key) {
			switch {
			case strings.HasPrefix(key, "/") && !g.local:
			case strings.HasPrefix(key, "/"):
				out = append(out, l.prefixed(t, g, key)...)
			case strings.HasPrefix(key, ".") && !strings.ContainsAny(key[1:], "./\\"):
				dotted = append(dotted, strings.ToLower(key))
			default:
				r := l.toGateway(g)
				conds := t.there("file", "", g.at)
				if key != "" {
					conds = append(conds, cond{key: "regexp", value: regexp.QuoteMeta(key) + "$", at: g.at})
				}
				file, _ := t.file()
				l.params(r, g.at, "SCRIPT_NAME", "{path}", "SCRIPT_FILENAME", file, "PATH_INFO", "", "DOCUMENT_ROOT", t.root, "REDIRECT_STATUS", "200")
				out = append(out, l.stripped(g, r.when(conds...))...)
			}
		}
		if len(dotted) == 0 {
			continue
		}
		if handler := l.handler404(all); handler != nil {
			out = append(out, l.missingScript(t, dotted, handler, g))
		}
		r := l.toGateway(g)
		script := document.Inline()
		script.Set("root", t.root, t.at)
		script.Set("extensions", dotted, g.at)
		script.Set("index", l.scriptIndex(dotted, all), g.at)
		if g.docroot != "" {
			script.Set("app_root", filepath.Clean(g.docroot), g.at)
		}
		r.set("script", script, g.at)
		if t.strip != "" {
			r.set("mount", t.strip, t.at)
		}
		out = append(out, l.stripped(g, r)...)
	}
	return out
}

// missingScript sends what a script is not there for to server.error-handler-404: of a
// route of scripts it would be an error of the app.
func (l *lowering) missingScript(t tree, dotted []string, handler *setting, g *gateway) *route {
	group := l.handlerGroup(handler)
	expr := strings.TrimSuffix(endings(texts(dotted), func(of item) string { return of.key }), "$")
	r := (&route{at: handler.at}).set("goto", group, handler.at)
	return r.when(cond{key: "regexp", value: "^" + regexp.QuoteMeta(t.strip) + "(?P<script>/.*?" + expr + ")(?:/|$)", at: g.at},
		cond{key: "exists", name: t.root + "{script}", value: "none", at: handler.at})
}

func texts(list []string) []item {
	var out []item
	for _, s := range list {
		out = append(out, item{key: s})
	}
	return out
}

// prefixed are the routes of a gateway for a prefix, below which there has to be a file.
func (l *lowering) prefixed(t tree, g *gateway, key string) []*route {
	if ending := filepath.Ext(key); ending != "" && len(ending) > 1 { // /dispatch.fcgi, which is a script with a path behind it
		script := document.Inline()
		script.Set("root", t.root, t.at)
		script.Set("extensions", []string{strings.ToLower(ending)}, g.at)
		script.Set("index", "", g.at)
		r := l.toGateway(g).set("script", script, g.at)
		if t.strip != "" {
			r.set("mount", t.strip, t.at)
		}
		return l.stripped(g, r.when(below(key, g.at)...))
	}
	r := l.toGateway(g)
	file, _ := t.file()
	l.params(r, g.at, "SCRIPT_NAME", "{path}", "SCRIPT_FILENAME", file, "PATH_INFO", "", "DOCUMENT_ROOT", t.root, "REDIRECT_STATUS", "200")
	return l.stripped(g, r.when(append(below(key, g.at), t.there("any", "", g.at)...)...))
}

// programs are the routes of cgi.assign.
func (l *lowering) programs(t tree, all []known) []*route {
	s := l.effective("cgi.assign", all)
	if s == nil || len(s.value.items) == 0 {
		return nil
	}
	var out []*route
	make := func(ending []string, interpreters *document.Table, at document.Place, conds ...cond) {
		cgi := document.Inline()
		cgi.Set("root", t.root, t.at)
		if t.strip != "" {
			cgi.Set("strip", t.strip, t.at)
		}
		if len(ending) > 0 {
			cgi.Set("extensions", ending, at)
			if name := l.scriptIndex(ending, all); name != "" {
				cgi.Set("index", name, at)
			}
		}
		if interpreters != nil && !interpreters.Empty() {
			cgi.Set("interpreters", interpreters, at)
		}
		if limits := l.effective("cgi.limits", all); limits != nil {
			if v := limits.value.get("read-timeout"); v != nil && number(v) > 0 {
				cgi.Set("timeout", v.string()+"s", v.at)
			}
			for _, left := range [][2]string{unwritten, halves} {
				if v := limits.value.get(left[0]); v != nil {
					l.document.Top().Comment(place(v.at) + ": " + left[0] + " is left out: " + left[1])
				}
			}
		}
		out = append(out, (&route{at: at}).set("cgi", cgi, at).when(conds...))
	}
	var ending []string
	interpreters := document.Inline()
	everything := false
	for _, of := range s.value.items {
		program := of.value.string()
		switch {
		case strings.HasPrefix(of.key, ".") && !strings.ContainsAny(of.key[1:], "./\\"):
			ending = append(ending, strings.ToLower(of.key))
			if program != "" {
				interpreters.Set(strings.ToLower(of.key), program, of.at)
			}
		case program != "":
			l.problems.Add(of.at, "cgi.assign "+quote(of.key)+" cannot be carried over with an interpreter: these go by the ending of a file", `write ".pl" => "/usr/bin/perl"`)
		case of.key == "":
			everything = true
		case strings.HasPrefix(of.key, "/"):
			make(nil, nil, of.at, below(of.key, of.at)...)
		default:
			make(nil, nil, of.at, cond{key: "regexp", value: regexp.QuoteMeta(of.key) + "$", at: of.at})
		}
	}
	if len(ending) > 0 {
		make(ending, interpreters, s.at)
	}
	if everything {
		make(nil, nil, s.at)
	}
	return out
}

// isFolder reports whether a path is a folder now.
func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
