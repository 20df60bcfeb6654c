package apache

// From rules to routes.

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"millrace/internal/adapt/document"
	"millrace/internal/adapt/pcre"
)

// rewriting is where a set of rules is lowered.
type rewriting struct {
	server bool   // outside of folders: before the path is mapped to a file
	prefix string // of the folder's paths, with a slash at its end; "" for the server
	base   string // what a target without a slash is put behind
	guard  string // what guards the folder, for comparing
	after  string // the group that a request goes on with behind the rules
	files  string // the same, for one whose path has become that of a file
	here   cond   // what each route of the rules must hold beside
	script cond   // a script that is there, with more behind its name
}

// rules lowers a set. It reports whether a request must be sent past some of
// them.
func (l *lowering) rules(set *ruleset, w *rewriting) {
	all := slices.Clone(set.rules)
	for also := set.also; also != nil; also = also.also {
		all = append(all, also.rules...)
	}
	labels := map[int]string{} // of rules that others jump to
	label := func(i int) string {
		if i >= len(all) {
			return w.after
		}
		if labels[i] == "" {
			labels[i] = l.site.unique("rules")
		}
		return labels[i]
	}
	var done []string // expressions of paths that a rule above leaves as they are, and past all others
	for i := 0; i < len(all); i++ {
		r := &all[i]
		if name := labels[i]; name != "" && name != l.site.group {
			l.site.emit(cond{}, jump(r.d.place, name))
			l.site.group = name
		}
		if !l.checkFlags(r) {
			continue
		}
		for _, one := range r.captured() {
			l.rule(&one, w, all[i+1:], &done, func(n int) string { return label(i + n) }, chainEnd(all, i)-i)
		}
	}
}

// chainEnd is the rule behind a chain.
func chainEnd(all []rule, i int) int {
	for i < len(all) && all[i].has("c") {
		i++
	}
	return i + 1
}

// rule lowers one.
func (l *lowering) rule(r *rule, w *rewriting, later []rule, done *[]string, label func(int) string, chain int) {
	d := r.d
	if l.baseIdiom(r, w) {
		return
	}
	expr := d.arg(0)
	negated := strings.HasPrefix(expr, "!")
	expr = strings.TrimPrefix(expr, "!")
	p, ok := l.regexp(d.args[0].place, expr, r.has("nc"))
	if !ok {
		return
	}
	if negated && p.not != "" {
		l.refuse(d, "RewriteRule with ! and a negative look-ahead", "write what the look-ahead has as a rule of its own, without both")
		return
	}
	t := &texts{groups: pcre.Groups(p.expr), server: w.server, conds: map[int]string{}, whole: "{0}"}
	on := p.expr
	if !w.server {
		if strings.Contains(d.arg(1), "$0") {
			p.expr = "(" + p.expr + ")"
			if rest, ok := strings.CutPrefix(p.expr, "((?i)"); ok {
				p.expr = "(?i)(" + rest
			}
			if rest, ok := strings.CutPrefix(p.expr, "(^"); ok {
				p.expr = "^(" + rest
			}
			t.shift, t.whole = 1, "{1}"
		}
		on = below(w.prefix, p.expr)
		if p.not != "" {
			p.not = below(w.prefix, p.not)
		}
	}
	c := w.here.clone()
	c.at = d.args[0].place
	switch {
	case negated:
		c.exclude = append(c.exclude, on)
		t.groups, t.whole = 0, ""
		if !w.server && w.prefix != "/" {
			c.path = w.prefix + "*"
		}
	case w.server && everything(expr) && t.groups == 0 && !strings.Contains(d.arg(1), "$0"):
	default:
		if rest, ok := strings.CutPrefix(on, "^/"); !ok || rest != "" {
			c.regexp = on
		}
	}
	if c.regexp == "" {
		t.whole = ""
	}
	if p.not != "" {
		c.exclude = append(c.exclude, p.not)
	}
	c.exclude = append(c.exclude, *done...)
	rest := l.conditions(r, &c, t, expr, w)
	if rest.bad {
		return
	}
	b, exits := l.action(r, w, t, c.regexp, later, done, &c, label, chain)
	if b.at.Line == 0 {
		return
	}
	if exits != nil { // it leaves the path as it is, and past all others: those say so
		*done = append(*done, *exits)
		return
	}
	target := &c
	if w.script.regexp != "" && len(later) == 0 && (len(c.exists) > 0 || slices.ContainsFunc(c.not, func(p pair) bool { return p.name == "exists" })) {
		l.site.emit(w.script, jump(d.place, w.after)) // its file is the script
	}
	if len(rest.stages) > 0 {
		l.stages(c, rest.stages, b, label)
	} else {
		l.site.emit(*target, b)
	}
	if r.has("c") { // a rule that does not match takes the chain with it
		l.site.emit(cond{}, jump(d.place, label(chain)))
		l.site.group = label(1)
	}
}

// action is what a rule does. Exits is an expression of the paths that are to
// be left alone.
func (l *lowering) action(r *rule, w *rewriting, t *texts, expr string, later []rule, done *[]string, c *cond, label func(int) string, chain int) (body, *string) {
	d := r.d
	target := d.arg(1)
	for _, set := range r.flags["e"] {
		if !l.setByRule(r, w, t, set, c) {
			return body{}, nil
		}
	}
	last := r.has("l") || r.has("end") || r.has("pt")
	next := ""
	switch {
	case last:
		next = w.after
	case r.has("c"):
		next = label(1)
	case r.has("s"):
		n := r.number("s", 1)
		if n < 0 {
			l.refuse(d, "RewriteRule: the flag S takes a number", "write [S=1]")
			return body{}, nil
		}
		next = label(1 + n)
	}
	switch code := r.number("r", 302); {
	case r.has("f"):
		return status(d.place, 403), nil
	case r.has("g"):
		return status(d.place, 410), nil
	case r.has("r") && (code < 300 || code > 399):
		if code < 200 || code > 599 {
			l.refuse(d, "RewriteRule: invalid HTTP response code for flag 'R'", "write [R=301]")
			return body{}, nil
		}
		return status(d.place, code), nil
	}
	if target == "-" {
		simple := len(r.conds) == 0 && c.regexp != "" && len(w.here.any)+len(w.here.not) == 0 && !strings.HasPrefix(d.arg(0), "!") && len(*done) == 0 && !r.has("c") && !r.has("s")
		switch {
		case next == "" || last && len(later) == 0 && w.after == "":
			return body{}, nil // nothing comes of it
		case last && simple && len(later) <= 3:
			return body{at: d.place}, &c.regexp
		}
		if next == "" {
			return body{}, nil
		}
		return jump(d.place, next), nil
	}
	return l.substitute(r, w, t, later, done, c, next)
}

// substitute is a rule that has a target.
func (l *lowering) substitute(r *rule, w *rewriting, t *texts, later []rule, done *[]string, c *cond, next string) (body, *string) {
	d, target := r.d, r.d.arg(1)
	t.url = true
	path, query, hasQuery := strings.Cut(target, "?")
	if r.has("ne") {
		path = strings.ReplaceAll(path, `\%`, "%")
	}
	to, ok := l.expand(d, path, t)
	if !ok {
		return body{}, nil
	}
	q, ok := l.expand(d, query, t)
	if !ok {
		return body{}, nil
	}
	if r.has("ne") {
		to, q = strings.ReplaceAll(to, "%25", "%"), strings.ReplaceAll(q, "%25", "%")
	} else {
		to, q = strings.ReplaceAll(to, "#", "%23"), strings.ReplaceAll(q, "#", "%23")
	}
	switch {
	case r.has("qsa") && hasQuery && q != "":
		q += "&{query}"
	case r.has("qsa"), !hasQuery && !r.has("qsd"):
		q, hasQuery = "{query}", true
	case r.has("qsd") && !hasQuery:
		q, hasQuery = "", true
	}
	scheme, after, isURL := strings.Cut(to, "://")
	isURL = isURL && (isScheme(scheme) || scheme == "{scheme}" || strings.HasPrefix(scheme, "unix:"))
	if r.has("p") {
		return l.proxied(r, w, to, q), nil
	}
	if isURL || r.has("r") {
		if !isURL {
			if t.path && strings.HasPrefix(to, "{c") {
				to = "/" + to
			}
			if to = l.target(d, w, to); to == "" {
				return body{}, nil
			}
		} else if !strings.Contains(after, "/") && q != "" && !strings.Contains(after, "{") {
			to += "/"
		}
		if q != "" {
			to += "?" + q
		}
		to = strings.Replace(to, "{header.Host}{path}?{query}", "{header.Host}{uri}", 1)
		to = strings.Replace(to, "{host}{path}?{query}", "{host}{uri}", 1)
		var p pairs
		p.set("to", to, d.args[1].place)
		if code := r.number("r", 302); code != 302 {
			if !slices.Contains([]int{301, 303, 307, 308}, code) {
				l.refuse(d, fmt.Sprintf("RewriteRule: a redirect with the status %d", code), "it takes 301, 302, 303, 307 or 308")
				return body{}, nil
			}
			p.set("status", code, d.place)
		}
		b := answer(d.place, "redirect", p.inline())
		if !isURL && !w.server && w.base == "" && !strings.HasPrefix(target, "/") && !strings.HasPrefix(target, "%") && !strings.HasPrefix(target, "$") {
			b.comments = append(b.comments, "without RewriteBase Apache would name the path of the folder on its disk")
		}
		return b, nil
	}
	if t.path && strings.HasPrefix(to, "{c") {
		to = "/" + to // which has its slash already: one is left of two
	}
	if to = l.target(d, w, to); to == "" {
		return body{}, nil
	}
	if hasQuery && q != "{query}" {
		q = "?" + q
	} else {
		q = ""
	}
	if w.server {
		return l.onServer(r, w, to+q, next, len(later) > 0), nil
	}
	var p pairs
	p.set("to", to+q, d.args[1].place)
	if !r.has("end") && (r.has("l") || r.has("n") || len(later) == 0 || r.has("pt")) {
		p.set("repeat", true, d.place)
		if fixed := to; !strings.Contains(fixed, "{") && !l.excluded(fixed, *done) && tried(c.regexp, fixed) {
			c.exclude = append(c.exclude, "^"+regexp.QuoteMeta(fixed)+"$")
			if slices.ContainsFunc(later, func(o rule) bool { return true }) && r.has("l") && w.after != "" {
				self := c.clone()
				self.exclude = self.exclude[:len(self.exclude)-1]
				self.path, self.regexp = fixed, ""
				self.any = nil
				l.site.emit(self, jump(d.place, w.after))
				c.exclude = c.exclude[:len(c.exclude)-1]
			}
		}
		l.guarded(d, w, to)
		return answer(d.place, "rewrite", p.inline()), nil
	}
	l.guarded(d, w, to)
	if next != "" || r.has("end") {
		b := answer(d.place, "rewrite", to+q)
		if next == "" {
			next = w.after
		}
		b.keys.set("goto", next, d.place)
		return b, nil
	}
	return answer(d.place, "rewrite", to+q), nil
}

// tried reports whether an expression matches a path.
func tried(expr, path string) bool {
	re, err := regexp.Compile(expr)
	return err == nil && re.MatchString(path)
}

func (l *lowering) excluded(path string, list []string) bool {
	return slices.ContainsFunc(list, func(e string) bool { return tried(e, path) })
}

// onServer is a rewrite outside of folders: what comes of it is a file, unless
// [PT] sends it past Alias and the like as well.
func (l *lowering) onServer(r *rule, w *rewriting, to, next string, later bool) body {
	b := answer(r.d.place, "rewrite", to)
	if !r.has("pt") {
		l.loosened(r, to, w.files != w.after && (r.has("l") || r.has("end")))
	}
	switch {
	case r.has("n"):
		var p pairs
		p.set("to", to, r.d.place)
		p.set("repeat", true, r.d.place)
		return answer(r.d.place, "rewrite", p.inline())
	case r.has("pt"):
		next = w.after
	case r.has("l") || r.has("end"):
		next = w.files
		if !later && w.files == w.after {
			next = "" // they are the next anyway
		}
	case next == "" && w.files != w.after && !strings.HasPrefix(to, "{path}"):
		b.comments = append(b.comments, "Apache would look for a file alone behind the rules, without [PT]; here Alias and the like hold as well")
	}
	if next != "" {
		b.keys.set("goto", next, r.d.place)
	}
	return b
}

// target is the path that a rule leads to.
func (l *lowering) target(d *directive, w *rewriting, to string) string {
	root := document.Literal(l.site.root)
	if root != "" && (to == root || strings.HasPrefix(to, root+"/")) {
		to = "/" + strings.TrimLeft(strings.TrimPrefix(to, root), "/")
	}
	for _, m := range l.site.mappings {
		if m.kind == isFiles && m.folder != "" && m.folder != l.site.root && strings.HasPrefix(to, document.Literal(m.folder)+"/") {
			to = strings.TrimSuffix(m.prefix, "/") + strings.TrimPrefix(to, document.Literal(m.folder))
		}
	}
	to = strings.TrimPrefix(to, "./")
	switch {
	case strings.HasPrefix(to, "/"):
	case w.server && strings.HasPrefix(to, "{"):
	case w.server:
		l.refuse(d, "RewriteRule: the target does not begin with a slash: Apache answers with 400", "write /"+to)
		return ""
	case w.base != "":
		to = w.base + to
	default:
		to = w.prefix + to
	}
	for segment := range strings.SplitSeq(to, "/") {
		if segment == ".." || segment == "." {
			l.refuse(d, "RewriteRule: the target has a segment \"..\" or \".\"", "write the path that it leads to")
			return ""
		}
	}
	return to
}

func isScheme(text string) bool {
	return slices.Contains([]string{"http", "https", "ftp", "ws", "wss", "fcgi", "scgi", "uwsgi", "ajp", "h2", "h2c", "balancer", "ldap", "gopher", "mailto", "nntp", "news"}, strings.ToLower(text))
}

// setByRule is a flag E: a variable that is the same for all requests, or the
// header that the app has anyway.
func (l *lowering) setByRule(r *rule, w *rewriting, t *texts, text string, c *cond) bool {
	name, value, _ := strings.Cut(text, ":")
	if name == "HTTP_AUTHORIZATION" || strings.HasPrefix(name, "REMOTE_USER") && strings.Contains(strings.ToUpper(value), "AUTHORIZATION") && name == "HTTP_AUTHORIZATION" {
		l.site.passAuth = true
		return true
	}
	if name == "no-gzip" || strings.HasPrefix(name, "!") || name == "nokeepalive" || name == "dont-vary" {
		l.site.note(r.d, "compression and kept connections follow from the request alone")
		return true
	}
	if !everything(r.d.arg(0)) || len(r.conds) > 0 {
		l.refuse(r.d, fmt.Sprintf("RewriteRule: the flag E=%s for some requests only", name), "write SetEnvIf, which sets a variable by one thing of a request")
		return false
	}
	of := *t
	of.groups, of.whole, of.url = 0, "", false
	got, ok := l.expand(r.d, value, &of)
	if ok {
		l.site.constants[name] = got
		l.site.params.set(name, got, r.d.place)
	}
	return ok
}

// baseIdiom is the one that finds the folder of a .htaccess, with a back
// reference: it is known here.
func (l *lowering) baseIdiom(r *rule, w *rewriting) bool {
	if len(r.conds) != 1 || r.d.arg(1) != "-" || len(r.flags["e"]) != 1 {
		return false
	}
	name, value, _ := strings.Cut(r.flags["e"][0], ":")
	if value != "%1" || !strings.HasSuffix(r.conds[0].d.arg(1), `::\2$`) || !strings.HasPrefix(r.conds[0].d.arg(0), "%{REQUEST_URI}::$") {
		return false
	}
	l.site.constants[name] = strings.TrimSuffix(w.prefix, "/")
	return true
}

// guarded refuses a rule that leads out of what a password guards: Apache asks
// for it before its rules, and here who answers does.
func (l *lowering) guarded(d *directive, w *rewriting, to string) {
	if w.guard == "" {
		return
	}
	fixed, _, _ := strings.Cut(to, "{")
	if l.guardOf(fixed) != w.guard {
		l.refuse(d, "RewriteRule within what a password or addresses guard leads to what they do not", "guard what it leads to as well")
	}
}

// proxied is a rule with [P].
func (l *lowering) proxied(r *rule, w *rewriting, to, query string) body {
	d := r.d
	l.openProxy(d, to)
	b, ok := l.proxyTo(d, to, nil, l.site.base)
	if !ok {
		return body{}
	}
	if w.server { // outside of folders, the <Location> of all paths is heard
		c := l.holding(area{m: &mapping{kind: isFiles, prefix: "/"}, prefix: "/"}, nil)
		switch e, all := l.entry(c); {
		case !all || len(e) > 1 || c.sslRequired != nil && !l.site.tls:
			l.refuse(d, "RewriteRule with [P] below a <Location> with alternatives of who may come in", "write ProxyPass")
		case e[0].shut:
			return l.refused(c, placeOf(e[0].at))
		default:
			b.keys = append(b.keys, l.guard(c, e[0])...)
		}
	}
	if path := b.path; path != "" && path != "{path}" {
		if query != "" && query != "{query}" {
			path += "?" + query
		}
		b.keys.set("rewrite", path, d.args[1].place)
	}
	b.keys = append(b.keys, l.around(l.site.base, "upstream", b.what)...)
	l.hostHeader(d, l.site.base, &b)
	l.reverses(d, "/", l.site.base, &b)
	return b.body
}
