package server

// Who is asked whether a request may pass, and what is passed on of that.

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"

	"millrace/internal/auth"
	"millrace/internal/authorize"
	"millrace/internal/config"
	"millrace/internal/forwarded"
	"millrace/internal/placeholder"
	"millrace/internal/respond"
	"millrace/internal/sendfile"
)

// layerAuthorize asks an app, back ends or another route whether a request may
// pass. With satisfy = "any" it is who layerAuth leaves the others to.
func layerAuthorize(b *builder, at *place, next http.Handler) (http.Handler, error) {
	c := at.route.Auth
	if c == nil {
		return next, nil
	}
	o := authorize.Options{
		Headers: c.Headers, ToClient: c.ToClient, User: c.User,
		Cache: c.Cache, Entries: c.CacheEntries,
		Log: b.log,
		Passed: func(r *http.Request, said *authorize.Said) *http.Request {
			r, found := placeholder.Keep(r)
			if said.User != "" {
				found.User = said.User
			}
			found.Auth = named(said)
			return r
		},
	}
	for _, text := range c.CacheBy {
		t, err := at.text("cache_by", text)
		if err != nil {
			return nil, err
		}
		o.By = append(o.By, t.Append)
	}
	if err := b.whoIsAsked(at, c, &o); err != nil {
		return nil, err
	}
	if o.Authorizer || c.User != "" {
		*at.needs |= placeholder.NeedsUser // for the log
	}
	if at.site.HasErrorPages() && !c.ErrorPages {
		o.Refused = respond.AppAnswers
	}
	h := o.Wrap(next)
	if c.Satisfy != "any" {
		return h, nil
	}
	byPassword, err := b.basicAuth(at, cmp.Or(at.route.BasicAuth, at.site.BasicAuth), o.Disown(next))
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, _, some := auth.Credentials(r.Header["Authorization"]); some {
			byPassword.ServeHTTP(w, r)
			return
		}
		h.ServeHTTP(w, r)
	}), nil
}

// whoIsAsked sets whom the questions of a route go to, and what they are.
func (b *builder) whoIsAsked(at *place, c *config.Auth, o *authorize.Options) error {
	var path *placeholder.Text
	if c.Path != "" {
		var err error
		if path, err = at.text("path of auth", c.Path); err != nil {
			return err
		}
	}
	switch {
	case c.App != "":
		app, ok := b.apps[c.App]
		if !ok {
			return fmt.Errorf("auth of %s asks app %q, which is not defined", at.name, c.App)
		}
		o.Name, o.Ask = "app "+c.App, app.Handler("")
		o.Authorizer = b.plan.Config.Apps[c.App].HasRoles()
	case c.Upstream != "":
		u, ok := b.upstreams[c.Upstream]
		if !ok {
			return fmt.Errorf("auth of %s asks upstream %q, which is not defined", at.name, c.Upstream)
		}
		o.Name, o.Ask = "upstream "+c.Upstream, u.Handler("", at.entry.redirect)
		o.Authorizer = b.plan.Config.Upstreams[c.Upstream].HasRoles()
	default:
		o.Name = "path " + path.String()
		o.Ask = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { at.entry.site.ServeHTTP(w, r) })
		o.Where = path.AppendURL
		o.Question = func(r *http.Request) (*http.Request, error) {
			b.server.ids.Ensure(r)
			return at.entry.question(r, string(path.AppendURL(nil, r)))
		}
		return nil
	}
	o.Ask = forwarded.Honest(b.aside(o.Ask))
	authorizer := o.Authorizer
	if path != nil {
		o.Where = path.AppendURL
	}
	o.Question = func(r *http.Request) (*http.Request, error) {
		b.server.ids.Ensure(r)
		switch {
		case authorizer:
			return authorize.Role(r)
		case path != nil:
			return at.entry.question(r, string(path.AppendURL(nil, r)))
		}
		return at.entry.question(r, r.RequestURI)
	}
	return nil
}

// aside is an app, or back ends, asked beside the route that they are not the
// answer of: what they name files by does nothing, and is shown to nobody.
func (b *builder) aside(h http.Handler) http.Handler {
	return sendfile.Strip(h, sendfile.Options{Log: b.log, Describe: func(r *http.Request) []any { return []any{"uri", r.RequestURI} }})
}

// named is what placeholders show of an answer.
func named(said *authorize.Said) []placeholder.Named {
	var all []placeholder.Named
	for name, values := range said.Headers {
		for _, value := range values {
			all = append(all, placeholder.Named{Name: name, Value: value})
		}
	}
	for _, v := range said.Variables {
		all = append(all, placeholder.Named{Name: v.Name, Value: v.Value})
	}
	return slices.Clip(all)
}
