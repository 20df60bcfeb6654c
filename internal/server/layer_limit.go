package server

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"millrace/gateway"
	"millrace/internal/config"
	"millrace/internal/limit"
)

// layerLimit bounds rates and connections: by the limit of the route, else by
// the site's, which its routes share.
func layerLimit(b *builder, at *place, next http.Handler) (http.Handler, error) {
	c, of := at.route.Limit, *at
	if c == nil {
		c = at.site.Limit
		of.route, of.scope = nil, at.siteScope
	}
	if c == nil || c.Off {
		return next, nil
	}
	key, err := of.limitKey(c.By)
	if err != nil {
		return nil, err
	}
	l := &limit.Requests{Key: key, Burst: c.Burst, AtOnce: c.Connections, Status: c.Status, SkipEmpty: c.SkipEmpty, State: b.limitState(&of, c.By)}
	if c.Rate != "" {
		if l.Rate, err = limit.ParseRate(c.Rate); err != nil { // package config has checked it
			return nil, fmt.Errorf("rate in %s: %w", at.name, err)
		}
	}
	return &limited{l.Wrap(next), next, l.State}, nil
}

// layerCounted notes for each request of a site with limits which of them have
// counted it.
func layerCounted(_ *builder, at *place, next http.Handler) (http.Handler, error) {
	has := func(c *config.RateLimit) bool { return c != nil && !c.Off }
	if !has(at.site.Limit) && !slices.ContainsFunc(at.site.Routes, func(r config.Route) bool { return has(r.Limit) }) {
		return next, nil
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(gateway.WithValue(r.Context(), countedKey{}, &counted{})))
	}), nil
}

type countedKey struct{}

// counted is what has counted a request: mostly nothing or one limit.
type counted struct{ by []*limit.State }

// limited counts the requests of clients. One that begins anew (reenter.go) is
// counted where it comes to, but by no limit twice: the page of an error is not
// refused for want of room that its request takes.
type limited struct {
	counting, next http.Handler
	state          *limit.State
}

func (l *limited) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c, _ := r.Context().Value(countedKey{}).(*counted); c != nil {
		if slices.Contains(c.by, l.state) {
			l.next.ServeHTTP(w, r)
			return
		}
		c.by = append(c.by, l.state)
	}
	l.counting.ServeHTTP(w, r)
}

const clientText = "{client}"

// limitKey makes what appends the key of a request: the text, but for clients,
// which are told apart by networks.
func (at *place) limitKey(by string) (func([]byte, *http.Request) []byte, error) {
	type part func([]byte, *http.Request) []byte
	client := func(dst []byte, r *http.Request) []byte { return limit.AppendClient(dst, r.RemoteAddr) }
	var parts []part
	for rest := by; rest != ""; {
		text, after, found := cutClient(rest)
		if text != "" {
			t, err := at.text("by", text)
			if err != nil {
				return nil, err
			}
			parts = append(parts, t.Append)
		}
		if found {
			parts = append(parts, client)
		}
		rest = after
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	return func(dst []byte, r *http.Request) []byte {
		for _, p := range parts {
			dst = append(p(dst, r), 0)
		}
		return dst
	}, nil
}

// cutClient parts a text at its first {client}; "{{client}" is another thing.
func cutClient(text string) (before, after string, found bool) {
	for from := 0; ; {
		i := strings.Index(text[from:], clientText)
		if i < 0 {
			return text, "", false
		}
		i += from
		braces := 0
		for braces < i && text[i-1-braces] == '{' {
			braces++
		}
		if braces%2 == 0 {
			return text[:i], text[i+len(clientText):], true
		}
		from = i + 1
	}
}

// limitState is what the limits of a route, or a site, know: the present
// tree's, if it has that too, so that a reload gives nobody new requests.
func (b *builder) limitState(at *place, by string) *limit.State {
	first := stateKey(at.site, at.route, by)
	if at.route == nil && at.shared.limit != nil {
		return at.shared.limit
	}
	key := first
	for n := 2; b.tree.limits[key] != nil; n++ { // two that look alike
		key = fmt.Sprintf("%s #%d", first, n)
	}
	var state *limit.State
	if b.server.tree != nil {
		state = b.server.tree.limits[key]
	}
	if state == nil {
		state = limit.NewState()
	}
	b.tree.limits[key] = state
	if at.route == nil {
		at.shared.limit = state
	}
	return state
}

// stateKey says which limits are the same ones before and after a reload: those
// of one path of one site, or of the site, that tell requests apart alike.
func stateKey(s *config.Site, r *config.Route, by string) string {
	if r == nil {
		return fmt.Sprintf("site %q %q %q", s.Listen, s.Hosts, by)
	}
	return fmt.Sprintf("%q %q %q %q %q", s.Listen, s.Hosts, r.Path, r.Regexp, by)
}
