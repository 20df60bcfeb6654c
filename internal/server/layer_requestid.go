package server

import (
	"net/http"

	"millrace/internal/placeholder"
	"millrace/internal/requestid"
)

// layerRequestID shows the id of each request.
func layerRequestID(_ *builder, at *place, next http.Handler) (http.Handler, error) {
	if !at.site.RequestID {
		return next, nil
	}
	*at.needs |= placeholder.NeedsID
	return requestid.Show(next), nil
}

// layerStamp gives a request its id where a program answers it, or is asked. Files and
// fixed responses need none, unless a log or a text of the site does: that is
// in at.needs.
func layerStamp(b *builder, at *place, next http.Handler) (http.Handler, error) {
	r := at.route
	fixed := r.Respond != nil || r.Redirect != nil || r.Status || r.Health
	file := r.Files != nil && r.App == "" && r.Upstream == "" && r.CGI == nil && r.UserDirs == nil
	if (fixed || file) && r.Auth == nil && r.Filter == nil {
		return next, nil
	}
	return stamped(b.server.ids, next), nil
}

func stamped(ids *requestid.Source, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ids.Ensure(r)
		next.ServeHTTP(w, r)
	})
}
