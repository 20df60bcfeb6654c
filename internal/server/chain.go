package server

// The one place where the handlers of a site and of its routes are put around
// each other. A layer is one http.Handler wrapper, from a package that knows no
// configuration, and one function here, layerNAME in layer_NAME.go, that maps
// the configuration to it. What a configuration does not use is not there: its
// layer returns next itself.
//
//	site:  (found) → access log → request id → misdirected → (OPTIONS *) → TLS → client certificate → bodies → headers → (counted) → error pages → access → routes
//	route: (unlogged) → id → maintenance → headers → access → limits → bodies → basic auth → authorize → encode → cache → filter → sendfile → honest → (answered) → what answers
//
// Host, route and rewriting are package route's: between "routes" and the route
// that it finds. What begins anew (reenter.go) does so at "routes".

import (
	"fmt"
	"net/http"

	"millrace/internal/config"
	"millrace/internal/limit"
	"millrace/internal/placeholder"
	"millrace/internal/static"
)

// layer puts a handler around next, or returns next.
type layer func(b *builder, at *place, next http.Handler) (http.Handler, error)

// siteLayers stand around all that a site does, the outermost first.
func siteLayers() []layer {
	return []layer{
		layerFound,
		layerHostNames,
		layerAccessLog,
		layerRequestID,
		layerMisdirected,
		layerServerWide,
		layerTLS,
		layerClientCert,
		layerSiteBodies,
		layerSiteHeaders,
		layerBegan,
		layerCounted,
		layerErrorPages,
		layerSiteAccess,
	}
}

// routeLayers stand around what answers the requests of one route, the
// outermost first. What a layer refuses, those before it still see.
func routeLayers() []layer {
	return []layer{
		layerUnlogged,
		layerStamp,
		layerRouteErrorPages,
		layerMaintenance,
		layerHeaders,
		layerAccess,
		layerLimit,
		layerBodies,
		layerAuth,
		layerAuthorize,
		layerEncode,
		layerCache,
		layerFilter,
		layerSendfile,
		layerHonest,
		layerAnswered,
		layerOfApp,
		layerRequestHeaders,
		layerParams,
	}
}

// place is a site, or one of its routes, for the layers that are made for it.
type place struct {
	site  *config.Site
	route *config.Route // nil: the site itself; of the site's root it is a route that the file does not have
	name  string        // "[[site]] 1, [[site.route]] 2", for messages
	entry *reentry      // where a request begins anew
	types *static.Types

	scope     placeholder.Scope  // what texts may name here
	shared    *shared            // of all routes of the site
	siteScope placeholder.Scope  // what texts of the site may name
	needs     *placeholder.Needs // what texts want to be found out
}

// shared is what the routes of a site have together.
type shared struct{ limit *limit.State }

// text parses a text that may hold placeholders. What it needs is found out
// for each request of the place.
func (at *place) text(key, text string) (*placeholder.Text, error) {
	return at.textWith(key, text, at.scope)
}

// textWith is text for one that may name more: scope is made of the place's.
func (at *place) textWith(key, text string, scope placeholder.Scope) (*placeholder.Text, error) {
	t, err := placeholder.Parse(text, scope)
	if err != nil { // package config has checked it
		return nil, fmt.Errorf("%s in %s: %w", key, at.name, err)
	}
	*at.needs |= t.Needs() &^ placeholder.NeedsResponse
	return t, nil
}

// wrap puts layers around a handler.
func (b *builder) wrap(at *place, layers []layer, h http.Handler) (http.Handler, error) {
	var err error
	for i := len(layers) - 1; i >= 0; i-- {
		if h, err = layers[i](b, at, h); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// layerFound keeps what is found out about a request where every layer sees
// it, if any text of the site wants it. It is made last.
func layerFound(b *builder, at *place, next http.Handler) (http.Handler, error) {
	if *at.needs&placeholder.NeedsID != 0 {
		next = stamped(b.server.ids, next)
	}
	if *at.needs&^placeholder.NeedsID == 0 {
		return next, nil
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r, _ = placeholder.Keep(r)
		next.ServeHTTP(w, r)
	}), nil
}
