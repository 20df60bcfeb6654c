package server

// What answers the requests of a route, behind all layers.

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"

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
	if r.App == "" { // it only rewrites
		return nil, nil
	}
	return b.scripts(at, b.answerApp)
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
	}{{&v.Location, c.Location}, {&v.CookieDomain, c.CookieDomain}, {&v.CookiePath, c.CookiePath}} {
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
