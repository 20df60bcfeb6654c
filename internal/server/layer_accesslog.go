package server

import (
	"fmt"
	"net/http"
	"strings"

	"millrace/internal/accesslog"
	"millrace/internal/config"
)

// layerAccessLog writes a line for each request of a site.
func layerAccessLog(b *builder, at *place, next http.Handler) (http.Handler, error) {
	log := b.logs[at.site.AccessLog] // nil without one
	if log == nil {
		return next, nil
	}
	b.tree.logs = append(b.tree.logs, at.site.AccessLog)
	format, err := accesslog.ParseFormat(at.site.LogFormat, at.scope)
	if err != nil { // package config has checked it
		return nil, fmt.Errorf("log_format in %s: %w", at.name, err)
	}
	*at.needs |= format.Needs()
	return log.WrapAs(next, format, siteName(at.site)), nil
}

// layerUnlogged leaves the requests of a route out of the access log.
func layerUnlogged(b *builder, at *place, next http.Handler) (http.Handler, error) {
	if !at.route.Unlogged || b.logs[at.site.AccessLog] == nil {
		return next, nil
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		accesslog.Unlogged(w)
		next.ServeHTTP(w, r)
	}), nil
}

// siteName is the name of a site that has one: its first exact host.
func siteName(c *config.Site) string {
	for _, host := range c.Hosts {
		if !strings.ContainsAny(host, "*~^") {
			return host
		}
	}
	return ""
}

// tellsWho reports whether a format tells who has answered, or how soon.
func tellsWho(format string) bool {
	return format == "json" || strings.Contains(format, "{app}") || strings.Contains(format, "{upstream")
}

// layerAnswered tells the access log who answers the requests of a route, where
// its format tells that.
func layerAnswered(b *builder, at *place, next http.Handler) (http.Handler, error) {
	app, upstream := at.route.App, at.route.Upstream
	if app == "" && upstream == "" || b.logs[at.site.AccessLog] == nil || !tellsWho(at.site.LogFormat) {
		return next, nil
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		accesslog.Answered(w, app, upstream)
		next.ServeHTTP(w, r)
	}), nil
}
