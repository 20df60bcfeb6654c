package server

import (
	"maps"
	"net/http"
	"net/textproto"
	"slices"

	"millrace/internal/config"
	"millrace/internal/respond"
)

// layerSiteHeaders sets headers of all responses of a site.
func layerSiteHeaders(_ *builder, at *place, next http.Handler) (http.Handler, error) {
	return changeHeaders(at, at.site.Headers, next)
}

// layerHeaders sets headers of the responses of a route.
func layerHeaders(_ *builder, at *place, next http.Handler) (http.Handler, error) {
	return changeHeaders(at, at.route.Headers, next)
}

func changeHeaders(at *place, c *config.Headers, next http.Handler) (http.Handler, error) {
	if c == nil {
		return next, nil
	}
	h := respond.Headers{}
	for _, name := range c.Remove {
		h.Remove = append(h.Remove, textproto.CanonicalMIMEHeaderKey(name))
	}
	var err error
	if h.Set, err = headers(at, "headers.set", c.Set); err != nil {
		return nil, err
	}
	if h.Add, err = headers(at, "headers.add", c.Add); err != nil {
		return nil, err
	}
	if h.SetUnlessError, err = headers(at, "headers.set_unless_error", c.SetUnlessError); err != nil {
		return nil, err
	}
	if h.AddUnlessError, err = headers(at, "headers.add_unless_error", c.AddUnlessError); err != nil {
		return nil, err
	}
	return h.Wrap(next), nil
}

func headers(at *place, key string, table map[string]string) ([]respond.Header, error) {
	scope := at.scope
	scope.Response = true
	var all []respond.Header
	for _, name := range slices.Sorted(maps.Keys(table)) {
		value, err := at.textWith(key, table[name], scope)
		if err != nil {
			return nil, err
		}
		all = append(all, respond.Header{Name: textproto.CanonicalMIMEHeaderKey(name), Value: value})
	}
	return all, nil
}
