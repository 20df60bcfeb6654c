package server

import (
	"cmp"
	"net/http"

	"millrace/internal/limit"
)

// layerSiteBodies bounds how slowly the body of a request may come, and how
// slowly a response may be taken where its connection has others as well.
func layerSiteBodies(b *builder, _ *place, next http.Handler) (http.Handler, error) {
	c := &b.plan.Config.Server
	next = limit.Streams(next, limit.Limits{Timeout: c.WriteTimeout, MinRate: int64(c.MinWriteRate)})
	return limit.Body(next, b.limits()), nil
}

// layerBodies has what a route says about the bodies of its requests.
func layerBodies(b *builder, at *place, next http.Handler) (http.Handler, error) {
	r := at.route
	if r.MaxBody > 0 {
		next = limit.Size(next, int64(r.MaxBody))
	}
	if r.BodyTimeout > 0 || r.MinBodyRate > 0 {
		of := b.limits()
		next = limit.Body(next, limit.Limits{
			Timeout: cmp.Or(r.BodyTimeout, of.Timeout),
			MinRate: cmp.Or(int64(r.MinBodyRate), of.MinRate),
		})
	}
	if r.WriteTimeout > 0 || r.MinWriteRate > 0 {
		next = limit.Writes(next, limit.Limits{Timeout: r.WriteTimeout, MinRate: int64(r.MinWriteRate)})
	}
	return next, nil
}
