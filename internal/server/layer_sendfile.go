package server

import (
	"net/http"

	"millrace/internal/config"
	"millrace/internal/requestid"
	"millrace/internal/sendfile"
)

// layerSendfile sends the file that an app, or a back end, has named in place
// of an answer. Where that is not allowed, the name does not reach the client.
func layerSendfile(b *builder, at *place, next http.Handler) (http.Handler, error) {
	if r := at.route; r.Files != nil || r.Respond != nil || r.Redirect != nil || r.Status || r.Health {
		return next, nil
	}
	o := sendfile.Options{
		Roots: at.route.XSendfile,
		Type:  at.types.ByName,
		Log:   b.log,
		Describe: func(r *http.Request) []any {
			return []any{"app", at.route.App + at.route.Upstream, "request", requestid.Of(r), "method", r.Method, "uri", r.RequestURI}
		},
		Redirect: at.entry.instead,
	}
	if at.route.XSendfile == nil {
		return sendfile.Strip(next, o), nil
	}
	s, err := sendfile.New(o)
	if err != nil {
		return nil, err
	}
	return s.Wrap(next), nil
}

// internalOnly keeps a route that is internal from clients' own requests. pick
// is its Pick otherwise.
func internalOnly(c *config.Route, pick func(*http.Request) (*http.Request, bool)) func(*http.Request) (*http.Request, bool) {
	if !c.Internal {
		return pick
	}
	return func(r *http.Request) (*http.Request, bool) {
		if !isInside(r) {
			return r, false
		}
		if pick == nil {
			return r, true
		}
		return pick(r)
	}
}
