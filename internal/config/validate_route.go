package config

// How the keys of a route, and the routes of a site, go together.

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// answers is what can answer for a route: the key, and whether it is there.
func (k *checker) answers(path string, r *Route) []string {
	var all []string
	for _, a := range []struct {
		key string
		set bool
	}{
		{"files", r.Files != nil},
		{"app", r.App != ""},
		{"upstream", r.Upstream != ""},
		{"cgi", r.CGI != nil},
		{"user_dirs", r.UserDirs != nil},
		{"redirect", r.Redirect != nil},
		{"respond", r.Respond != nil},
		{"goto", r.Goto != ""},
		{"status", r.Status},
		{"health", r.Health},
	} {
		if a.set || k.given(join(path, a.key)) && a.key != "status" && a.key != "health" {
			all = append(all, a.key)
		}
	}
	return all
}

func (k *checker) route(path string, s *Site, r *Route) {
	const where = "[[site.route]]"
	k.oneRegexp(path, where, r.Match())
	for i := range r.Any {
		k.oneRegexp(element(join(path, "any"), i), "any of "+where, r.Any[i])
	}
	answers := k.answers(path, r)
	rewrites := r.Rewrite != nil || k.given(join(path, "rewrite"))
	switch {
	case len(answers) > 1:
		k.fail(join(path, answers[1]), fmt.Sprintf("%s has both %s and %s", where, answers[0], answers[1]), "make two routes; the first that matches wins")
	case len(answers) == 0 && !rewrites:
		k.fail(path, where+" has none of files, app, upstream, cgi, user_dirs, redirect, respond, goto, status, health and rewrite: it leads nowhere", `add app = "NAME", upstream = "NAME" or files = { root = "FOLDER" }`)
	}
	if r.App != "" {
		known(k, join(path, "app"), r.App, "app", k.c.Apps)
	}
	if r.Upstream != "" {
		known(k, join(path, "upstream"), r.Upstream, "upstream", k.c.Upstreams)
	}
	k.groups(path, where, s, r)
	if r.Goto != "" && len(answers) == 1 {
		k.onlyRewrites(path, where, r)
	}
	if r.Files != nil && r.Mount != "" {
		k.fail(join(path, "mount"), where+" has mount beside files", `mount is for an app or back ends; files take strip = "/prefix"`)
	} else {
		k.prefix(join(path, "mount"), where, r, r.Mount)
	}
	k.onTheWay(path, s, r, answers)
	k.params(join(path, "params"), where, r, answers)
	k.toBackEnds(path, where, r, answers)
	k.encodes(path, r, answers)
	k.cache(path, s, r, answers)
	k.script(join(path, "script"), s, r, answers)
	k.cgi(join(path, "cgi"), r)
	k.userDirs(join(path, "user_dirs"), r)
	if r.Files == nil || k.bad[join(path, "files")] {
		return
	}
	at := join(path, "files")
	if len(r.Files.Root) == 0 && !k.bad[join(at, "root")] {
		k.fail(join(at, "root"), "root is missing in "+filesSection.label(where), `write files = { root = "FOLDER" }`)
	}
	k.prefix(join(at, "strip"), filesSection.label(where), r, r.Files.Strip)
	k.files(at, filesSection.label(where), r.Files)
}

// oneRegexp refuses a regexp for the path beside one for the URI: there are groups
// of one.
func (k *checker) oneRegexp(path, where string, m Match) {
	if m.Regexp != "" && m.URI != "" {
		k.fail(join(path, "uri"), where+" has both regexp and uri", "uri sees the path as well: say all in it")
	}
	if m.Not != nil {
		k.oneRegexp(join(path, "not"), "not of "+where, *m.Not)
	}
}

// onTheWay checks rewrite, redirect, try_files and headers.
func (k *checker) onTheWay(path string, s *Site, r *Route, answers []string) {
	const where = "[[site.route]]"
	if at := join(path, "rewrite"); r.Rewrite != nil && !k.bad[at] {
		k.required(at, rewriteSection.label(where), "to", r.Rewrite.To, `write rewrite = "/PATH"`)
		if r.Rewrite.Repeat && len(answers) > 0 {
			k.fail(join(at, "repeat"), fmt.Sprintf("repeat in %s: the route has %s, which answers at once", rewriteSection.label(where), answers[0]), "leave out one of the two")
		}
		if len(answers) == 0 {
			k.onlyRewrites(path, where, r)
		}
	}
	if at := join(path, "redirect"); r.Redirect != nil && !k.bad[at] {
		k.required(at, redirectSection.label(where), "to", r.Redirect.To, `write redirect = "/PATH", or a URL`)
	}
	at := join(path, "try_files")
	if len(r.TryFiles) == 0 || k.bad[at] {
		return
	}
	if len(answers) > 0 && answers[0] != "files" && answers[0] != "app" && answers[0] != "upstream" {
		k.fail(at, fmt.Sprintf("try_files in %s: %s takes no file", where, answers[0]), "leave out one of the two")
		return
	}
	if r.Files == nil && s.Root == "" {
		k.fail(at, "try_files in "+where+": there is no folder to look in", "give the route files = { root = … }, or the site a root")
	}
	for i, text := range r.TryFiles {
		switch last := i == len(r.TryFiles)-1; {
		case strings.HasPrefix(text, "=") && !last:
			k.fail(element(at, i), fmt.Sprintf("try_files = %s in %s: a status stands before the end", quote(text), where), "leave out what follows it")
		case strings.HasPrefix(text, "@") && !last:
			k.fail(element(at, i), fmt.Sprintf("try_files = %s in %s: a group stands before the end", quote(text), where), "leave out what follows it")
		case last && i == 0:
			k.fail(at, "try_files in "+where+" has nothing but a last item, which is not looked for", `write try_files = ["{path}", "=404"]`)
		}
	}
}

// params refuses parameters that would not arrive.
func (k *checker) params(path, where string, r *Route, answers []string) {
	if len(r.Params) == 0 || len(answers) == 0 || k.bad[path] {
		return
	}
	app, upstream := k.c.Apps[r.App], k.c.Upstreams[r.Upstream]
	why := ""
	switch {
	case answers[0] != "app" && answers[0] != "upstream":
		why = answers[0] + " takes none"
	case app != nil && app.Method == "cgi":
		why = fmt.Sprintf("%s is a CGI program, which gets what CGI knows", appSection.label(r.App))
	case app != nil && len(app.Command) > 0 && app.Protocol == "http":
		why = fmt.Sprintf("%s speaks http, which has none", appSection.label(r.App))
	case upstream != nil && upstream.SpeaksHTTP():
		why = fmt.Sprintf("%s speaks %s, which has none", upstreamSection.label(r.Upstream), upstream.Protocol)
	}
	if why != "" {
		k.fail(path, fmt.Sprintf("params in %s: %s", where, why), "leave them out")
	}
}

// onlyRewrites refuses keys that have no effect in a route that answers nothing.
func (k *checker) onlyRewrites(path, where string, r *Route) {
	route := reflect.ValueOf(r).Elem()
	conditions := append(conditionKeys(), key{name: "not"}, key{name: "any"}, key{name: "rewrite"}, key{name: "group"}, key{name: "goto"})
	does := "only rewrites"
	if r.Goto != "" {
		does = "only sends requests to a group"
		for _, guard := range guardKeys {
			conditions = append(conditions, key{name: guard})
		}
	}
	for _, of := range routeSection.keys {
		isCondition := slices.ContainsFunc(conditions, func(c key) bool { return c.name == of.name })
		if at := join(path, of.name); !isCondition && !k.bad[at] && !route.FieldByName(of.field).IsZero() {
			k.fail(at, fmt.Sprintf("%s has %s, and %s: it would have no effect", where, of.name, does), "give it to the route that answers, or have this one answer")
		}
	}
}

// guardKeys say who may, and how much: of a route that sends requests to a group
// as well.
var guardKeys = []string{"allow", "deny", "limit", "basic_auth", "auth", "internal"}

// conditions reports whether a route has conditions beside path and regexp.
func (r *Route) conditions() bool {
	return len(r.Method)+len(r.Header)+len(r.Query)+len(r.Cookie)+len(r.Client)+len(r.Value)+len(r.Exists)+len(r.Any) > 0 || r.URI != "" || r.Not != nil
}

// passesOn reports whether a request may go on with the routes below a route
// that matches it.
func (r *Route) passesOn(answers []string) bool {
	return len(answers) == 0 || len(r.TryFiles) > 0 || r.Script != nil || r.Internal || r.CGI != nil || r.Redirect != nil && strings.HasPrefix(r.Redirect.To, "{map.")
}

// unreached warns of routes that no request comes to.
type unreached struct {
	all    bool            // a route matches every path
	before map[string]bool // paths of routes that take all requests of theirs: "/x", "/x/*"
}

// by is the path of a route before that takes all that path would.
func (u *unreached) by(path string) (string, bool) {
	if u.before[path] {
		return path, true
	}
	for i := range len(path) {
		if prefix := path[:i] + "*"; i > 0 && u.before[prefix] {
			return prefix, true
		}
	}
	return "", false
}

func (k *checker) routes(path string, s *Site, used map[string]bool) {
	groups := make(map[string]*unreached) // of routes that are walked together
	for j := range s.Routes {
		at, r := element(path, j), &s.Routes[j]
		if k.bad[at] {
			continue
		}
		k.route(at, s, r)
		k.access(at, "[[site.route]]", r.BasicAuth, r.Limit)
		k.authorizes(at, "[[site.route]]", s, j, used)
		k.filters(at, "[[site.route]]", r, k.answers(at, r), used)
		k.guardsScripts(at, s, j)
		k.rewritesPast(at, s, j)
		used["app "+r.App], used["upstream "+r.Upstream] = true, true
		if k.bad[join(at, "path")] || k.bad[join(at, "regexp")] {
			continue
		}
		seen := groups[r.Group]
		if seen == nil {
			seen = &unreached{before: make(map[string]bool)}
			groups[r.Group] = seen
		}
		before, taken := seen.by(r.Path)
		switch {
		case seen.all:
			k.warn(at, "[[site.route]] is never reached: a route before it matches every path", "the first route that matches wins; move this one up")
		case r.Path != "" && taken && before == r.Path:
			k.warn(at, fmt.Sprintf("[[site.route]] is never reached: a route before it has path = %s as well", quote(r.Path)), "leave one of them out")
		case r.Path != "" && taken:
			k.warn(at, fmt.Sprintf("[[site.route]] is never reached: path = %s of a route before it matches all that %s does", quote(before), quote(r.Path)), "the first route that matches wins; move this one up")
		}
		if r.Regexp != "" || r.conditions() || r.passesOn(k.answers(at, r)) {
			continue
		}
		seen.all = seen.all || r.Path == "" || r.Path == "/*"
		seen.before[r.Path] = true
	}
}

// guardsScripts warns of a route of scripts that lets in only some clients,
// while the files beside them go on to routes that let in all.
func (k *checker) guardsScripts(at string, s *Site, number int) {
	r := &s.Routes[number]
	if !r.guarded() || r.Script == nil && (r.CGI == nil || len(r.CGI.Extensions) == 0) {
		return
	}
	below := s.Routes[number+1:]
	if len(below) == 0 && s.Root == "" {
		return
	}
	for i := range below {
		if b := &below[i]; b.guarded() && b.Script == nil && b.CGI == nil && b.Path == r.Path && b.Regexp == r.Regexp {
			return
		}
	}
	k.warn(at, "[[site.route]] lets in only some clients, and answers for scripts alone: the other files of its path go on with the routes below, which may let in all",
		"write a route of files with the same path, and the same basic_auth, auth, allow and deny, below it")
}

// guarded reports whether a route lets in only some clients.
func (r *Route) guarded() bool {
	return r.BasicAuth != nil && !r.BasicAuth.Off || r.Auth != nil || len(r.Allow)+len(r.Deny) > 0
}

// rewritesPast warns of a rewrite that goes on with the routes below, and may
// come to a path that a route above it guards.
func (k *checker) rewritesPast(at string, s *Site, number int) {
	r := &s.Routes[number]
	if r.Rewrite == nil || r.Rewrite.Repeat || len(k.answers(at, r)) > 0 || strings.HasPrefix(r.Rewrite.To, "{path}") || strings.HasPrefix(r.Rewrite.To, "{uri}") {
		return
	}
	to, _, open := strings.Cut(r.Rewrite.To, "{")
	to, _, query := strings.Cut(to, "?")
	open = open && !query // what it begins with is all that is known
	for i := range number {
		g := &s.Routes[i]
		path, isPrefix := strings.CutSuffix(g.Path, "*")
		comes := isPrefix && strings.HasPrefix(to, path) || open && strings.HasPrefix(path, to) || to == path
		again := func(b Route) bool { return b.guarded() && b.Path == g.Path }
		if g.guarded() && path != "" && path != "/" && comes && !slices.ContainsFunc(s.Routes[number+1:], again) {
			k.warn(at, fmt.Sprintf("rewrite in [[site.route]] goes on with the routes below, past the one above that guards %s", quote(g.Path)),
				"write repeat = true, so that it begins anew at the first route, or move it above that one")
			return
		}
	}
}
