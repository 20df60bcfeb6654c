package server

import (
	"net/http"

	"millrace/gateway"
)

// duringKey marks a request that has begun while there was maintenance of
// something.
type duringKey struct{}

// layerBegan tells requests that begin during maintenance from those that run
// already: where those come to that begin anew, the gate is open to them still.
func layerBegan(b *builder, _ *place, next http.Handler) (http.Handler, error) {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b.server.closed.Load() != nil {
			r = r.WithContext(gateway.WithValue(r.Context(), duringKey{}, true))
		}
		next.ServeHTTP(w, r)
	}), nil
}

// layerMaintenance is the gate that maintenance shuts. The server's own status
// and health stay open.
func layerMaintenance(b *builder, at *place, next http.Handler) (http.Handler, error) {
	if at.route.Status || at.route.Health {
		return next, nil
	}
	return &gate{b.server, gateHosts(at.site), at.route.App, b.plan.maintenancePage(at.site), next}, nil
}
