package lighttpd

// This file: what answers. For each case that requests fall into, its routes in the
// order in which lighttpd's modules are asked, the last of which takes all.

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"millrace/internal/adapt/document"
)

// routes writes those of a site. Where paths are rewritten, what answers is in a
// group, so that nothing is rewritten twice.
func (l *lowering) routes(t *document.Table, h hostCase, all []known) {
	group := ""
	notFile := l.has(notFileNames, all)
	if l.has(rewriteNames, all) || notFile {
		group = "site"
	}
	if l.has(rewriteNames, all) {
		next := group
		if notFile {
			next = "as-it-came"
		}
		l.emit(t, "", l.rewrites(h, all, rewriteNames, next, group))
		if notFile {
			l.emit(t, next, l.notFile(h, all, group))
		}
	} else if notFile {
		l.emit(t, "", l.notFile(h, all, group))
	}
	for i, lf := range l.leaves(all, l.handled) {
		conds := condsOf(lf.path)
		routes := l.handle(h, lf.all)
		in := group
		if len(conds) > 0 && (len(routes) > 3 || tooMany(conds, routes)) {
			in = "case-" + strconv.Itoa(i+1)
			l.emit(t, group, []*route{(&route{at: conds[0].at}).set("goto", in, conds[0].at).when(conds...)})
			conds = nil
		}
		for _, r := range routes {
			r.when(conds...)
		}
		l.emit(t, in, routes)
	}
}

// tooMany reports whether there are conditions of routes that cannot stand beside
// others.
func tooMany(conds []cond, routes []*route) bool {
	return slices.ContainsFunc(routes, func(r *route) bool {
		_, rest, possible := join(append(slices.Clone(conds), r.conds...))
		if possible && len(rest) > 0 {
			_, rest, possible = join(rest)
		}
		return possible && len(rest) > 0
	})
}

// handled reports whether a setting bears on what answers.
func (l *lowering) handled(s *setting) bool {
	if slices.Contains(rewriteNames, s.name) || slices.Contains(notFileNames, s.name) || strings.HasPrefix(s.name, "var.") {
		return false
	}
	d := directiveOf(s.name)
	return d != nil && d.fate == lowered && d.scope == ofRequest
}

// notFile writes url.rewrite-if-not-file, and before it what lighttpd asks before
// it looks for the file.
func (l *lowering) notFile(h hostCase, all []known, done string) []*route {
	var out []*route
	wanted := func(s *setting) bool {
		return slices.Contains(notFileNames, s.name) || slices.Contains([]string{"url.redirect", "url.access-deny", "server.document-root", "alias.url", "auth.require"}, s.name)
	}
	for _, lf := range l.leaves(all, wanted) {
		conds := condsOf(lf.path)
		var of []*route
		of = append(of, l.redirects(h, lf.all)...)
		of = append(of, l.denied(lf.all)...)
		if b := l.effectiveBlock(notFileNames, lf.all); b != nil {
			if s := l.effective("auth.require", lf.all); s != nil && slices.ContainsFunc(s.value.items, func(of item) bool { return of.key != "" && of.key != "/" }) {
				l.problems.Add(s.at, "auth.require of some paths cannot be carried over beside url.rewrite-if-not-file, which takes requests away from them", "protect the paths that it rewrites to as well, by \"\" => (…)")
			}
			for _, p := range l.places(lf.all) {
				for _, r := range l.rules(b, notFileNames) {
					next := l.rewrite(h, b, r, done, done)
					next.when(append(slices.Clone(p.conds), cond{key: "exists", name: p.file, value: "file", not: true, at: r.at})...)
					of = append(of, next)
				}
			}
		}
		for _, r := range of {
			r.when(conds...)
		}
		out = append(out, of...)
		out = append(out, (&route{at: l.blocks[0].at}).set("goto", done, l.blocks[0].at).when(conds...))
	}
	return out
}

// place is a part of the paths, and the file that a path of it is.
type filePlace struct {
	conds []cond
	file  string // a text
}

// places are those of aliases and of the document root.
func (l *lowering) places(all []known) []filePlace {
	var out []filePlace
	if s := l.effective("alias.url", all); s != nil {
		for _, of := range s.value.items {
			expr := "~^" + regexp.QuoteMeta(of.key) + "(?P<below>.*)$"
			out = append(out, filePlace{
				[]cond{{key: "value", name: "{path}", value: expr, at: of.at}},
				document.Literal(absolute(of.value.string())) + slash(of.value.string()) + "{below}",
			})
		}
	}
	if s := l.effective("server.document-root", all); s != nil {
		out = append(out, filePlace{nil, document.Literal(absolute(s.value.text)) + "{path}"})
	}
	return out
}

// slash is the slash that a path ends with.
func slash(path string) string {
	if strings.HasSuffix(path, "/") {
		return "/"
	}
	return ""
}

// endings is a regexp for paths that end with one of some texts.
func endings(items []item, text func(item) string) string {
	var all []string
	for _, of := range items {
		all = append(all, regexp.QuoteMeta(text(of)))
	}
	if len(all) == 1 {
		return all[0] + "$"
	}
	return "(?:" + strings.Join(all, "|") + ")$"
}

// handle makes the routes of one case.
func (l *lowering) handle(h hostCase, all []known) []*route {
	d := l.decoration(all)
	var out []*route
	redirects, denied := l.redirects(h, all), l.denied(all)
	first, second := denied, redirects
	if l.before("redirect", "access") {
		first, second = redirects, denied
	}
	early := append(slices.Clone(first), second...)
	late := []*route{}
	if l.after("auth", "access") {
		early, late = slices.Clone(redirects), slices.Clone(denied)
	}
	if l.after("auth", "redirect") {
		early, late = slices.DeleteFunc(early, func(r *route) bool { return slices.Contains(redirects, r) }), append(late, redirects...)
	}
	for _, r := range early {
		if len(r.conds) == 0 { // whatever is asked for
			return []*route{r}
		}
		of := d
		of.bare = l.after("access", "setenv") && r.get("respond") != nil || l.after("redirect", "setenv") && r.get("redirect") != nil
		out = append(out, of.around(r))
	}
	if s := l.effective("status.status-url", all); s != nil && s.value.text != "" {
		out = append(out, d.around((&route{at: s.at}).set("status", true, s.at).when(cond{key: "path", value: s.value.text, at: s.at})))
	}
	gateways := l.allGateways(all)
	return append(out, l.guarded(d, gateways, all, func(d decoration) []*route {
		asked := make([]*route, len(late))
		for i, r := range late {
			asked[i] = d.around(r.copy())
		}
		return append(asked, d.expiring(func(d decoration) []*route { return l.answers(d, gateways, all) })...)
	})...)
}

// allGateways are those of all modules, in the order in which these are asked.
func (l *lowering) allGateways(all []known) []*gateway {
	modules := []string{"fastcgi", "scgi", "proxy"}
	slices.SortStableFunc(modules, func(a, b string) int {
		if i, ok := l.modules[a]; ok {
			if j, ok := l.modules[b]; ok {
				return i - j
			}
		}
		return 0
	})
	var out []*gateway
	for _, m := range modules {
		out = append(out, l.gateways(m, all)...)
	}
	return out
}

// answers are the routes that answer, with what is said of them.
func (l *lowering) answers(d decoration, gateways []*gateway, all []known) []*route {
	var out []*route
	for _, g := range gateways {
		if !g.local && !g.authorizer {
			out = append(out, l.byURL(g)...)
		}
	}
	out = append(out, l.aliases(gateways, all)...)
	out = append(out, l.userDirs(all)...)
	out = append(out, l.documents(gateways, all)...)
	for i := range out {
		out[i] = d.around(out[i])
	}
	return out
}

// byURL is the routes of a gateway that looks at no file.
func (l *lowering) byURL(g *gateway) []*route {
	var out []*route
	for _, key := range append(slices.Clone(g.mapped), g.key) {
		if !strings.HasPrefix(key, "/") {
			r := l.toGateway(g)
			if key != "" {
				r.when(cond{key: "regexp", value: regexp.QuoteMeta(key) + "$", at: g.at})
			}
			if !g.http {
				l.params(r, g.at, "SCRIPT_NAME", "{path}", "PATH_INFO", "")
				l.scriptFile(r, g, "{path}")
			}
			out = append(out, l.stripped(g, r)...)
			continue
		}
		if g.http {
			out = append(out, l.toGateway(g).when(below(key, g.at)...))
			continue
		}
		for _, r := range l.scriptNames(g, key) {
			out = append(out, l.stripped(g, r)...)
		}
	}
	return out
}

// scriptNames parts SCRIPT_NAME and PATH_INFO: the first is the key up to the next
// slash.
func (l *lowering) scriptNames(g *gateway, key string) []*route {
	if key == "/" && g.fixRoot {
		r := l.toGateway(g)
		l.scriptFile(r, g, "/")
		return []*route{r}
	}
	if !strings.HasSuffix(key, "/") {
		exact := l.toGateway(g).set("mount", key, g.at)
		l.scriptFile(exact, g, document.Literal(key))
		return []*route{exact.when(cond{key: "regexp", value: "^" + regexp.QuoteMeta(key) + "(?:/|$)", at: g.at}), l.named(g, key)}
	}
	return []*route{l.named(g, key)}
}

// named is a route whose SCRIPT_NAME is not the key alone.
func (l *lowering) named(g *gateway, key string) *route {
	r := l.toGateway(g)
	l.params(r, g.at, "SCRIPT_NAME", "{script}", "PATH_INFO", "{info}")
	l.scriptFile(r, g, "{script}")
	expr := "^(?P<script>" + regexp.QuoteMeta(key) + "[^/]*)(?P<info>/.*)?$"
	return r.when(cond{key: "regexp", value: expr, at: g.at})
}

// scriptFile adds what lighttpd says of a script that it has not looked at.
func (l *lowering) scriptFile(r *route, g *gateway, script string) {
	if g.root != "" {
		l.params(r, g.at, "DOCUMENT_ROOT", g.root, "SCRIPT_FILENAME", g.root+script)
	}
	l.params(r, g.at, "REDIRECT_STATUS", "200")
}

// params adds parameters to a route.
func (l *lowering) params(r *route, at document.Place, pairs ...string) {
	table, _ := r.get("params").(*document.Table)
	if table == nil {
		table = document.Inline()
		r.set("params", table, at)
	}
	for i := 0; i < len(pairs); i += 2 {
		table.Set(pairs[i], pairs[i+1], at)
	}
}

// toGateway is a route to the servers of a gateway.
func (l *lowering) toGateway(g *gateway) *route {
	r := (&route{at: g.at}).set(g.kind, g.name, g.at)
	if len(g.sendfile) > 0 {
		r.set("x_sendfile", g.sendfile, g.at)
	}
	return r
}

// stripped adds the route for strip-request-uri in front of one.
func (l *lowering) stripped(g *gateway, r *route) []*route {
	if g.strip == "" {
		return []*route{r}
	}
	short := &route{conds: slices.Clone(r.conds), at: r.at}
	for _, k := range r.keys {
		if k.name == "params" {
			copied := document.Inline()
			for _, name := range k.value.(*document.Table).Names() {
				copied.Set(name, k.value.(*document.Table).Get(name), k.at)
			}
			k.value = copied
		}
		short.keys = append(short.keys, k)
	}
	l.params(short, g.at, "REQUEST_URI", "{rest}")
	short.when(cond{key: "value", name: "{request_uri}", value: "~^" + regexp.QuoteMeta(g.strip) + "(?P<rest>/.*)$", at: g.at})
	return []*route{short, r}
}
