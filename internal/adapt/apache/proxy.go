package apache

// Back ends: ProxyPass, ProxyPassMatch, SetHandler proxy:…, and balancers.

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"

	"millrace/internal/adapt/document"
	"millrace/internal/adapt/pcre"
)

func quoteMeta(text string) string { return regexp.QuoteMeta(text) }

// proxyMapping notes a ProxyPass.
func (l *lowering) proxyMapping(s *site, d *directive) {
	if len(d.args) < 2 {
		l.refuse(d, d.known.name+": ProxyPass|ProxyPassMatch needs a path when not defined in a location", "write ProxyPass /PATH http://…")
		return
	}
	m := &mapping{kind: isProxy, d: d, prefix: d.arg(0)}
	if d.name == "proxypassmatch" {
		p, ok := l.regexp(d.args[0].place, d.arg(0), false)
		if !ok {
			return
		}
		if p.not != "" {
			l.refuse(d, "ProxyPassMatch with a negative look-ahead", "write ProxyPass PATH ! above it")
			return
		}
		m.expr, m.prefix = p.expr, "/"
	} else if !strings.HasPrefix(m.prefix, "/") {
		l.refuse(d, fmt.Sprintf("ProxyPass: the path %q does not begin with a slash", m.prefix), "write /"+m.prefix)
		return
	}
	s.mappings = append(s.mappings, m)
}

// proxyRoutes are those of a ProxyPass.
func (l *lowering) proxyRoutes(m *mapping, except []string) {
	m.except = except
	for _, a := range l.areas(m) {
		if c := l.holding(a, nil); c.proxy != nil && c.proxyAt != "" && c.proxy.arg(0) == "!" {
			m.except = append(m.except, "^"+quoteMeta(a.prefix)+"(?:/|$)")
			continue
		}
		l.areaRoutes(a)
	}
}

// proxySections are the <Proxy> that say something of a back end, beside who its
// members are.
func (l *lowering) proxySections(d *directive, target string) []*directive {
	var all []*directive
	fixed := target
	if i := strings.IndexAny(fixed, "${"); i >= 0 {
		fixed = fixed[:i]
	} else if strings.Count(fixed, "/") == 2 {
		fixed += "/"
	}
	for _, p := range l.site.both() {
		if p.name != "proxy" || !slices.ContainsFunc(p.within, func(d *directive) bool {
			return d.known != nil && d.known.nothing == "" && d.name != "balancermember" && d.name != "proxyset"
		}) {
			continue
		}
		pattern := strings.TrimSuffix(p.arg(0), "*")
		switch {
		case isGlob(pattern):
			l.once(p, "<Proxy "+p.arg(0)+"> with a pattern", "name the address, with a * at its end")
		case strings.HasPrefix(fixed, pattern), strings.HasPrefix(fixed+"/", pattern):
			all = append(all, p)
		case strings.HasPrefix(strings.ToLower(pattern), strings.ToLower(fixed)), strings.HasPrefix(strings.ToLower(fixed), strings.ToLower(pattern)):
			l.once(p, "<Proxy "+p.arg(0)+"> is for some of what "+d.known.name+" leads to", "write a <Location> with the paths that it is for")
		}
	}
	return all
}

// openProxy refuses a <Proxy> that turns somebody away, of a back end that a rule
// or a <Location> leads to.
func (l *lowering) openProxy(d *directive, target string) {
	for _, p := range l.proxySections(d, target) {
		if e, all := l.entry(newConf().with(p.within, scope{proxy: true})); !all || !e.open() {
			l.once(p, "<Proxy "+p.arg(0)+"> says who may come in to what "+d.known.name+" leads to", "write it into a <Location>")
		}
	}
}

// locationProxy is a ProxyPass within a <Location>.
func (l *lowering) locationProxy(a area, c *conf, on cond, guard pairs) {
	d := c.proxy
	if d.arg(0) == "!" {
		plain := c.clone()
		plain.proxy = nil
		l.answer(a, plain, on, guard)
		return
	}
	if d.name == "proxypassmatch" {
		l.refuse(d, "ProxyPassMatch within a <Location>", "write it outside, with the expression before the address")
		return
	}
	l.openProxy(d, d.arg(0))
	l.proxyRoute(d, c.proxyAt, "", d.arg(0), d.texts()[1:], a.prefix, c, on, guard)
}

// proxyRoute is the route of one ProxyPass in one area.
func (l *lowering) proxyRoute(d *directive, prefix, expr, target string, params []string, area string, c *conf, on cond, guard pairs) {
	var words []string
	for _, w := range params {
		if strings.Contains(w, "=") {
			words = append(words, w)
		}
	}
	b, ok := l.proxyTo(d, target, words, c)
	if !ok {
		return
	}
	switch {
	case expr != "":
		if !l.proxyMatch(d, expr, target, &b, &on) {
			return
		}
	case b.path != strings.TrimSuffix(prefix, "/") || strings.HasSuffix(prefix, "/") != strings.HasSuffix(b.whole, "/") && prefix != "/":
		if !l.proxyPath(d, prefix, area, &b, &on) {
			return
		}
	}
	b.keys = append(b.keys, guard...)
	b.keys = append(b.keys, l.around(c, "upstream", b.what)...)
	l.hostHeader(d, c, &b)
	l.reverses(d, prefix, c, &b)
	l.site.emit(on, b.body)
}

// proxied is a route to back ends in the making.
type proxied struct {
	body
	what    string // the protocol
	address string
	path    string // that the back end has before the rest, without a slash at its end
	whole   string // the same, as it is written
	host    string
}

// proxyTo is a route to an address.
func (l *lowering) proxyTo(d *directive, target string, words []string, c *conf) (proxied, bool) {
	b := proxied{body: body{at: d.place}}
	fixed := target
	if i := strings.IndexAny(strings.TrimPrefix(target, "unix:"), "{$"); i >= 0 {
		j := strings.IndexAny(target, "{$")
		fixed = target[:j]
		if strings.Count(fixed, "/") < 3 && !strings.HasPrefix(target, "unix:") && !strings.HasSuffix(fixed, "/") {
			// http://host:port$1, where $1 begins with a slash
			if _, known := backendOf(fixed); !known && !strings.HasPrefix(fixed, "balancer://") {
				l.refuse(d, d.known.name+": the back end is another for each request", "name its address")
				return b, false
			}
		}
	}
	name, protocol, ok := l.upstreamOf(d, fixed, words)
	if !ok {
		return b, false
	}
	b.what = protocol
	b.keys.set("upstream", name, d.place)
	if u, isBalancer := strings.CutPrefix(strings.ToLower(target), "balancer://"); isBalancer {
		host, rest, slash := strings.Cut(target[len(target)-len(u):], "/")
		if i := strings.IndexAny(host, "{$"); i >= 0 {
			host, rest, slash = host[:i], host[i:]+rest, false
		}
		b.whole = l.upstreams["balancer://"+host+" path"]
		if slash {
			b.whole += "/" + rest
		} else {
			b.whole += rest
		}
	} else {
		of, _ := backendOf(fixed)
		b.address = of.address
		b.whole = of.path + target[len(fixed):]
		b.host = of.address
		if host, port, err := net.SplitHostPort(b.host); err == nil && (protocol == "http" && port == "80" || (protocol == "https" || protocol == "h2") && port == "443") {
			b.host = host
		}
	}
	b.path = strings.TrimSuffix(b.whole, "/")
	if i := strings.IndexByte(b.path, '?'); i >= 0 {
		l.refuse(d, d.known.name+": an address with a query", "write RewriteRule with [P]")
		return b, false
	}
	return b, true
}

// proxyMatch is the path of a ProxyPassMatch.
func (l *lowering) proxyMatch(d *directive, expr, target string, b *proxied, on *cond) bool {
	if !strings.Contains(target, "$") {
		if b.path == "" {
			return true // the path as it is
		}
		b.keys.set("rewrite", document.Literal(b.path)+"{path}", d.place)
		return true
	}
	t := &texts{groups: pcre.Groups(expr), whole: "{0}", url: true}
	to, ok := l.expand(d, b.whole, t)
	if !ok {
		return false
	}
	if b.what == "fastcgi" { // fcgi://…/FOLDER/$1: the scripts of a folder
		i := strings.IndexByte(b.whole, '$')
		folder := strings.TrimRight(b.whole[:i], "/")
		exts := scriptEnds(expr)
		if folder == "" || exts == nil {
			l.refuse(d, "ProxyPassMatch to FastCGI: the scripts are not those of a folder, by their extension", `write ProxyPassMatch ^/(.*\.php)$ fcgi://HOST:PORT/FOLDER/$1, or SetHandler`)
			return false
		}
		p := document.Inline()
		p.Set("root", folder, d.place)
		if !slices.Equal(exts, []string{".php"}) {
			p.Set("extensions", exts, d.place)
		}
		p.Set("index", "", d.place)
		b.keys.set("script", p, d.place)
		return true
	}
	if !strings.HasPrefix(to, "/") {
		to = "/" + to
		if strings.HasPrefix(to, "/{") && !strings.HasSuffix(strings.TrimSuffix(b.whole, "$1"), "/") {
			to = to[1:]
		}
	}
	b.keys.set("rewrite", to, d.place)
	return true
}

// scriptEnds are the extensions of `^/(.*\.php(/.*)?)$`.
func scriptEnds(expr string) []string {
	expr = strings.NewReplacer("(/.*)?", "", "(?:/.*)?", "", "(|/.*)", "").Replace(strings.TrimPrefix(expr, "^/"))
	expr = strings.TrimSuffix(strings.TrimPrefix(expr, "("), "$")
	expr = strings.TrimSuffix(expr, ")")
	return extensions(expr + "$")
}

// proxyPath has another path before what follows the prefix.
func (l *lowering) proxyPath(d *directive, prefix, area string, b *proxied, on *cond) bool {
	if on.regexp != "" {
		l.refuse(d, d.known.name+": another path, beside a <LocationMatch>", "write a <Location>")
		return false
	}
	bare := strings.TrimSuffix(prefix, "/")
	switch {
	case bare == "": // everything is below a path of the back end
		b.keys.set("rewrite", document.Literal(b.path)+"{path}", d.place)
		return true
	case area != prefix:
		on.path = ""
		on.any = nil
		rest := strings.TrimPrefix(area, bare)
		on.regexp = "^" + quoteMeta(bare) + "(" + quoteMeta(rest) + "(?:/.*)?)$"
	case strings.HasSuffix(prefix, "/"):
		on.path = ""
		on.regexp = "^" + quoteMeta(bare) + "(/.*)$"
		if !strings.HasSuffix(b.whole, "/") && b.whole != "" {
			on.regexp = "^" + quoteMeta(prefix) + "(.*)$"
		}
	default:
		on.any = nil
		on.regexp = "^" + quoteMeta(bare) + "(/.*)?$"
	}
	to := document.Literal(b.path) + "{1}"
	if b.path == "" {
		to = "{1}"
	}
	if strings.HasSuffix(b.whole, "/") && !strings.HasSuffix(prefix, "/") { // Apache puts the rest behind the slash
		to = document.Literal(b.path) + "/{1}"
	}
	b.keys.set("rewrite", to, d.place)
	return true
}

// hostHeader is the Host that a back end gets.
func (l *lowering) hostHeader(d *directive, c *conf, b *proxied) {
	if !slices.Contains([]string{"http", "https", "h2", "h2c"}, b.what) {
		return
	}
	if keep := c.get("proxypreservehost"); keep != nil && keep.on() {
		return
	}
	host := b.host
	switch {
	case host == "":
		b.comments = append(b.comments, "ProxyPreserveHost is off: with several back ends Host stays the client's, as none of them is known before")
		return
	case strings.HasPrefix(host, "unix:"):
		host = "localhost"
	}
	t, _ := b.keys.get("request_headers").(*document.Table)
	if t == nil {
		t = document.Inline()
		b.keys.set("request_headers", t, d.place)
	}
	set, _ := t.Get("set").(*document.Table)
	if set == nil {
		set = document.Inline()
		t.Set("set", set, d.place)
	}
	if set.Get("Host") == nil {
		set.Set("Host", document.Literal(host), d.place)
	}
}

// reverses is ProxyPassReverse: places that responses name.
func (l *lowering) reverses(d *directive, prefix string, c *conf, b *proxied) {
	s := l.site
	location, domain, cookie := document.Inline(), document.Inline(), document.Inline()
	list := append(s.all("proxypassreverse", "proxypassreversecookiedomain", "proxypassreversecookiepath"), c.reverse...)
	any := false
	for _, r := range list {
		words := r.texts()
		if r.name == "proxypassreverse" {
			if len(words) == 1 {
				words = []string{prefix, words[0]}
			}
			if slices.Contains(words[2:], "interpolate") || len(words) < 2 {
				continue
			}
			from := words[1]
			if strings.HasPrefix(strings.ToLower(from), "balancer://") {
				any = any || b.address == ""
				continue
			}
			if of, ok := backendOf(from); ok && b.address != "" && of.address != b.address && words[0] != prefix {
				continue
			}
			any = true
			if location.Get(from) == nil {
				location.Set(from, words[0], r.place)
			}
			continue
		}
		t := domain
		if r.name == "proxypassreversecookiepath" {
			t = cookie
		}
		if t.Get(words[0]) == nil && len(words) > 1 {
			t.Set(words[0], words[1], r.place)
		}
	}
	t := document.Inline()
	if b.address != "" || !any {
		t.Set("automatic", false, d.place)
	}
	for _, of := range []struct {
		key string
		t   *document.Table
	}{{"location", location}, {"cookie_domain", domain}, {"cookie_path", cookie}} {
		if !of.t.Empty() {
			t.Set(of.key, of.t, d.place)
		}
	}
	if !t.Empty() && slices.Contains([]string{"http", "https", "h2", "h2c"}, b.what) {
		b.keys.set("reverse", t, d.place)
	}
}
