// Package route decides which handler answers a request: host and path in,
// handler out.
//
// A Table is made once from the sites of one listening address and never
// changes; a reload makes another. It is an http.Handler. For each request it
//
//   - picks the site by the Host header: exact names, whatever their case,
//     without port and without the dot that may end a full name; else the
//     first site that names no hosts; else the first site;
//   - hands the request to the site's Wrap, when there is one (the access
//     log), so that what follows is logged as well;
//   - refuses paths that no file and no app should ever see: with NUL or
//     another control character, or with a "." or ".." segment once decoded,
//     by 400. They are never tidied in silence: what an app or a file would
//     make of them is how traversals work;
//   - walks the site's routes in order; the first that matches answers. Where
//     none does, the site's Fallback answers, and without one a 404.
//
// A route's path is exact ("/favicon.ico"), or a prefix when it ends in "*":
// "/media/*" matches "/media/" and "/media/a/b", and not "/media", which has
// no slash and so names something else. "*" stands for any text only at the
// end. A route's regexp is Go's syntax, on the decoded path, unanchored.
//
// Malformed requests, missing and repeated Host headers are refused before,
// by net/http. The package does not rewrite, redirect or mount: the handlers
// get the request as it came (except that the absolute form without a path,
// "GET http://host", is "/", as RFC 9112, section 3.2.2, wants it).
package route

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

// Site is what answers for some hosts.
type Site struct {
	Hosts    []string                        // exact names, no ports; empty: any host that no other site names
	Routes   []Route                         // first match wins
	Fallback http.Handler                    // answers where no route matches; nil: 404
	Wrap     func(http.Handler) http.Handler // put around all that the site does; nil: nothing
}

// Route sends the paths that match to Handler. At most one of Path and Regexp
// is set; with neither, every path matches.
type Route struct {
	Path    string // exact, or a prefix that ends in "*"
	Regexp  string // Go syntax, on the decoded path
	Handler http.Handler
}

// Table is an immutable set of sites.
type Table struct {
	hosts    map[string]http.Handler // lower case
	fallback http.Handler            // for a host that is not in hosts
}

// New compiles the sites of one listening address.
func New(sites []Site) (*Table, error) {
	if len(sites) == 0 {
		return nil, fmt.Errorf("no site to route to")
	}
	t := &Table{hosts: make(map[string]http.Handler)}
	anyHost := false
	for i, s := range sites {
		h, err := compile(s)
		if err != nil {
			return nil, fmt.Errorf("site %s: %w", siteName(s, i), err)
		}
		for _, name := range s.Hosts {
			key := strings.ToLower(bareHost(name))
			if key == "" {
				return nil, fmt.Errorf("site %s: empty host name %q", siteName(s, i), name)
			}
			if _, twice := t.hosts[key]; twice {
				return nil, fmt.Errorf("host %q is named twice on one address", name)
			}
			t.hosts[key] = h
		}
		if len(s.Hosts) == 0 {
			if anyHost {
				return nil, fmt.Errorf("site %s: a second site without hosts on one address would never be reached", siteName(s, i))
			}
			anyHost = true
			t.fallback = h
		}
		if i == 0 {
			t.fallback = h
		}
	}
	return t, nil
}

func siteName(s Site, i int) string {
	if len(s.Hosts) > 0 {
		return s.Hosts[0]
	}
	return fmt.Sprintf("number %d", i+1)
}

// ServeHTTP answers by the site that the request's host names.
func (t *Table) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t.site(r.Host).ServeHTTP(w, r)
}

// site looks the host up as it stands first: browsers send it in lower case
// and the name alone, so that this is all there is to do, with no allocation.
func (t *Table) site(host string) http.Handler {
	if len(t.hosts) == 0 {
		return t.fallback
	}
	if h, ok := t.hosts[host]; ok {
		return h
	}
	if h, ok := t.hosts[strings.ToLower(bareHost(host))]; ok {
		return h
	}
	return t.fallback
}

// bareHost drops the port and the dot that may end a name. An IPv6 address
// keeps its brackets, as it is written in a Host header.
func bareHost(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.Contains(host[i:], "]") {
		host = host[:i]
	}
	return strings.TrimSuffix(host, ".")
}

// site is one compiled Site, before its Wrap.
type site struct {
	routes   []route
	fallback http.Handler
}

// route is one compiled Route.
type route struct {
	kind    kind
	path    string // exact, or the prefix without its "*"
	re      *regexp.Regexp
	handler http.Handler
}

type kind uint8

const (
	all kind = iota
	exact
	prefix
	pattern
)

func compile(s Site) (http.Handler, error) {
	c := &site{fallback: s.Fallback}
	if c.fallback == nil {
		c.fallback = http.HandlerFunc(notFound)
	}
	for i, in := range s.Routes {
		r, err := compileRoute(in)
		if err != nil {
			return nil, fmt.Errorf("route %d: %w", i+1, err)
		}
		c.routes = append(c.routes, r)
	}
	if s.Wrap != nil {
		return s.Wrap(c), nil
	}
	return c, nil
}

func compileRoute(in Route) (route, error) {
	r := route{handler: in.Handler}
	switch {
	case in.Handler == nil:
		return r, fmt.Errorf("leads nowhere")
	case in.Path != "" && in.Regexp != "":
		return r, fmt.Errorf("has both a path and a regexp")
	case in.Regexp != "":
		re, err := regexp.Compile(in.Regexp)
		if err != nil {
			return r, err
		}
		r.kind, r.re = pattern, re
	case in.Path == "" || in.Path == "*" || in.Path == "/*":
		r.kind = all
	default:
		path, isPrefix := strings.CutSuffix(in.Path, "*")
		if !strings.HasPrefix(path, "/") {
			return r, fmt.Errorf("path %q does not start with a slash", in.Path)
		}
		if strings.Contains(path, "*") {
			return r, fmt.Errorf("path %q has a * that is not its end; use a regexp", in.Path)
		}
		r.path, r.kind = path, exact
		if isPrefix {
			r.kind = prefix
		}
	}
	return r, nil
}

func (r *route) matches(path string) bool {
	switch r.kind {
	case exact:
		return path == r.path
	case prefix:
		return strings.HasPrefix(path, r.path)
	case pattern:
		return r.re.MatchString(path)
	}
	return true
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if path == "" || path[0] != '/' {
		var ok bool
		if r, ok = rooted(w, r); !ok {
			return
		}
		path = r.URL.Path
	}
	if problem := refuse(path); problem != "" {
		http.Error(w, "400 bad request: "+problem, http.StatusBadRequest)
		return
	}
	for i := range s.routes {
		if s.routes[i].matches(path) {
			s.routes[i].handler.ServeHTTP(w, r)
			return
		}
	}
	s.fallback.ServeHTTP(w, r)
}

// rooted deals with request targets that are not a path: the absolute form
// without one becomes "/"; CONNECT, the asterisk form and the rest are
// answered here.
func rooted(w http.ResponseWriter, r *http.Request) (*http.Request, bool) {
	switch {
	case r.Method == http.MethodConnect:
		http.Error(w, "501 CONNECT is for proxies", http.StatusNotImplemented)
		return nil, false
	case r.URL.Path == "" && r.URL.Host != "":
		c, u := *r, *r.URL
		u.Path = "/"
		c.URL = &u
		return &c, true
	}
	http.Error(w, "400 bad request: the path does not start with a slash", http.StatusBadRequest)
	return nil, false
}

// refuse says what is wrong with a decoded path, or "".
func refuse(path string) string {
	segment := 0 // where the running segment starts
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c < 0x20 || c == 0x7f:
			return "control character in the path"
		case c == '/':
			if dots(path[segment:i]) {
				return "dot segment in the path"
			}
			segment = i + 1
		}
	}
	if dots(path[segment:]) {
		return "dot segment in the path"
	}
	return ""
}

func dots(segment string) bool { return segment == "." || segment == ".." }

func notFound(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "404 not found", http.StatusNotFound)
}
