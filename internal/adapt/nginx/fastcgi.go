package nginx

// FastCGI, SCGI and uwsgi: what programs are told.

import (
	"regexp"
	"strings"

	"millrace/internal/adapt/document"
)

// told are parameters that every program is told by itself, when their values are
// those of nginx's own fastcgi_params.
var told = map[string]string{
	"QUERY_STRING": "$query_string", "REQUEST_METHOD": "$request_method", "CONTENT_TYPE": "$content_type", "CONTENT_LENGTH": "$content_length",
	"REQUEST_URI": "$request_uri", "SERVER_PROTOCOL": "$server_protocol", "REQUEST_SCHEME": "$scheme", "HTTPS": "$https", "GATEWAY_INTERFACE": "CGI/1.1",
	"SERVER_SOFTWARE": "nginx/$nginx_version", "REMOTE_ADDR": "$remote_addr", "REMOTE_PORT": "$remote_port", "REMOTE_USER": "$remote_user",
	"SERVER_ADDR": "$server_addr", "SERVER_PORT": "$server_port", "AUTH_USER": "$remote_user", "HTTP_HOST": "$http_host",
}

// gateway makes the routes of a program: one, or with fastcgi_split_path_info, and
// with fastcgi_index, one for each way that a path is parted.
func (s *site) gateway(d *directive, address string, st state) {
	family := strings.TrimSuffix(d.name, "_pass")
	l := st.scope.level
	if st.scope.script != nil { // which try_files has looked for
		s.program(d, family, address, st)
		return
	}
	if index := l.last("fastcgi_index"); index != nil && family == "fastcgi" && s.endsWithSlash(st) {
		slash, _ := newPattern("/$", false)
		inner := st.fork()
		inner.when = inner.when.matching(slash)
		if name, ok := inner.scope.fixed(index.args[0], "fastcgi_index"); ok {
			inner.scope.script = &split{"{path}" + document.Literal(name), ""}
			s.program(d, family, address, inner)
		}
	}
	if parts := l.last("fastcgi_split_path_info"); parts != nil && family == "fastcgi" && s.parts(parts, st) {
		p, bad := newPattern(parts.arg(0), false)
		switch {
		case bad != nil:
			s.a.problem(parts.argAt(0), bad.problem, bad.hint)
		case p.groups < 2:
			s.a.problem(parts.argAt(0), "pattern \""+parts.arg(0)+"\" must have 2 captures", "one for the script, and one for what follows it")
		default:
			inner := st.fork()
			inner.when = inner.when.matching(p)
			inner.scope.script = &split{"{1}", "{2}"}
			s.program(d, family, address, inner)
		}
	}
	s.program(d, family, address, st)
}

// endsWithSlash reports whether a path that comes here may end with a slash: not
// where an expression ends with letters.
func (s *site) endsWithSlash(st state) bool {
	if l := st.loc; l != nil && l.exact && !st.changed {
		return strings.HasSuffix(l.name, "/")
	}
	all := st.when.paths
	if l := st.loc; l != nil && l.regex != nil && !st.changed {
		all = append(all[:len(all):len(all)], *l.regex)
	}
	for _, p := range all {
		if fixedEnd.MatchString(p.expr) {
			return false
		}
	}
	return true
}

// fixedEnd is an expression that ends with letters, or with one of some words.
var fixedEnd = regexp.MustCompile(`(?:\w|[A-Za-z0-9_]|[A-Za-z0-9_]\?|\((?:\?:)?[A-Za-z0-9_|?]+\))\$$`)

// parts reports whether fastcgi_split_path_info may part a path that comes here: a
// path that ends with ".php" has nothing behind it but where it has it twice.
func (s *site) parts(d *directive, st state) bool {
	l := st.loc
	return l == nil || l.regex == nil || !(strings.HasSuffix(l.regex.expr, `\.php$`) && len(regexp.QuoteMeta(l.regex.expr)) < 40)
}

// program makes one route of a program.
func (s *site) program(d *directive, family, address string, st state) {
	l := st.scope.level
	name, ok := s.a.upstream(address, family, s.settings(family, l, address), d.at)
	if !ok {
		return
	}
	if st.scope.script == nil {
		st.scope.script = &split{"{path}", ""}
	}
	sc := st.scope.clone()
	for name, text := range s.authVariables(l) {
		sc.vars[name] = text
	}
	s.resplit(&sc, st)
	if st.changed && st.scope.script.info != "" { // the path is that of the script now, with nothing behind it
		sc.script = &split{sc.script.name, ""}
	}
	r := s.add(st.group, st.when, d.at)
	r.set("upstream", name, d.at)
	params := document.Inline()
	at := d.at
	info, named := false, map[string]bool{}
	for _, p := range l.find(family + "_param") {
		named[p.arg(0)] = true
	}
	for _, p := range l.find(family + "_param") {
		name, value := p.arg(0), p.arg(1)
		at = p.at
		info = info || name == "PATH_INFO"
		if known, is := told[name]; is && known == value || name == "SERVER_NAME" && value == "$server_name" && s.name == "" {
			continue
		}
		if name == "HTTP_HOST" && value == "$host" {
			params.Set(name, "{host}", p.at)
			continue
		}
		if name == "CONTENT_LENGTH" {
			s.a.problem(p.at, "parameter CONTENT_LENGTH is the length of the body, which millrace knows", "leave it out")
			continue
		}
		if text, ok := sc.expand(p.args[1], forParam); ok && !(name == "PATH_INFO" && text == "{path}" && !named["SCRIPT_NAME"]) && !(name == "DOCUMENT_ROOT" && l.last("root", "alias") == nil) {
			params.Set(name, text, p.at)
		}
	}
	if !info { // without one there is none
		params.Set("PATH_INFO", "", at)
	}
	if !params.Empty() {
		r.set("params", params, at)
	}
	s.ofBackEnd(r, l)
	s.cache(r, family, family, address, st)
}

// resplit has variables that were set from the script's parts have those of this
// way of parting.
func (s *site) resplit(sc *scope, st state) {
	for _, d := range st.scope.level.location().own("set") {
		if v := d.arg(1); v == "$fastcgi_path_info" || v == "$fastcgi_script_name" {
			if text, ok := sc.expand(d.args[1], forParam); ok {
				sc.vars[strings.TrimPrefix(d.arg(0), "$")] = text
			}
		}
	}
}
