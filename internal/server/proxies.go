package server

// Who the client is of a request that came through proxies: found out once, at
// the front, before anything else looks at the request.

import (
	"net/http"
	"slices"

	"millrace/internal/config"
	"millrace/internal/forwarded"
)

// trust is whom the configuration believes; nil: nobody.
func trust(c *config.Server) (*forwarded.Trust, error) {
	if len(c.TrustedProxies) == 0 {
		return nil, nil
	}
	networks, unix, err := clients(c.TrustedProxies)
	if err != nil {
		return nil, err
	}
	sets := func(name string) bool { return slices.Contains(c.ProxyHeaders, name) }
	return &forwarded.Trust{
		Proxies: networks, Unix: unix,
		For: sets("x-forwarded-for"), Proto: sets("x-forwarded-proto"), Host: sets("x-forwarded-host"), Port: sets("x-forwarded-port"),
		Forwarded: sets("forwarded"),
	}, nil
}

// behindProxies makes the requests that come to h those of their clients.
func (b *builder) behindProxies(h http.Handler) http.Handler {
	t := b.trust
	if t == nil {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r, err := t.Apply(r)
		if err != nil {
			b.log.Warn("a request of a trusted proxy is refused", "peer", r.RemoteAddr, "error", err)
			http.Error(w, "Bad Request", http.StatusBadRequest)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// layerHonest keeps clients from deceiving what stands behind the route about
// who they are. Back ends over HTTP are told by package upstream.
func layerHonest(b *builder, at *place, next http.Handler) (http.Handler, error) {
	r := at.route
	u := b.plan.Config.Upstreams[r.Upstream]
	if r.App == "" && r.CGI == nil && r.UserDirs == nil && (u == nil || u.SpeaksHTTP()) {
		return next, nil
	}
	return forwarded.Honest(next), nil
}
