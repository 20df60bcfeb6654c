package nginx

// What answers in a location.

import (
	"slices"
	"strings"

	"millrace/internal/adapt/document"
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

// content makes the routes that answer, behind what says who may.
func (s *site) content(st state) {
	for _, one := range s.access(st) {
		before := len(s.routes)
		if one.refuses {
			respond(s.add(st.group, one.state.when, one.at), 403, "", "", one.at)
		} else {
			s.tryOr(one.state)
		}
		made := s.routes[before:]
		for _, r := range made {
			if !r.answers() {
				if to := r.get("goto"); to == nil || !slices.ContainsFunc(made, func(o *route) bool { return o.group == to }) { // not one of these, which are guarded
					s.guard(r, one)
				}
				continue
			}
			one.apply(r)
			s.headers(r, st)
			s.ofRoute(r, st)
		}
	}
}

// guard has a route that leads elsewhere let in only those whom the location lets
// in, unless it is they alone who come in there.
func (s *site) guard(r *route, one access) {
	if one.refuses || len(one.keys) == 0 || s.guarded(r, one) {
		return
	}
	for _, k := range one.keys {
		r.set(k.name, k.value, k.at)
	}
	again, is := r.get("rewrite").(*document.Table)
	if !is {
		return
	}
	s.again = true
	r.set("rewrite", again.Get("to"), r.at)
	r.set("goto", "again", r.at)
}

// guarded reports whether where a route leads to asks the same of everybody.
func (s *site) guarded(r *route, one access) bool {
	if slices.ContainsFunc(one.keys, func(e entry) bool { return e.name == "limit" }) {
		return false
	}
	return s.sameAt(s.led(r), one.state.scope.level)
}

// led is the location that a route leads to; nil: that is not known.
func (s *site) led(r *route) *location {
	if group, is := r.get("goto").(string); is {
		if i := slices.IndexFunc(s.locations, func(l *location) bool { return l.group == group }); i >= 0 {
			return s.locations[i]
		}
	} else if again, is := r.get("rewrite").(*document.Table); is && len(s.level.own(rewriting...)) == 0 {
		if path, is := again.Get("to").(string); is {
			return s.resolve(path)
		}
	}
	return nil
}

// sameAt reports whether a location asks whoever comes there for the same as a level
// does: behind no answer of its own that needs no asking.
func (s *site) sameAt(to *location, l *level) bool {
	return to != nil && len(to.level.own("limit_except", "if", "return", "rewrite")) == 0 && sameAccess(to.level, l)
}

// asks reports whether not everybody passes a level at once.
func (l *level) asks() bool {
	for _, d := range l.find("auth_basic") {
		if d.arg(0) != "off" {
			return true
		}
	}
	for _, d := range l.find("auth_request") {
		if d.arg(0) != "off" {
			return true
		}
	}
	return len(l.find("allow", "deny"))+len(l.location().own("limit_req", "limit_conn")) > 0
}

// sameAccess reports whether two levels let in the same clients.
func sameAccess(a, b *level) bool {
	for _, names := range [][]string{{"auth_basic"}, {"auth_basic_user_file"}, {"auth_request"}, {"allow", "deny"}, {"satisfy"}} {
		if !slices.Equal(a.find(names...), b.find(names...)) {
			return false
		}
	}
	return true
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
