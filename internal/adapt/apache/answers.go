package apache

// What answers in an area: files, scripts, programs, behind who may.

import (
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"millrace/internal/adapt/document"
)

// answers makes the routes of an area for requests that some sections are for.
func (l *lowering) answers(a area, c *conf, with []partial) {
	s := l.site
	base := l.condition(a, with)
	if c.sslRequired != nil && !s.tls {
		s.emit(base, l.refused(c, c.sslRequired.place))
		return
	}
	for _, k := range l.classes(c) {
		on := base.clone()
		on.method = k.methods
		l.gated(a, c, on, k.entry)
	}
}

// gated makes the routes of an area for some requests, by the ways in.
func (l *lowering) gated(a area, c *conf, base cond, gates entry) {
	s := l.site
	gates = slices.Clone(gates)
	slices.SortStableFunc(gates, func(x, y gate) int {
		switch {
		case x.named == y.named:
			return 0
		case y.named:
			return -1
		}
		return 1
	})
	for i, g := range gates {
		with := base.clone()
		var keys pairs
		switch {
		case g.shut:
			s.emit(with, l.refused(c, placeOf(g.at)))
			continue
		case i == len(gates)-1:
			keys = l.guard(c, g)
		case g.named || g.not != nil || g.clients == nil:
			l.refuse(g.at, "these rules of who may come in are alternatives that no route can hold", "write them as one <RequireAll>, or as Require ip and Require valid-user")
			continue
		default:
			with.client = g.clients
		}
		l.answer(a, c, with, keys)
	}
}

// refused is 403, with the page for it.
func (l *lowering) refused(c *conf, at document.Place) body {
	b := status(at, 403)
	b.keys = append(b.keys, l.ownPages(c)...)
	if len(c.headers) > 0 && l.site.headersHere {
		if h := l.headers(c.headers); !h.Empty() {
			b.keys.set("headers", h, c.headers[0].place)
		}
	}
	return b
}

// answer makes the routes of one gate.
func (l *lowering) answer(a area, c *conf, on cond, guard pairs) {
	switch {
	case c.proxy != nil && c.proxyAt != "":
		l.locationProxy(a, c, on, guard)
		return
	case a.m.kind == isProxy:
		l.proxyRoute(a.m.d, a.m.prefix, a.m.expr, a.m.d.arg(1), a.m.d.texts()[2:], a.prefix, c, on, guard)
		return
	case a.m.kind == isWSGI:
		l.wsgiRoute(a, c, on, guard)
		return
	case a.m.kind == isUserDir:
		l.userDir(a, c, on, guard)
		return
	}
	if c.handler != nil && a.m.kind != isProgram {
		if len(c.forced) > 0 && handlerName(c.handler) != "default-handler" {
			l.scripts(a, c, on, guard)
		}
		if l.handlerOfAll(a, c, on, guard) {
			return
		}
	}
	if a.m.kind == isProgram {
		l.programs(a, c, on, guard)
		return
	}
	if a.m.folder == "" && a.m.kind == isFiles {
		s := status(placeOf(a.m.d), 404)
		s.keys = append(s.keys, guard...)
		l.site.emit(on, s)
		return
	}
	if len(guard) > 0 && (c.fallback != nil || slices.ContainsFunc(c.indexes(), func(name string) bool { return strings.HasPrefix(name, "/") })) {
		if e, all := l.entry(c); !all { // what it leads to may be open to all
			l.refuse(c.access.require[0], "rules for some methods beside FallbackResource, or a DirectoryIndex that is a path", "write one rule for all methods")
		} else if len(on.not) == 0 {
			l.before(on, e, c, "", "")
		}
	}
	if a.m.file != "" && l.oneScript(a, c, on, guard) {
		return
	}
	scripts := l.scripts(a, c, on, guard)
	if c.fallback != nil {
		l.fallback(a, c, on)
	}
	l.files(a, c, on, guard, scripts)
}

// files is the route of files.
func (l *lowering) files(a area, c *conf, on cond, guard pairs, scripts []string) {
	var f pairs
	d := a.m.d
	root := document.Literal(a.m.folder)
	if a.m.kind == isVirtual {
		text, ok := l.virtualRoot(d)
		if !ok {
			return
		}
		root = text
	}
	f.set("root", root, placeOf(d))
	if strip := strings.TrimSuffix(a.m.prefix, "/"); strip != "" && a.m.expr == "" && a.m.file == "" {
		f.set("strip", strip, placeOf(d))
	}
	var index []string
	for _, name := range c.indexes() {
		ext := strings.TrimPrefix(path.Ext(name), ".")
		switch {
		case slices.Contains(scripts, strings.ToLower(ext)):
		case strings.HasPrefix(name, "/"):
			l.indexElsewhere(a, c, on, name)
		case strings.Contains(name, "/"):
			l.refuse(c.get("directoryindex"), "DirectoryIndex "+name+": a path", "write the name of a file, or a path from the root of the site")
		default:
			index = append(index, name)
		}
	}
	if !slices.Equal(index, []string{"index.html"}) {
		f.set("index", append([]string{}, index...), placeOf(d))
	}
	if c.has(optIndexes) {
		f.set("listing", l.listing(a, c), placeOf(c.optionsAt))
	}
	if c.has(optFollow) {
		f.set("follow_symlinks", true, placeOf(c.optionsAt))
	}
	l.ownTypes(c, &f)
	b := body{at: placeOf(d)}
	if a.m.expr != "" || a.m.file != "" {
		to := a.m.to
		if a.m.file != "" {
			to = "/" + document.Literal(a.m.file)
			on = on.only(a.m.prefix)
		}
		b.keys.set("rewrite", to, placeOf(d))
	}
	if c.has(optMultiViews) {
		b.comments = append(b.comments, "Options MultiViews: names are not guessed; a path without its extension is not found")
	}
	if c.has(optFollowOwner) && !c.has(optFollow) {
		b.comments = append(b.comments, "Options SymLinksIfOwnerMatch: links are followed that lead to what is in the folder, whoever owns them")
	}
	l.expiring(a, c, on, guard, f, b)
}

// filesRoute emits a route of files.
func (l *lowering) filesRoute(c *conf, on cond, guard, f pairs, b body) {
	b.keys = slices.Clone(b.keys)
	b.keys.set("files", f.inline(), b.at)
	b.keys = append(b.keys, guard...)
	b.keys = append(b.keys, l.around(c, "files", "")...)
	l.site.emit(on, b)
}

// indexElsewhere is a DirectoryIndex that is a path of the site, for folders
// that have none of the names before it.
func (l *lowering) indexElsewhere(a area, c *conf, on cond, name string) {
	text, ok := a.m.fileText()
	if !ok {
		l.refuse(c.get("directoryindex"), "DirectoryIndex "+name+" below an Alias", "write the name of a file")
		return
	}
	of := on.clone()
	if of.regexp != "" {
		return
	}
	of.regexp = "/$"
	of.exists.set(text, "folder", of.at)
	for _, before := range c.indexes() {
		if before == name {
			break
		}
		of.exists.set(text+before, "none", of.at)
	}
	var p pairs
	p.set("to", document.Literal(name), of.at)
	p.set("repeat", true, of.at)
	l.site.emit(of, answer(of.at, "rewrite", p.inline()))
}

// fallback is FallbackResource.
func (l *lowering) fallback(a area, c *conf, on cond) {
	d := c.fallback
	text, ok := a.m.fileText()
	if !ok {
		l.refuse(d, "FallbackResource below an Alias whose folder has another name than its path", "write RewriteRule with the condition %{REQUEST_FILENAME} !-f")
		return
	}
	to := d.arg(0)
	if !strings.HasPrefix(to, "/") {
		to = strings.TrimSuffix(a.prefix, "/") + "/" + to
	}
	of := on.clone()
	of.exists.set(text, "none", d.place)
	of.exclude = append(of.exclude, "^"+quoteMeta(to)+"$")
	var p pairs
	p.set("to", document.Literal(to), d.place)
	p.set("repeat", true, d.place)
	l.site.emit(of, answer(d.place, "rewrite", p.inline()))
}

// programs is a folder of ScriptAlias.
func (l *lowering) programs(a area, c *conf, on cond, guard pairs) {
	s := l.site
	if c.handler != nil && strings.EqualFold(c.handler.arg(0), "fcgid-script") || c.fcgid[""] != nil {
		l.fcgidFolder(a, c, on, guard, nil)
		return
	}
	if a.m.file != "" && l.fcgidFile(a, c, on, guard) {
		return
	}
	var p pairs
	p.set("root", a.m.folder, placeOf(a.m.d))
	b := body{at: placeOf(a.m.d)}
	strip := strings.TrimSuffix(a.m.prefix, "/")
	switch {
	case a.m.file != "":
		l.refuse(a.m.d, a.m.d.known.name+" of one file that is no FastCGI program", "alias the folder, or write AddHandler fcgid-script for it")
		return
	case a.m.expr != "":
		l.refuse(a.m.d, a.m.d.known.name+": the programs of an expression", "write ScriptAlias with the folder")
		return
	case strip != "":
		p.set("strip", strip, placeOf(a.m.d))
	}
	l.cgiKeys(c, &p)
	b.keys.set("cgi", p.inline(), b.at)
	b.keys = append(b.keys, guard...)
	b.keys = append(b.keys, l.around(c, "cgi", "")...)
	s.emit(on, b)
	missing := status(b.at, 404) // a program that is not there is no file either
	s.emit(on, missing)
}

// cgiKeys are those that programs have in common.
func (l *lowering) cgiKeys(c *conf, p *pairs) {
	s := l.site
	if c.has(optFollow) {
		p.set("follow_symlinks", true, placeOf(c.optionsAt))
	}
	if d := s.last("suexecusergroup"); d != nil {
		p.set("user", strings.TrimPrefix(d.arg(0), "#"), d.place)
		p.set("group", strings.TrimPrefix(d.arg(1), "#"), d.place)
	}
	env := l.staticEnv(c)
	if len(env) > 0 {
		p.set("env", env.inline(), env[0].at)
	}
	limits := l.limits(c)
	if len(limits) > 0 {
		p.set("rlimits", limits.inline(), limits[0].at)
	}
	if d := s.last("timeout"); d != nil {
		if text, ok := l.seconds(d, d.arg(0), "s"); ok {
			p.set("timeout", text, d.place)
		}
	}
}

// limits are RLimitCPU and its kin.
func (l *lowering) limits(c *conf) pairs {
	var p pairs
	for _, name := range slices.Sorted(maps.Keys(c.rlimits)) {
		d := c.rlimits[name]
		value := d.arg(len(d.args) - 1)
		if strings.EqualFold(value, "max") {
			continue
		}
		p.set(map[string]string{"rlimitcpu": "cpu", "rlimitmem": "as", "rlimitnproc": "nproc"}[name], value, d.place)
	}
	return p
}

// virtualRoot is VirtualDocumentRoot as a root with placeholders.
func (l *lowering) virtualRoot(d *directive) (string, bool) {
	text := d.arg(0)
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '%' || i+1 == len(text) {
			b.WriteString(fixed(text[i], false))
			continue
		}
		i++
		switch text[i] {
		case '%':
			b.WriteByte('%')
		case '0':
			b.WriteString("{host}")
		case 'p':
			b.WriteString("{port}")
		default:
			l.refuse(d, fmt.Sprintf("VirtualDocumentRoot: %%%c, a part of the name", text[i]), "write a site whose hosts are a regular expression with a group, and root = \"/srv/{name}\"")
			return "", false
		}
	}
	return filepath.Clean(b.String()), true
}
