package server

import (
	"fmt"
	"net/http"

	"millrace/internal/filter"
	"millrace/internal/forwarded"
	"millrace/internal/respond"
)

// layerFilter has an app, or back ends, work over what the route answers.
func layerFilter(b *builder, at *place, next http.Handler) (http.Handler, error) {
	c := at.route.Filter
	if c == nil {
		return next, nil
	}
	o := filter.Options{Spool: b.server.spool, Log: b.log}
	switch {
	case c.App != "":
		app, ok := b.apps[c.App]
		if !ok {
			return nil, fmt.Errorf("filter of %s is app %q, which is not defined", at.name, c.App)
		}
		o.Name, o.Ask, o.MaxData = "app "+c.App, app.Handler(at.route.Mount), int64(b.plan.Config.Apps[c.App].MaxBody)
	default:
		u, ok := b.upstreams[c.Upstream]
		if !ok {
			return nil, fmt.Errorf("filter of %s is upstream %q, which is not defined", at.name, c.Upstream)
		}
		o.Name, o.Ask, o.MaxData = "upstream "+c.Upstream, u.Handler(at.route.Mount, at.entry.redirect), int64(b.plan.Config.Upstreams[c.Upstream].MaxBody)
	}
	o.Ask = forwarded.Honest(b.aside(o.Ask))
	if at.site.HasErrorPages() {
		o.Filtered = respond.AppAnswers
	}
	return o.Wrap(next), nil
}
