package server

// What answers the requests of a route, behind all layers.

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"millrace/gateway"
	"millrace/internal/config"
	"millrace/internal/pool"
	"millrace/internal/upstream"
)

// answer makes what a route says that answers; nil if it only rewrites.
func (b *builder) answer(at *place) (http.Handler, error) {
	r := at.route
	switch {
	case r.Status:
		return b.server.statusPage(r.Path), nil
	case r.Health:
		return &health{stopping: b.server.isStopping, apps: b.apps}, nil
	case r.Redirect != nil:
		return b.answerRedirect(at)
	case r.Respond != nil:
		return b.answerRespond(at)
	case r.Upstream != "":
		return b.scripts(at, b.answerUpstream)
	case r.CGI != nil:
		return b.scripts(at, b.answerCGI)
	case r.UserDirs != nil:
		return b.answerUserDirs(at)
	case r.Files != nil:
		return b.answerFiles(at)
	}
	if r.Goto != "" && guards(r) {
		return &guardedGroup{at.entry, r.Goto}, nil
	}
	if r.App == "" { // it only rewrites
		return nil, nil
	}
	return b.scripts(at, b.answerApp)
}

// guards reports whether a route says who may, and how much.
func guards(r *config.Route) bool {
	return r.BasicAuth != nil || r.Auth != nil || r.Limit != nil || len(r.Allow)+len(r.Deny) > 0
}

// guardLayers stand around a group that not everyone may come to by a route.
func guardLayers() []layer { return []layer{layerAccess, layerLimit, layerAuth, layerAuthorize} }

// guardedGroup sends what was let in to a group.
type guardedGroup struct {
	entry *reentry
	group string
}

func (g *guardedGroup) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	depth, _ := r.Context().Value(reentryKey{}).(int)
	r = r.WithContext(gateway.WithValue(r.Context(), reentryKey{}, depth+1))
	if depth >= maxReentries || g.entry.group(w, r, g.group) != nil {
		http.Error(w, "500 internal server error", http.StatusInternalServerError)
	}
}

func (b *builder) answerUpstream(at *place) (http.Handler, error) {
	u, ok := b.upstreams[at.route.Upstream]
	if !ok {
		return nil, fmt.Errorf("a route leads to upstream %q, which is not defined", at.route.Upstream)
	}
	rules, err := reverseRules(at.route.Reverse)
	if err != nil {
		return nil, err
	}
	return u.ReverseHandler(at.route.Mount, at.entry.redirect, rules), nil
}

// reverseRules are what a route says of the places in responses.
func reverseRules(c *config.Reverse) (*upstream.Reverse, error) {
	if c == nil {
		return &upstream.Reverse{Automatic: true}, nil
	}
	v := &upstream.Reverse{Automatic: c.Automatic}
	for _, of := range []struct {
		to   *[]upstream.ReverseRule
		from config.Lines
	}{{&v.Location, c.Location}, {&v.CookieDomain, c.CookieDomain}, {&v.CookiePath, c.CookiePath}, {&v.CookieFlags, c.CookieFlags}} {
		for _, line := range of.from {
			rule := upstream.ReverseRule{From: line.Name, To: line.Value}
			if expr, ok := strings.CutPrefix(line.Name, "~"); ok {
				re, err := regexp.Compile(expr)
				if err != nil { // package config has checked it
					return nil, err
				}
				rule.From, rule.Regexp = "", re
			}
			*of.to = append(*of.to, rule)
		}
	}
	return v, nil
}

func (b *builder) answerApp(at *place) (http.Handler, error) {
	app, ok := b.apps[at.route.App]
	if !ok {
		return nil, fmt.Errorf("a route leads to app %q, which is not defined", at.route.App)
	}
	h := app.Handler(at.route.Mount)
	if !b.plan.Development {
		return h, nil
	}
	traceback, err := prefixes(b.plan.Config.Apps[at.route.App].TracebackTo)
	if err != nil {
		return nil, err
	}
	return &devGate{b.server, at.route.App, &pool.Config{TracebackTo: traceback, Development: true}, h}, nil
}
