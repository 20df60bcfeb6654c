package nginx

// What answers in a location.

import (
	"strings"
)

// passes are the directives that hand requests to somebody else.
var passes = []string{"proxy_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass"}

// answers are they, and what answers by itself.
var answers = append([]string{"stub_status", "empty_gif"}, passes...)

// handler is what a level has that answers: its own, or where it is an if or a
// limit_except, that of the location around it. Nil: files.
func (l *level) handler() *directive {
	for ; ; l = l.parent {
		if own := l.own(answers...); len(own) > 0 {
			return own[len(own)-1]
		}
		if l.context != 'l' && l.context != 'X' {
			return nil
		}
	}
}

// location is the level of the location, or server, that a level is of.
func (l *level) location() *level {
	for l.context == 'l' || l.context == 'X' {
		l = l.parent
	}
	return l
}

// content makes the routes that answer.
func (s *site) content(st state) {
	l := st.scope.level
	if own := l.location().own("internal"); len(own) > 0 && st.group == "" {
		// Nothing but what begins within comes here, and the rest finds nothing.
		before := len(s.routes)
		s.guarded(st)
		for _, r := range s.routes[before:] {
			r.set("internal", true, own[0].at)
		}
		r := s.add(st.group, st.when, own[0].at)
		respond(r, 404, "", "", own[0].at)
		return
	}
	s.guarded(st)
}

// guarded makes them behind what says who may.
func (s *site) guarded(st state) {
	for _, one := range s.access(st) {
		before := len(s.routes)
		if one.refuses {
			respond(s.add(st.group, one.state.when, one.at), 403, "", "", one.at)
		} else {
			s.tryOr(one.state)
		}
		leads := false
		for _, r := range s.routes[before:] {
			if r.answers() {
				one.apply(r)
				s.headers(r, st)
				s.ofRoute(r, st)
				continue
			}
			leads = true
		}
		if leads && !one.refuses {
			s.guard(one, before)
		}
	}
}

// guard puts what keeps clients out before routes that lead elsewhere, where others
// may come in.
func (s *site) guard(one access, before int) {
	loc := one.state.scope.level.location()
	if loc.context != 'L' {
		return
	}
	for _, k := range one.keys {
		when := one.state.when
		switch k.name {
		case "basic_auth", "auth":
			if len(loc.own("auth_basic", "auth_request")) > 0 {
				s.a.problem(loc.at, "a location that asks who it is leads to another one (by try_files, index or rewrite), which would not ask", "write the same auth_basic or auth_request in the location that it leads to, or at the server")
			}
			continue
		case "allow":
			when = when.with(atom{op: 'c', nets: k.value.([]string), not: true})
		case "deny":
			when = when.with(atom{op: 'c', nets: k.value.([]string)})
		default:
			continue
		}
		if len(loc.own("allow", "deny")) > 0 {
			r := &route{group: one.state.group, when: when, at: k.at}
			respond(r, 403, "", "", k.at)
			s.routes = append(s.routes[:before:before], append([]*route{r}, s.routes[before:]...)...)
		}
	}
}

// answers reports whether a route does not only hand on.
func (r *route) answers() bool {
	return r.get("files") != nil || r.get("upstream") != nil || r.get("respond") != nil || r.get("redirect") != nil || r.get("status") != nil
}

// handle makes the routes of the handler itself.
func (s *site) handle(st state) {
	d := st.scope.level.handler()
	switch {
	case d == nil:
		s.files(st)
	case d.name == "stub_status":
		r := s.add(st.group, st.when, d.at)
		r.comment("stub_status: the status of millrace, which has other words.")
		r.set("status", true, d.at)
	case d.name == "empty_gif":
		s.a.refuse(d, "there is no such picture built in", "serve a file")
	default:
		s.pass(d, st)
	}
}

// root is the folder of a level's files, as a text with placeholders; alias says
// that the location's path is not in it.
func (s *site) root(sc *scope) (text string, d *directive, ok bool) {
	d = sc.level.last("root", "alias")
	if own := sc.level.own("root", "alias"); len(own) == 0 && d != nil && d.name == "alias" && sc.level.context == 'L' && sc.level.parent.context == 'L' {
		// a nested location has the alias of the one around it
		d = sc.level.last("root", "alias")
	}
	if d == nil {
		return "/usr/share/nginx/html", nil, true
	}
	text, ok = sc.expand(d.args[0], forText)
	if !strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "{") {
		text = "/usr/share/nginx/" + text
	}
	if len(text) > 1 && d.name == "root" {
		text = strings.TrimRight(text, "/")
	}
	return text, d, ok
}

// fileOf is $request_filename.
func (s *site) fileOf(sc *scope) (string, bool) {
	root, d, ok := s.root(sc)
	if !ok || d == nil || d.name == "root" {
		return root + "{path}", ok
	}
	if l := sc.level.location(); l.of != nil && l.of.arg(0) == "=" {
		return root, true
	}
	s.a.problem(sc.level.at, "$request_filename below an alias is not carried over", "write root, with the files in a folder of the location's name")
	return "", false
}
