package config

// Who is asked whether a request may pass, and who works over an answer: keys of
// routes.

import (
	"cmp"
	"fmt"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Auth asks whether requests of a route may pass: one of Path alone, App and
// Upstream says whom.
type Auth struct {
	Path     string // path: of the site, that answers a subrequest, with placeholders
	App      string // app: NAME of [app.NAME], as an authorizer
	Upstream string // upstream: NAME of [upstream.NAME]; as an authorizer, if it speaks FastCGI

	Headers  []string // headers: of the answer, that become headers of the request
	ToClient []string // to_client: headers of the answer that are added to the response
	User     string   // user: header of the answer that names the user; empty: none

	Cache        time.Duration // cache: how long answers are kept; 0, the default: not at all
	CacheBy      []string      // cache_by: texts with placeholders that an answer depends on; nil: all that is told
	CacheEntries int           // cache_entries: answers that are kept; default 4096

	Satisfy    string // satisfy: "all" (default) or "any" of basic_auth and this
	ErrorPages bool   // error_pages: whether error_pages take the place of refusals
}

// Filter has an app or back ends work over the answers of a route.
type Filter struct {
	App      string // app: NAME of [app.NAME]
	Upstream string // upstream: NAME of [upstream.NAME], which speaks FastCGI
}

// HasRoles reports whether the app can be asked in other roles of FastCGI than
// the responder's.
func (a *App) HasRoles() bool {
	return a.Method != "cgi" && (len(a.Command) == 0 || a.Protocol == "fastcgi")
}

// HasRoles reports whether the back ends can be asked in other roles of FastCGI
// than the responder's.
func (u *Upstream) HasRoles() bool { return u.Protocol == "fastcgi" }

var authSection = &section{
	title:   "auth of %s",
	example: "[[site.route]]",
	alone:   "path",
	doc:     "Asks somebody else whether a request may pass, before its body is read: another path of the site, an app, or back ends. `auth = \"/check\"` is `auth = { path = \"/check\" }`. [Authorizers](authorize.md) has the rules.",
	keys: []key{
		{name: "path", field: "Path", form: formAuthPath, doc: "A path of this site, with placeholders, that is asked by a GET without a body, with X-Original-URI and X-Original-Method; internal routes answer as well. 2xx lets pass; 401, 403 and redirects are the client's answer; anything else is 502. Beside an app or back ends without roles: what they are asked for, in place of the request's own path."},
		{name: "app", field: "App", form: formApp, doc: "The app that is asked, in the FastCGI role of an authorizer: 200 lets pass, any other answer is the client's; headers `Variable-NAME` become parameters of what answers. One without roles (method `cgi`, or a `command` that does not speak FastCGI) is asked as a path is."},
		{name: "upstream", field: "Upstream", form: formUpstream, doc: "The back ends that are asked: with `fastcgi` as authorizers, else as a path is."},
		{name: "headers", field: "Headers", form: formAuthHeaders, doc: "Headers of the answer that become headers of the request, for what answers it. What a client sends of these names is dropped."},
		{name: "user", field: "User", form: formAuthHeader, doc: "The header of the answer that names the user, who becomes REMOTE_USER, `{user}`, and the log's. What a client sends of this name is dropped. An authorizer may say it by `Variable-REMOTE_USER` instead."},
		{name: "to_client", field: "ToClient", form: formToClient, doc: "Headers of the answer that are added to the response when the request passes, like `Set-Cookie`."},
		{name: "cache", field: "Cache", form: formDurationZero, def: `"0s"`, doc: "How long an answer is kept, so that it is asked for once; `\"0s\"`: not at all. No error is kept, nor an answer with Set-Cookie or `Cache-Control: no-store`."},
		{name: "cache_by", field: "CacheBy", form: formCacheBy, doc: "Texts with placeholders that an answer depends on, like `[\"{cookie.sessionid}\", \"{path}\"]`: where all are the same, so is the answer. Without it: all that whoever is asked is told: method, host, path, query, the client's address, and every header but those of conditions, ranges and encodings."},
		{name: "cache_entries", field: "CacheEntries", form: formCount, def: "4096", doc: "Answers that are kept at a time; then the oldest goes."},
		{name: "satisfy", field: "Satisfy", form: formSatisfy, def: `"all"`, doc: "Beside `basic_auth`: `all`: both must let pass; `any`: a request with a name and a password is judged by these alone, and any other by this."},
		{name: "error_pages", field: "ErrorPages", form: formBool, def: "false", doc: "Whether `error_pages` take the place of a refusal, as they do of an error that is the server's own, also where those of apps stay as they are."},
	},
}

var filterSection = &section{
	title:   "filter of %s",
	example: "[[site.route]]",
	alone:   "app",
	doc:     "Has an app or back ends work over the answers of the route, in the FastCGI role of a filter. `filter = \"NAME\"` is `filter = { app = \"NAME\" }`. [Filters](filter.md) has the rules.",
	keys: []key{
		{name: "app", field: "App", form: formApp, doc: "The app: a WSGI app has the answer as a file in `environ[\"fcgi.data\"]`; a `command` must speak FastCGI."},
		{name: "upstream", field: "Upstream", form: formUpstream, doc: "The back ends, which must speak `fastcgi`."},
	},
}

var (
	formAuthPath    = form{takes: `a path that begins with "/", like "/check"`, texts: true, check: checkRewrite}
	formAuthHeaders = form{takes: `names of headers, like "X-User"`, check: checkAuthHeader}
	formAuthHeader  = form{takes: `the name of a header, like "X-User"`, check: checkAuthHeader}
	formToClient    = form{takes: `names of headers, like "Set-Cookie"`, check: checkToClient}
	formCacheBy     = form{takes: `texts with placeholders, like ["{cookie.sessionid}", "{path}"]`, some: true, texts: true}
	formSatisfy     = form{takes: `"all" or "any"`, check: checkSatisfy}
)

// checkAuthHeader refuses what says what a request is: another value would make
// it another one.
func checkAuthHeader(_, text string) (string, *refusal) {
	name, bad := checkToken(text)
	if name = textproto.CanonicalMIMEHeaderKey(name); bad != nil {
		return "", bad
	}
	switch name {
	case "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Expect", "Host", "Keep-Alive", "Proxy", "Proxy-Connection",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade", "X-Request-Id":
		return "", &refusal{"is a header that says what the request is", "take a name of its own, like X-User"}
	}
	if strings.Trim(name, "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") != "" {
		return "", &refusal{"is a header that no app gets", "a name is of letters, digits and hyphens"}
	}
	return name, nil
}

// checkToClient refuses what says what a response is.
func checkToClient(_, text string) (string, *refusal) {
	name, bad := checkToken(text)
	if name = textproto.CanonicalMIMEHeaderKey(name); bad != nil {
		return "", bad
	}
	switch name {
	case "Accept-Ranges", "Connection", "Content-Encoding", "Content-Length", "Content-Range", "Content-Type", "Etag", "Keep-Alive", "Last-Modified",
		"Trailer", "Transfer-Encoding", "Upgrade":
		return "", &refusal{"is a header of the answer's own body", "leave it out"}
	}
	return name, nil
}

func checkSatisfy(_, text string) (string, *refusal) {
	return oneOf(text, "is neither", "all", "any")
}

// authorizes checks who is asked.
func (k *checker) authorizes(path, where string, s *Site, number int, used map[string]bool) {
	r := &s.Routes[number]
	c, at := r.Auth, join(path, "auth")
	if c == nil || k.bad[at] {
		return
	}
	where = authSection.label(where)
	switch {
	case c.App != "" && c.Upstream != "":
		k.fail(join(at, "upstream"), where+" has both app and upstream", "leave out one of the two")
	case c.App == "" && c.Upstream == "" && c.Path == "" && !k.bad[join(at, "path")] && !k.bad[join(at, "app")] && !k.bad[join(at, "upstream")]:
		k.fail(at, where+" asks nobody", `write auth = "/PATH", or app = "NAME"`)
	}
	roles := k.whoHasRoles(at, where, c.App, c.Upstream, used)
	if roles && c.Path != "" && !k.bad[join(at, "path")] {
		k.fail(join(at, "path"), "path in "+where+": an authorizer is asked about the request itself", `leave it out; or write auth = "/PATH", and a route of that path to the app`)
	}
	if at := join(at, "satisfy"); c.Satisfy == "any" && !k.bad[at] && !r.asksPassword(s) {
		k.fail(at, "satisfy in "+where+": the route has no basic_auth", "leave it out, or add basic_auth")
	}
	if at := join(at, "cache_by"); c.Cache == 0 && k.given(at) && !k.bad[at] && !k.bad[join(path, "auth.cache")] {
		k.warn(at, "cache_by in "+where+" has no effect without cache", `write cache = "10s"`)
	}
	if c.App == "" && c.Upstream == "" && c.Path != "" && !k.bad[join(at, "path")] {
		k.authLoops(join(at, "path"), where, s, number)
	}
}

// asksPassword reports whether a route asks for a name and a password.
func (r *Route) asksPassword(s *Site) bool {
	basic := cmp.Or(r.BasicAuth, s.BasicAuth)
	return basic != nil && !basic.Off
}

// whoHasRoles checks an app and back ends beside the route's own, and reports
// whether they have roles.
func (k *checker) whoHasRoles(at, where, app, upstream string, used map[string]bool) bool {
	used["app "+app], used["upstream "+upstream] = true, true
	if app != "" {
		knownIn(k, join(at, "app"), where, app, "app", k.c.Apps)
	}
	if upstream != "" {
		knownIn(k, join(at, "upstream"), where, upstream, "upstream", k.c.Upstreams)
	}
	if a := k.c.Apps[app]; a != nil {
		return a.HasRoles()
	}
	u := k.c.Upstreams[upstream]
	return u != nil && u.HasRoles()
}

// filters checks who works over the answers of a route.
func (k *checker) filters(path, where string, r *Route, answers []string, used map[string]bool) {
	c, at := r.Filter, join(path, "filter")
	if c == nil || k.bad[at] {
		return
	}
	label := filterSection.label(where)
	if len(answers) > 0 && slices.Contains([]string{"redirect", "status", "health"}, answers[0]) {
		k.fail(at, fmt.Sprintf("filter in %s: %s takes none", where, answers[0]), "leave out one of the two")
		return
	}
	switch {
	case c.App != "" && c.Upstream != "":
		k.fail(join(at, "upstream"), label+" has both app and upstream", "leave out one of the two")
		return
	case c.App == "" && c.Upstream == "":
		if !k.bad[join(at, "app")] && !k.bad[join(at, "upstream")] {
			k.fail(at, label+" has neither app nor upstream", `write filter = "NAME" of an [app.NAME]`)
		}
		return
	}
	if k.whoHasRoles(at, label, c.App, c.Upstream, used) {
		return
	}
	if a := k.c.Apps[c.App]; a != nil && !k.bad[familyPath("app", c.App)+".method"] && !k.bad[familyPath("app", c.App)+".protocol"] {
		why := fmt.Sprintf("%s speaks %s", appSection.label(c.App), a.Protocol)
		if a.Method == "cgi" {
			why = fmt.Sprintf(`%s has method = "cgi"`, appSection.label(c.App))
		}
		k.fail(join(at, "app"), fmt.Sprintf("app = %s in %s: %s, which has no filters", quote(c.App), label, why), "take a WSGI app, or a program that speaks fastcgi")
	}
	if u := k.c.Upstreams[c.Upstream]; u != nil && u.Protocol != "" && !k.bad[familyPath("upstream", c.Upstream)+".protocol"] {
		k.fail(join(at, "upstream"), fmt.Sprintf("upstream = %s in %s: %s speaks %s, which has no filters", quote(c.Upstream), label, upstreamSection.label(c.Upstream), u.Protocol), "only FastCGI has them")
	}
}

// authLoops refuses a route that asks itself, by way of others or not, and one
// that asks where nothing answers; as far as the file alone tells.
func (k *checker) authLoops(at, where string, s *Site, number int) {
	from := number
	seen := map[int]bool{number: true}
	for {
		c := s.Routes[from].Auth
		if c == nil || c.App != "" || c.Upstream != "" || strings.Contains(c.Path, "{") {
			return
		}
		to, sure := s.leadsTo(c.Path)
		switch {
		case !sure:
			return
		case to < 0 && from == number && s.Root == "":
			k.refuse(spot{path: at, name: "path", where: where, form: &form{}}, quote(c.Path),
				&refusal{"no route of the site answers it: every request would be answered with 502", "add a route with this path, and internal = true if clients are not to ask it"})
			return
		case to < 0:
			return
		case to == number:
			k.refuse(spot{path: at, name: "path", where: where, form: &form{}}, quote(c.Path),
				&refusal{"the route that answers it asks this one again, without an end", "write a route with this path and no auth above it"})
			return
		case seen[to]:
			return // a loop of others, which are refused themselves
		}
		seen[to], from = true, to
	}
}

// leadsTo is the route that answers a path; -1: none does. It is not sure where
// more than the path decides.
func (s *Site) leadsTo(text string) (number int, sure bool) {
	path, _, _ := strings.Cut(text, "?")
	if strings.Contains(path, "%") {
		return 0, false
	}
	for i := range s.Routes {
		r := &s.Routes[i]
		if !r.matchesPath(path) {
			continue
		}
		if r.conditions() || r.Rewrite != nil || len(r.TryFiles) > 0 || r.Script != nil || r.CGI != nil || r.Redirect != nil && strings.HasPrefix(r.Redirect.To, "{map.") {
			return 0, false
		}
		return i, true
	}
	return -1, true
}

// matchesPath reports whether the path of a request is one of the route's.
func (r *Route) matchesPath(path string) bool {
	if prefix, open := strings.CutSuffix(r.Path, "*"); r.Path != "" && (open && !strings.HasPrefix(path, prefix) || !open && path != r.Path) {
		return false
	}
	if r.Regexp == "" {
		return true
	}
	re, err := regexp.Compile(r.Regexp)
	return err == nil && re.MatchString(path)
}
