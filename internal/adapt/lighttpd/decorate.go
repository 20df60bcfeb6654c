package lighttpd

// This file: what is said of answers, whoever gives them: who may, headers, parameters,
// how long they are good.

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"millrace/internal/adapt/document"
)

// decoration is what the routes of a case share.
type decoration struct {
	l       *lowering
	all     []known
	auth    *pair // basic_auth
	ask     *pair // auth, of an authorizer
	expires *setting
	seconds int64
	bare    bool // it answers before mod_setenv is asked
}

func (l *lowering) decoration(all []known) decoration { return decoration{l: l, all: all} }

// kinds of routes, by what answers.
var answering = []string{"files", "app", "upstream", "cgi", "user_dirs", "redirect", "respond", "status"}

func kindOf(r *route) string {
	for _, k := range answering {
		if r.get(k) != nil {
			return k
		}
	}
	return ""
}

// around says of a route what is said of all in its case.
func (d decoration) around(r *route) *route {
	if d.auth != nil {
		r.set("basic_auth", d.auth.value, d.auth.at)
	}
	if d.ask != nil {
		r.set("auth", d.ask.value, d.ask.at)
	}
	kind := kindOf(r)
	if kind == "" { // it only leads on, and only those who may: what it leads to asks nobody
		return r
	}
	if !d.bare {
		d.headers(r, kind)
	}
	if s := d.l.handler404(d.all); s != d.l.site404 {
		pages := document.Inline()
		d.l.missing(pages, d.all)
		r.set("error_pages", pages, r.at)
	}
	if s := d.l.effective("mimetype.assign", d.all); kind == "files" && s != d.l.siteMIME {
		types, at := d.l.types(d.all)
		r.get("files").(*document.Table).Set("types", types, at)
	}
	gateway := kind == "app" || kind == "upstream"
	if gateway {
		d.request(r)
		d.environment(r, kind)
	} else if kind == "cgi" {
		d.cgiEnvironment(r)
	}
	if s := d.l.effective("server.max-request-size", d.all); s != nil && number(s.value) > 0 && (gateway || kind == "cgi") {
		r.set("max_body", fmt.Sprintf("%dKiB", number(s.value)), s.at)
	}
	if kind == "files" && d.expires != nil && d.seconds > 0 {
		r.get("files").(*document.Table).Set("expires", fmt.Sprintf("%ds", d.seconds), d.expires.at)
	}
	return r
}

// headers writes setenv's headers of responses, and expire's of what is no file.
func (d decoration) headers(r *route, kind string) {
	h, _ := r.get("headers").(*document.Table)
	fresh := h == nil
	if fresh {
		h = document.Inline()
	}
	for _, of := range [][2]string{{"setenv.add-response-header", "add"}, {"setenv.set-response-header", "set"}} {
		key, s := of[1], d.l.effective(of[0], d.all)
		if s == nil {
			continue
		}
		in, _ := h.Get(key).(*document.Table)
		if in == nil {
			in = document.Inline()
		}
		var remove []string
		for _, of := range s.value.items {
			if text := of.value.string(); text != "" {
				in.Set(of.key, document.Literal(text), of.at)
			} else if key == "set" {
				remove = append(remove, of.key)
			}
		}
		if !in.Empty() {
			h.Set(key, in, s.at)
		}
		if len(remove) > 0 {
			h.Set("remove", remove, s.at)
		}
	}
	if d.expires != nil && kind != "files" && kind != "respond" && kind != "redirect" && kind != "status" {
		in, _ := h.Get("set_unless_error").(*document.Table)
		if in == nil {
			in = document.Inline()
		}
		in.Set("Cache-Control", fmt.Sprintf("max-age=%d", d.seconds), d.expires.at)
		h.Set("set_unless_error", in, d.expires.at)
	}
	if fresh && !h.Empty() {
		r.set("headers", h, r.at)
	}
}

// request writes setenv's headers of requests.
func (d decoration) request(r *route) {
	h := document.Inline()
	for _, of := range [][2]string{{"setenv.add-request-header", "add"}, {"setenv.set-request-header", "set"}} {
		s := d.l.effective(of[0], d.all)
		if s == nil {
			continue
		}
		in := document.Inline()
		var remove []string
		for _, of := range s.value.items {
			if text := of.value.string(); text != "" {
				in.Set(of.key, document.Literal(text), of.at)
			} else {
				remove = append(remove, of.key)
			}
		}
		if !in.Empty() {
			h.Set(of[1], in, s.at)
		}
		if len(remove) > 0 {
			h.Set("remove", remove, s.at)
		}
	}
	if !h.Empty() {
		r.set("request_headers", h, r.at)
	}
}

// environment writes setenv's variables as parameters.
func (d decoration) environment(r *route, kind string) {
	for _, name := range []string{"setenv.add-environment", "setenv.set-environment"} {
		s := d.l.effective(name, d.all)
		if s == nil {
			continue
		}
		if d.http(r, kind) {
			d.l.document.Top().Comment(place(s.at) + ": " + name + " is left out for back ends that speak HTTP: they have no environment")
			continue
		}
		for _, of := range s.value.items {
			d.l.params(r, of.at, parameter(of.key), document.Literal(of.value.string()))
		}
	}
}

// parameter is a variable's name as parameters have it.
func parameter(name string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case 'a' <= c && c <= 'z':
			return c - 'a' + 'A'
		case 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
			return c
		}
		return '_'
	}, name)
}

func (d decoration) http(r *route, kind string) bool {
	name, _ := r.get(kind).(string)
	return kind == "upstream" && (name == "proxy" || strings.HasPrefix(name, "proxy-"))
}

func (d decoration) cgiEnvironment(r *route) {
	env := document.Inline()
	for _, name := range []string{"setenv.add-environment", "setenv.set-environment"} {
		if s := d.l.effective(name, d.all); s != nil {
			for _, of := range s.value.items {
				env.Set(parameter(of.key), of.value.string(), of.at)
			}
		}
	}
	if !env.Empty() {
		r.get("cgi").(*document.Table).Set("env", env, r.at)
	}
}

// guarded makes routes once for each part of the paths that somebody may not see, and
// once for the rest.
func (l *lowering) guarded(d decoration, gateways []*gateway, all []known, make func(decoration) []*route) []*route {
	var out []*route
	with := func(d decoration) []*route { return l.required(d, all, make) }
	for _, g := range gateways {
		if !g.authorizer {
			continue
		}
		who := document.Inline()
		who.Set(g.kind, g.name, g.at)
		asking := d
		asking.ask = &pair{"auth", who, g.at}
		for _, key := range append(slices.Clone(g.mapped), g.key) {
			conds := below(key, g.at)
			if !strings.HasPrefix(key, "/") && key != "" {
				conds = []cond{{key: "regexp", value: endings(texts([]string{key}), func(of item) string { return of.key }), at: g.at}}
			}
			for _, r := range with(asking) {
				if mount, is := r.get("mount").(string); is && strings.HasPrefix(key, "/") && !strings.HasPrefix(mount, key) && !strings.HasPrefix(key, mount+"/") {
					continue // no path begins with both
				}
				out = append(out, r.when(conds...))
			}
			if len(conds) == 0 {
				return out
			}
		}
	}
	return append(out, with(d)...)
}

// required makes routes for each path of auth.require, the first that a path begins
// with, and for the rest.
func (l *lowering) required(d decoration, all []known, make func(decoration) []*route) []*route {
	var out []*route
	if s := l.effective("auth.require", all); s != nil {
		for _, of := range s.value.items {
			basic := l.basicAuth(of, all)
			if basic == nil {
				continue
			}
			guarded := d
			guarded.auth = &pair{"basic_auth", basic, of.at}
			conds := below(of.key, of.at)
			for _, r := range make(guarded) {
				out = append(out, r.when(conds...))
			}
			if len(conds) == 0 {
				return out
			}
		}
	}
	return append(out, make(d)...)
}

// basicAuth is one path of auth.require; nil: it cannot be carried over.
func (l *lowering) basicAuth(of item, all []known) *document.Table {
	fail := func(at document.Place, problem, hint string) *document.Table {
		l.problems.Add(at, problem, hint)
		return nil
	}
	if of.value.shape != isList {
		return fail(of.at, `unexpected value for auth.require; expected auth.require = ( "urlpath" => ( "option" => "value" ) )`, `write "method" => "basic", "realm" => "…", "require" => "valid-user"`)
	}
	for _, name := range []string{"method", "realm", "require"} {
		if v := of.value.get(name); v == nil || v.string() == "" {
			return fail(of.at, "the "+name+" field is missing or blank in: auth.require = ( \""+shown(of.key)+"\" => ( ..., \""+name+"\" => \"...\" ) )", "write it")
		}
	}
	if method := of.value.get("method"); method.text != "basic" {
		return fail(method.at, "auth.require cannot be carried over with method "+quote(method.text)+": passwords are asked for by basic alone", `write "method" => "basic", over TLS`)
	}
	backend := l.effective("auth.backend", all)
	if backend == nil || backend.value.text != "htpasswd" && backend.value.text != "plain" {
		said := "none"
		if backend != nil {
			said = quote(backend.value.text)
		}
		return fail(of.at, "auth.require cannot be carried over with auth.backend "+said, `write auth.backend = "htpasswd" and auth.backend.htpasswd.userfile = "FILE"`)
	}
	file := l.effective("auth.backend."+backend.value.text+".userfile", all)
	if file == nil {
		return fail(backend.at, "auth.backend."+backend.value.text+".userfile is not set", "name the file of the passwords")
	}
	if backend.value.text == "plain" {
		return fail(file.at, "auth.backend.plain.userfile cannot be carried over: passwords are not kept in plain text", `make a file by htpasswd -B, and write auth.backend = "htpasswd"`)
	}
	basic := document.Inline()
	basic.Set("realm", of.value.get("realm").string(), of.at)
	require := of.value.get("require")
	if require.string() == "valid-user" {
		basic.Set("file", absolute(file.value.text), file.at)
		return basic
	}
	users := document.Inline()
	for _, rule := range strings.Split(require.string(), "|") {
		kind, name, _ := strings.Cut(rule, "=")
		if kind != "user" || name == "" {
			return fail(require.at, "auth.require cannot be carried over with "+quote(rule), `write "valid-user", or "user=NAME|user=NAME"`)
		}
		hash, err := hashOf(absolute(file.value.text), name)
		if err != "" {
			return fail(require.at, "auth.require "+quote(rule)+": "+err, "a user of it stands in "+shown(file.value.text))
		}
		users.Set(name, hash, require.at)
	}
	basic.Set("users", users, require.at)
	return basic
}

// hashOf is the hash of a user in a file of htpasswd's.
func hashOf(path, user string) (hash, problem string) {
	f, err := os.Open(path)
	if err != nil {
		return "", "cannot read " + shown(path)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for n := 0; lines.Scan() && n < 100_000; n++ {
		if name, rest, ok := strings.Cut(lines.Text(), ":"); ok && name == user {
			hash, _, _ = strings.Cut(rest, ":")
			return strings.TrimSpace(hash), ""
		}
	}
	return "", "there is no such user in the file"
}

// expiring makes routes for each path of expire.url, and for the rest.
func (d decoration) expiring(make func(decoration) []*route) []*route {
	s := d.l.effective("expire.url", d.all)
	if s == nil {
		return make(d)
	}
	var out []*route
	for _, of := range s.value.items {
		seconds, problem := lifetime(of.value.string())
		if problem != "" {
			d.l.problems.Add(of.value.at, "expire.url cannot be carried over with "+quote(of.value.string())+": "+problem, `write "access plus 1 hours"`)
			continue
		}
		good := d
		good.expires, good.seconds = &setting{"expire.url", of.at, of.value}, seconds
		conds := below(of.key, of.at)
		for _, r := range make(good) {
			out = append(out, r.when(conds...))
		}
		if len(conds) == 0 {
			return out
		}
	}
	return append(out, make(d)...)
}

var seconds = map[string]int64{"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 7 * 86400, "month": 30 * 86400, "year": 365 * 86400}

// lifetime is "access plus 1 hours 30 minutes" in seconds.
func lifetime(text string) (total int64, problem string) {
	fields := strings.Fields(text)
	switch {
	case len(fields) == 0:
		return 0, "it is empty"
	case fields[0] == "modification":
		return 0, "how long a file is good goes from when it is asked for"
	case fields[0] != "access" && fields[0] != "now":
		return 0, "it begins with access"
	}
	fields = fields[1:]
	if len(fields) > 0 && fields[0] == "plus" {
		fields = fields[1:]
	}
	if len(fields) == 0 || len(fields)%2 != 0 {
		return 0, "numbers and units are expected"
	}
	for i := 0; i < len(fields); i += 2 {
		n, err := strconv.ParseInt(fields[i], 10, 32)
		unit, ok := seconds[strings.TrimSuffix(fields[i+1], "s")]
		if err != nil || !ok || n < 0 {
			return 0, quote(fields[i]+" "+fields[i+1]) + " is no time"
		}
		if total += n * unit; total > 100*365*86400 {
			return 0, "it is longer than a hundred years"
		}
	}
	return total, ""
}
