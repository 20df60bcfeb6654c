package nginx

// Back ends: what they are told, and what becomes of their answers.

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"millrace/internal/adapt/document"
	"millrace/internal/config"
)

// pass makes the routes of a back end.
func (s *site) pass(d *directive, st state) {
	target, ok := st.scope.expand(d.args[0], forURL)
	if !ok {
		return
	}
	switch d.name {
	case "proxy_pass":
		s.proxy(d, target, st)
	case "grpc_pass":
		protocol := "h2c"
		if rest, is := strings.CutPrefix(target, "grpcs://"); is {
			protocol, target = "h2", rest
		}
		s.passTo(d, strings.TrimPrefix(target, "grpc://"), protocol, st, "")
	default:
		address, is := literal(strings.TrimPrefix(target, strings.TrimSuffix(d.name, "_pass")+"://"))
		if !is {
			s.a.problem(d.argAt(0), fmt.Sprintf("%s to %q depends on the request", d.name, d.arg(0)), "write an upstream for each")
			return
		}
		s.gateway(d, address, st)
	}
}

// proxy is proxy_pass: with a path behind the address, that is in place of the
// location's.
func (s *site) proxy(d *directive, target string, st state) {
	protocol, rest, found := strings.Cut(target, "://")
	if !found || protocol != "http" && protocol != "https" {
		s.a.problem(d.argAt(0), "invalid URL prefix", `a URL begins with "http://" or "https://"`)
		return
	}
	address, uri := rest, ""
	if strings.HasPrefix(rest, "unix:") {
		address = rest
		if i := strings.IndexByte(rest[5:], ':'); i >= 0 {
			address, uri = rest[:5+i], rest[6+i:]
		}
	} else if i := strings.IndexAny(rest, "/?{"); i >= 0 {
		if rest[i] == '{' && !strings.HasPrefix(rest[i:], "{request_uri}") && !strings.HasPrefix(rest[i:], "{path}") && !strings.HasPrefix(rest[i:], "{uri}") {
			s.a.problem(d.argAt(0), fmt.Sprintf("proxy_pass to %q depends on the request: whoever sends one could name any address", d.arg(0)), "write an upstream for each")
			return
		}
		address, uri = rest[:i], rest[i:]
	}
	dynamic := strings.Contains(uri, "{")
	l := st.loc
	prefix := l != nil && l.d != nil && l.regex == nil && !l.named && st.scope.level.context != 'l'
	switch {
	case uri == "{request_uri}" || uri == "":
		if uri == "{request_uri}" && st.changed {
			s.a.problem(d.argAt(0), "proxy_pass with $request_uri behind a rewrite is not carried over", "leave $request_uri out, or the rewrite")
			return
		}
		s.passTo(d, address, protocol, st, "")
	case dynamic:
		if !strings.Contains(uri, "?") {
			uri += "?"
		}
		s.rewritten(st, uri, d.at, func(inner state) { s.passTo(d, address, protocol, inner, "") })
	case !prefix && st.changed && (l.d == nil || l.regex == nil):
		s.passTo(d, address, protocol, st, "") // a path that was rewritten goes as it is
	case !prefix:
		s.a.problem(d.argAt(0), `"proxy_pass" cannot have URI part in location given by regular expression, or inside named location, or inside "if" statement, or inside "limit_except" block`, "write the address alone, and a rewrite … break before it")
	case st.changed:
		s.passTo(d, address, protocol, st, "")
	case l.exact:
		s.rewritten(st, uri, d.at, func(inner state) { s.passTo(d, address, protocol, inner, uri) })
	case uri == l.name: // the same path
		s.passTo(d, address, protocol, st, uri)
	default:
		p, _ := newPattern("^"+regexp.QuoteMeta(l.name)+"(.*)$", false)
		inner := st
		inner.when = inner.when.matching(p)
		s.rewritten(inner, uri+"{1}", d.at, func(inner state) { s.passTo(d, address, protocol, inner, uri) })
	}
}

// passTo makes the route of an HTTP back end. Uri is what stands for the
// location's path there; "": the path is the same.
func (s *site) passTo(d *directive, address, protocol string, st state, uri string) {
	family, _, _ := strings.Cut(d.name, "_")
	l := st.scope.level
	with := s.settings(family, l, address)
	if protocol == "https" || protocol == "h2" {
		with.set("tls", s.backendTLS(family, l, &st.scope), d.at)
	}
	address, fixed := literal(address)
	if !fixed {
		s.a.problem(d.argAt(0), fmt.Sprintf("%s to %q depends on the request", d.name, d.arg(0)), "write an upstream for each")
		return
	}
	name, ok := s.a.upstream(address, protocol, with, d.at)
	if !ok {
		return
	}
	r := s.add(st.group, st.when, d.at)
	r.set("upstream", name, d.at)
	s.requestHeaders(r, family, protocol, address, st)
	if family == "proxy" {
		s.reverse(r, protocol+"://"+address, uri, st)
	}
	s.ofBackEnd(r, l)
	if family == "proxy" {
		s.cache(r, family, protocol, address, st)
	}
}

// ofBackEnd are the keys of all routes to back ends.
func (s *site) ofBackEnd(r *route, l *level) {
	if d := l.last("client_max_body_size"); d == nil {
		r.set("max_body", "1MiB", r.at)
	} else if size := s.a.size(d); size != "0B" {
		r.set("max_body", size, d.at)
	}
	if d := l.last("client_body_timeout"); d != nil && l.location().context == 'L' && len(l.location().own("client_body_timeout")) > 0 {
		r.set("body_timeout", s.a.time(d), d.at)
	}
	if d := l.last("send_timeout"); d != nil && len(l.location().own("send_timeout")) > 0 && l.location().context == 'L' {
		r.set("write_timeout", s.a.time(d), d.at)
	}
	if s.hasInternal(s.locations) {
		r.set("x_sendfile", []string{}, r.at)
	}
}

// hasInternal reports whether there are locations for X-Accel-Redirect.
func (s *site) hasInternal(all []*location) bool {
	return slices.ContainsFunc(all, func(l *location) bool { return l.level.internal() != nil || s.hasInternal(l.inner) })
}

// settings are the keys of the back ends that a location says.
func (s *site) settings(family string, l *level, address string) settings {
	var with settings
	set := func(key string, names ...string) {
		if d := l.last(names...); d != nil {
			with.set(key, s.a.time(d), d.at)
		}
	}
	if d := l.last(family + "_connect_timeout"); d != nil {
		set("connect_timeout", family+"_connect_timeout")
	}
	set("timeout", family+"_read_timeout")
	upgrades := false
	for _, d := range l.find("proxy_set_header") { // of WebSockets and their like
		if family == "proxy" && strings.EqualFold(d.arg(0), "Upgrade") && d.arg(1) != "" {
			timeout := "60s"
			if of := l.last("proxy_read_timeout"); of != nil {
				timeout = s.a.time(of)
			}
			with.set("upgrade_timeout", timeout, d.at)
			upgrades = true
		}
	}
	if family == "proxy" && !upgrades {
		with.set("upgrade", false, l.at)
	}
	if !l.on(family+"_buffering", true) {
		with.set("buffering", false, l.last(family+"_buffering").at)
	}
	if !l.on(family+"_request_buffering", true) {
		with.set("request_buffering", false, l.last(family+"_request_buffering").at)
	}
	if d := l.last("client_max_body_size"); d != nil {
		if n, ok := nginxSize(d.arg(0)); ok && (n == 0 || n > 1<<30) {
			size := s.a.size(d)
			if n == 0 {
				size = "1024GiB"
			}
			with.set("max_body", size, d.at)
		}
	}
	if g := s.a.groups[address]; g != nil && len((&level{list: g.d.block}).own("server")) > 1 {
		s.retries(&with, family, l)
	}
	for _, name := range []string{"_pass_request_headers", "_pass_request_body"} {
		if d := l.last(family + name); d != nil && d.arg(0) == "off" {
			if name == "_pass_request_body" && l.internal() != nil { // what begins within has none: auth_request
				s.a.note(d, "what auth_request asks, and a page of an error, has no body")
				continue
			}
			s.a.refuse(d, "a request is passed on whole", "leave it out")
		}
	}
	for _, d := range l.find(family + "_ignore_headers") {
		for _, w := range d.args {
			switch w.text {
			case "X-Accel-Expires", "Expires", "Cache-Control", "Set-Cookie", "Vary", "X-Accel-Limit-Rate", "X-Accel-Charset":
			default:
				s.a.problem(w.at, fmt.Sprintf("%s of %s is not carried over", d.name, w.text), "leave it out, and x_sendfile of the route in the TOML")
			}
		}
	}
	return with
}

// retries are what a request goes to another server for.
func (s *site) retries(with *settings, family string, l *level) {
	list, unsafe := []string{"connect", "error", "timeout"}, false
	at := l.at
	if d := l.last(family + "_next_upstream"); d != nil {
		list, at = []string{"connect"}, d.at
		for _, w := range d.args {
			switch w.text {
			case "error", "invalid_header":
				if !slices.Contains(list, "error") {
					list = append(list, "error")
				}
			case "timeout":
				list = append(list, "timeout")
			case "http_502", "http_503", "http_504":
				list = append(list, strings.TrimPrefix(w.text, "http_"))
			case "non_idempotent":
				unsafe = true
			case "off", "updating":
			default:
				s.a.problem(w.at, fmt.Sprintf("%s %s is not carried over: a response of that status is passed on", d.name, w.text), "leave it out")
			}
		}
	}
	with.set("retry_on", list, at)
	if unsafe {
		with.set("retry_unsafe", true, at)
	}
	if d := l.last(family + "_next_upstream_tries"); d != nil {
		if n, err := strconv.Atoi(d.arg(0)); err == nil && n > 0 {
			with.set("retries", n-1, d.at)
		}
	}
	if d := l.last(family + "_next_upstream_timeout"); d != nil {
		with.set("retry_timeout", s.a.time(d), d.at)
	}
}

// backendTLS is how TLS is spoken to back ends: nginx trusts them unless it is told
// not to.
func (s *site) backendTLS(family string, l *level, sc *scope) *document.Table {
	t := document.Inline()
	file := func(key, name string) {
		if d := l.last(family + name); d != nil {
			if path, ok := sc.fixed(d.args[0], "the file of a certificate"); ok {
				t.Set(key, s.a.beside(path), d.at)
			}
		}
	}
	if l.on(family+"_ssl_verify", false) {
		file("ca", "_ssl_trusted_certificate")
	} else {
		t.Set("verify", false, l.at)
	}
	if d := l.last(family + "_ssl_name"); d != nil {
		if name, ok := sc.fixed(d.args[0], "the name of a certificate"); ok {
			t.Set("name", name, d.at)
		}
	}
	file("certificate", "_ssl_certificate")
	file("key", "_ssl_certificate_key")
	return t
}

// requestHeaders are what HTTP back ends are told beside what they are told anyway.
func (s *site) requestHeaders(r *route, family, protocol, address string, st state) {
	set, host := document.Inline(), false
	var remove []string
	with := st.scope.clone()
	for name, text := range s.authVariables(st.scope.level) {
		with.vars[name] = text
	}
	at := st.scope.level.at
	for _, d := range st.scope.level.find(family + "_set_header") {
		name := d.arg(0)
		at = d.at
		switch strings.ToLower(name) {
		case "host":
			host = true
			if d.arg(1) == "$http_host" {
				continue
			}
		case "connection", "upgrade", "te", "transfer-encoding", "content-length":
			continue // of the connection, which is the server's own affair
		case "x-forwarded-for":
			if d.arg(1) == "$proxy_add_x_forwarded_for" {
				s.a.note(d, "X-Forwarded-For names the client, and the proxies that are trusted; what a client says of it is not passed on")
				continue
			}
		case "x-forwarded-proto":
			if d.arg(1) == "$scheme" {
				continue
			}
		case "x-forwarded-host":
			if d.arg(1) == "$http_host" {
				continue
			}
		}
		if d.arg(1) == "" {
			remove = append(remove, name)
			continue
		}
		if strings.EqualFold(name, "Host") && d.arg(1) == "$proxy_host" {
			set.Set("Host", document.Literal(address), d.at)
			continue
		}
		if text, ok := with.expand(d.args[1], forText); ok {
			set.Set(name, text, d.at)
		}
	}
	if !host && (protocol == "http" || protocol == "https") {
		own := address
		if strings.HasPrefix(address, "unix:") {
			own = "localhost"
		}
		own = strings.TrimSuffix(own, map[string]string{"http": ":80", "https": ":443"}[protocol])
		set.Set("Host", document.Literal(own), r.at)
	}
	t := document.Inline()
	if len(remove) > 0 {
		t.Set("remove", remove, at)
	}
	if !set.Empty() {
		t.Set("set", set, at)
	}
	if !t.Empty() {
		r.set("request_headers", t, at)
	}
}

// reverse is what proxy_redirect and proxy_cookie_* say.
func (s *site) reverse(r *route, base, uri string, st state) {
	l := st.scope.level
	t := document.Inline()
	location := document.Inline()
	redirects := l.find("proxy_redirect")
	at := r.at
	byDefault := len(redirects) == 0
	for _, d := range redirects {
		at = d.at
		switch {
		case d.arg(0) == "off":
			t.Set("automatic", false, d.at)
		case d.arg(0) == "default":
			byDefault = true
		case len(d.args) == 2:
			s.replacement(location, d, &st.scope)
		}
	}
	if byDefault && uri != "" && uri != st.loc.name {
		location.Set(base+uri, st.loc.name, at)
	}
	if !location.Empty() {
		t.Set("location", location, at)
	}
	for _, of := range [][2]string{{"proxy_cookie_domain", "cookie_domain"}, {"proxy_cookie_path", "cookie_path"}} {
		table := document.Inline()
		for _, d := range l.find(of[0]) {
			if d.arg(0) != "off" && len(d.args) == 2 {
				s.replacement(table, d, &st.scope)
			}
		}
		if !table.Empty() {
			t.Set(of[1], table, l.last(of[0]).at)
		}
	}
	if flags := s.cookieFlags(l); !flags.Empty() {
		t.Set("cookie_flags", flags, l.last("proxy_cookie_flags").at)
	}
	if !t.Empty() {
		r.set("reverse", t, at)
	}
}

// cookieFlags is proxy_cookie_flags.
func (s *site) cookieFlags(l *level) *document.Table {
	t := document.Inline()
	for _, d := range l.find("proxy_cookie_flags") {
		name := d.arg(0)
		switch {
		case name == "off":
			continue
		case strings.Contains(name, "$") && !strings.HasPrefix(name, "~") || len(d.args) < 2:
			s.a.problem(d.argAt(0), fmt.Sprintf("proxy_cookie_flags %s is not carried over", strings.Join(d.words(), " ")), "write the cookie's name and its flags")
			continue
		}
		for i, w := range d.args[1:] {
			if !slices.Contains(config.CookieFlags, strings.ToLower(w.text)) {
				s.a.problem(d.argAt(i+1), fmt.Sprintf("the parameter %q is unknown", w.text), "there are "+strings.Join(config.CookieFlags, ", "))
			}
		}
		if expr, is := strings.CutPrefix(name, "~"); is {
			p, bad := newPattern(strings.TrimPrefix(expr, "*"), strings.HasPrefix(expr, "*"))
			if bad != nil || p.except != "" {
				s.a.problem(d.argAt(0), fmt.Sprintf("proxy_cookie_flags of %q is not carried over", name), "write the cookie's name")
				continue
			}
			name = "~" + p.expr
		}
		if t.Get(name) == nil { // the first holds
			t.Set(name, strings.Join(d.words()[1:], " "), d.at)
		}
	}
	return t
}

// replacement is one line of a table of reverse.
func (s *site) replacement(t *document.Table, d *directive, sc *scope) {
	from := d.arg(0)
	to := d.arg(1)
	if expr, is := strings.CutPrefix(from, "~"); is {
		fold := strings.HasPrefix(expr, "*")
		p, bad := newPattern(strings.TrimPrefix(expr, "*"), fold)
		if bad != nil || p.except != "" {
			s.a.problem(d.argAt(0), fmt.Sprintf("%s of %q is not carried over", d.name, from), "write the beginning that is replaced")
			return
		}
		if other.MatchString(to) {
			s.a.problem(d.argAt(1), fmt.Sprintf("%s with variables is not carried over", d.name), "write the text itself; $1 is a group")
			return
		}
		t.Set("~"+p.expr, to, d.at)
		return
	}
	text, ok := sc.fixed(d.args[0], "what "+d.name+" replaces")
	if !ok {
		return
	}
	value, ok := sc.expand(d.args[1], forText)
	if !ok {
		return
	}
	if plain, is := literal(value); is {
		t.Set(text, plain, d.at)
		return
	}
	if u, err := url.Parse(d.arg(1)); strings.HasPrefix(d.arg(1), "$scheme://$host/") || strings.HasPrefix(d.arg(1), "$scheme://$http_host/") || err == nil && u.Host == "$host" {
		t.Set(text, d.arg(1)[strings.Index(d.arg(1), "host/")+4:], d.at) // a path of this host is the same
		return
	}
	s.a.problem(d.argAt(1), fmt.Sprintf("%s with variables is not carried over", d.name), "write the text itself")
}

var other = regexp.MustCompile(`\$[^0-9]`)
