// Package route decides which handler answers a request: host, path and
// whatever else a route asks for in, handler out.
//
// A Table is made once from the sites of one listening address and never
// changes; a reload makes another. It is an http.Handler, and picks the site by
// the Host header, whatever its case, without port and without the dot that may
// end a full name: by an exact name; else by the longest "*.example.com" that
// it is below; else by the first regexp that matches; else the default site;
// else the first site that names no hosts; else the first site.
//
// Routes are the routes of one site. For each request they
//
//   - refuse paths that no file and no app should ever see: with NUL or
//     another control character, or with a "." or ".." segment once decoded,
//     by 400. They are never tidied in silence: what an app or a file would
//     make of them is how traversals work;
//   - are walked in order; the first whose conditions all hold, and that takes
//     the request if it is asked (Route.Pick), answers. Where none does, the
//     site's Fallback answers, and without one a 404.
//   - may change the path on the way (Route.Rewrite, Route.Try); what comes of
//     that is refused as above.
//   - may send a request to a group (Route.Goto, Try.Group): the routes of that
//     name, which no request comes to otherwise, are walked in its place, and
//     a request that none of them takes is a 404.
//
// A path is exact ("/favicon.ico"), or a prefix when it ends in "*":
// "/media/*" matches "/media/" and "/media/a/b", and not "/media", which has
// no slash and so names something else. Several slashes count as one where
// routes are compared: files and scripts are found alike below "//media/", so
// that a route that guards them must be. A route whose own path has several gets
// the request as it came ("/app/http://x" for "/app/*"), any other one with
// single slashes; and one whose path or regexp says "//" means that. "*" stands for any text only at the end. A regexp is Go's syntax, on the decoded path, unanchored; what it takes
// grows with the path alone.
//
// The time to find a route hardly grows with their number (index.go): only the
// routes are tried whose path is the request's, or begins it, or whose regexp
// begins with "^" and a text that begins it. A regexp without such a text, and
// a route without path and regexp, is tried for each request that comes to it.
//
// Malformed requests, missing and repeated Host headers are refused before.
// Handlers get the request as it came, but for what was rewritten and for the
// absolute form without a path, "GET http://host", which is "/", as RFC 9112,
// section 3.2.2, wants it. The RequestURI of a request stays what the client
// sent; URL is what was made of it.
package route

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"millrace/internal/placeholder"
)

// maxRewrites is how often one request may begin anew at the first route, and
// maxJumps how often it may be sent to a group.
const (
	maxRewrites = 10
	maxJumps    = 50
)

// Site is what answers for some hosts.
type Site struct {
	Hosts    []string     // names without ports, "*.example.com", "~regexp"; empty: any host that no other site names
	Default  bool         // it answers for the hosts that no site names
	Routes   []Route      // first match wins
	Fallback http.Handler // answers where no route matches; nil: 404
	Handler  http.Handler // answers for the site: what NewSite made of it, and what is around; nil: NewSite's
	Log      *slog.Logger // is told of rewriting that does not end; nil: nobody is
}

// Route sends the requests that match to Handler. Without any condition every
// request matches.
type Route struct {
	Match
	Any  []Match           // one of them must hold as well; empty: that is no condition
	When *placeholder.Text // must not be empty; nil: that is no condition

	// Rewrite is the path, and the query if it has a "?", that the request goes
	// on with: to Handler, or without one to the routes below. Nil: none.
	Rewrite *placeholder.Text
	Repeat  bool // without a Handler, it begins anew at the first route

	// Try looks for files before Handler is asked. Nil: it does not.
	Try *Try

	// Pick is asked when all else holds: false passes the request on to the
	// routes below. Handler gets what it returns, which may be r with what it has
	// found in its context. Nil: the route takes all that matches.
	Pick func(r *http.Request) (*http.Request, bool)

	// Group is the group that the route belongs to; empty: to none, so that it is
	// walked for each request.
	Group string

	// Goto is the group whose routes the request goes on with, in place of
	// Handler. Empty: none.
	Goto string

	Handler http.Handler
}

// Routes are the routes of a site. They do not change once they serve.
type Routes struct {
	main     block
	groups   map[string]*block
	fallback http.Handler
	log      *slog.Logger
	keep     bool
}

// block is routes that are walked together.
type block struct {
	routes []compiled
	index  index
}

// NewSite makes the handler of a site's routes.
func NewSite(s Site) (*Routes, error) {
	c := &Routes{fallback: s.Fallback, log: s.Log, groups: make(map[string]*block)}
	if c.fallback == nil {
		c.fallback = http.HandlerFunc(notFound)
	}
	for i := range s.Routes {
		r, err := compile(&s.Routes[i])
		if err != nil {
			return nil, fmt.Errorf("route %d: %w", i+1, err)
		}
		r.number = i + 1
		in := &c.main
		if r.Group != "" {
			if in = c.groups[r.Group]; in == nil {
				in = &block{}
				c.groups[r.Group] = in
			}
		}
		in.index.add(len(in.routes), r.keys())
		in.routes = append(in.routes, r)
	}
	for i := range s.Routes {
		r := &s.Routes[i]
		for _, name := range []string{r.Goto, r.Try.group()} {
			if name != "" && c.groups[name] == nil {
				return nil, fmt.Errorf("route %d: there is no group %q", i+1, name)
			}
		}
	}
	return c, nil
}

// KeepGroups has the groups of regexps kept in each request's
// placeholder.Found, where it has one. It is called before they serve.
func (s *Routes) KeepGroups() { s.keep = true }

func (s *Routes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if path := r.URL.Path; path == "" || path[0] != '/' {
		var ok bool
		if r, ok = rooted(w, r); !ok {
			return
		}
	}
	if problem := refuse(r.URL.Path); problem != "" {
		http.Error(w, "400 bad request: "+problem, http.StatusBadRequest)
		return
	}
	s.serve(w, r, walk{block: &s.main})
}

// ServeGroup answers a request by the routes of a group, as if it had been sent
// there by a route.
func (s *Routes) ServeGroup(w http.ResponseWriter, r *http.Request, group string) error {
	b := s.groups[group]
	if b == nil {
		return fmt.Errorf("there is no group %q", group)
	}
	s.serve(w, r, walk{block: b})
	return nil
}

// serve answers a request from where it stands among the routes.
func (s *Routes) serve(w http.ResponseWriter, r *http.Request, at walk) {
	for {
		i, next := s.find(r, &at)
		if i < 0 {
			if at.block != &s.main {
				notFound(w, r)
				return
			}
			s.fallback.ServeHTTP(w, r)
			return
		}
		rt := &at.block.routes[i]
		if rt.Rewrite != nil || rt.Try != nil {
			var done bool
			if next, done = s.goOn(w, next, i, &at); done {
				return
			}
			if at.on {
				r, at.on = next, false
				continue
			}
		}
		if rt.Pick != nil {
			picked, ok := rt.Pick(next)
			if !ok { // as if it did not match
				at.from = i + 1
				continue
			}
			next = picked
		}
		if rt.Goto != "" {
			if !s.jump(w, next, rt, &at, rt.Goto) {
				return
			}
			r = next
			continue
		}
		rt.Handler.ServeHTTP(w, next)
		return
	}
}

// walk is where a request stands among the routes.
type walk struct {
	block   *block
	from    int         // the first route of it that is still to be tried
	on      bool        // no handler was found yet
	repeats int         // how often it began anew
	jumps   int         // how often it was sent to a group
	tried   *compiled   // a route whose files were looked for; nil: none
	more    []*compiled // others of the kind
}

func (at *walk) passed(rt *compiled) bool {
	return rt == at.tried || slices.Contains(at.more, rt)
}

// jump sends a request to a group. False: it has been sent so often that it was
// answered with an error.
func (s *Routes) jump(w http.ResponseWriter, r *http.Request, rt *compiled, at *walk, group string) bool {
	at.block, at.from, at.on = s.groups[group], 0, false
	if at.jumps++; at.jumps > maxJumps {
		s.says("a request is sent from group to group without end", r, rt, nil)
		http.Error(w, "500 internal server error", http.StatusInternalServerError)
		return false
	}
	return true
}

// find returns the first route, from where the request stands, whose
// conditions hold, and the request as it is for that route; -1: none does.
func (s *Routes) find(r *http.Request, at *walk) (int, *http.Request) {
	single := singleSlashes(r)
	c := at.block.index.candidates(single.URL.Path, at.from)
	for {
		i := c.next()
		if i < 0 {
			return -1, r
		}
		if rt := &at.block.routes[i]; rt.Try == nil || !at.passed(rt) {
			if next := rt.takes(r, single, s.keep); next != nil {
				return i, next
			}
		}
	}
}

// goOn rewrites a request as a route says, and looks for its files. Done says
// that it was answered; at.on that it is to go on among the routes.
func (s *Routes) goOn(w http.ResponseWriter, r *http.Request, i int, at *walk) (next *http.Request, done bool) {
	rt := &at.block.routes[i]
	if rt.Rewrite != nil {
		if r = s.rewrite(w, r, rt, rt.Rewrite); r == nil {
			return nil, true
		}
		if rt.Handler == nil && rt.Goto == "" {
			at.on, at.from = true, i+1
			if rt.Repeat {
				at.block, at.from = &s.main, 0
				at.repeats++
			}
			if at.repeats > maxRewrites {
				s.says("a request is rewritten without end", r, rt, nil)
				http.Error(w, "500 internal server error", http.StatusInternalServerError)
				return nil, true
			}
			return r, false
		}
	}
	if rt.Try == nil {
		return r, false
	}
	to, status := rt.Try.look(r)
	switch {
	case status == statusNext: // on with the last, at the first route, or in a group
		if at.tried == nil {
			at.tried = rt
		} else {
			at.more = append(at.more, rt)
		}
		if to == nil {
			done = !s.jump(w, r, rt, at, rt.Try.Group)
			at.on = true
			return r, done
		}
		at.block, at.on, at.from = &s.main, true, 0
	case status != 0:
		http.Error(w, fmt.Sprintf("%d %s", status, strings.ToLower(http.StatusText(status))), status)
		return nil, true
	}
	if to == nil {
		return r, false
	}
	r = s.rewrite(w, r, rt, to)
	return r, r == nil
}

// rewrite is Rewrite for a route. Nil: it was refused, and answered.
func (s *Routes) rewrite(w http.ResponseWriter, r *http.Request, rt *compiled, to *placeholder.Text) *http.Request {
	next, err := Rewrite(r, to)
	if err == nil && rt.own.uri && next.URL.RawQuery == r.URL.RawQuery && !bytes.Contains(to.AppendURL(nil, r), []byte{'?'}) {
		next.URL.RawQuery, next.URL.ForceQuery = "", false // it has seen the query, and takes none
	}
	if err != nil {
		s.says("a request cannot be rewritten", r, rt, err)
		http.Error(w, "500 internal server error", http.StatusInternalServerError)
		return nil
	}
	if problem := refuse(next.URL.Path); problem != "" {
		http.Error(w, "400 bad request: "+problem, http.StatusBadRequest)
		return nil
	}
	return next
}

func (s *Routes) says(what string, r *http.Request, rt *compiled, err error) {
	if s.log == nil {
		return
	}
	args := []any{"route", rt.number, "method", r.Method, "uri", r.RequestURI, "host", r.Host}
	if err != nil {
		args = append(args, "error", err)
	} else {
		args = append(args, "last", r.URL.RequestURI(), "most", maxRewrites)
	}
	s.log.Error(what, args...)
}
