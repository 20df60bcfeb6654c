package server

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// reentry is where a request of a site begins anew: at its routes, so that all
// that is refused to a client is refused to it.
type reentry struct{ site http.Handler }

// maxReentries is how often one request may begin anew.
const maxReentries = 10

type reentryKey struct{}

// redirect answers r by what location leads to: a GET without a body (RFC
// 3875, section 6.2.2).
func (e *reentry) redirect(w http.ResponseWriter, r *http.Request, location string) error {
	depth, _ := r.Context().Value(reentryKey{}).(int)
	if depth >= maxReentries {
		return fmt.Errorf("a local redirect to %.64q is the one after %d others", location, maxReentries)
	}
	u, err := url.ParseRequestURI(location)
	if err != nil || !strings.HasPrefix(location, "/") {
		return fmt.Errorf("a local redirect to %.64q, which is no path", location)
	}
	next := r.Clone(context.WithValue(r.Context(), reentryKey{}, depth+1))
	next.Method, next.URL, next.RequestURI = http.MethodGet, u, location
	next.Body, next.ContentLength, next.TransferEncoding, next.Trailer = http.NoBody, 0, nil, nil
	for _, name := range []string{"Content-Length", "Content-Type", "Content-Encoding", "Expect"} {
		delete(next.Header, name)
	}
	e.site.ServeHTTP(w, next)
	return nil
}
