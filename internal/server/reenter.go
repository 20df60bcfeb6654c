package server

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"millrace/gateway"
	"millrace/internal/authorize"
	"millrace/internal/placeholder"
	"millrace/internal/sendfile"
)

// reentry is where a request of a site begins anew: at its routes, so that all
// that is refused to a client is refused to it.
type reentry struct {
	site  http.Handler
	group func(w http.ResponseWriter, r *http.Request, group string) error // with its routes alone
}

// maxReentries is how often one request may begin anew.
const maxReentries = 10

type reentryKey struct{}

// insideKey is whether what begins anew may come to internal routes: where an
// app was allowed to name the path, or the configuration did. A local redirect
// is for what the client could have asked for itself.
type insideKey struct{}

func isInside(r *http.Request) bool {
	inside, _ := r.Context().Value(insideKey{}).(bool)
	return inside
}

// redirect answers r by what location leads to: a GET without a body (RFC
// 3875, section 6.2.2). Who asks whether a request may pass follows none.
func (e *reentry) redirect(w http.ResponseWriter, r *http.Request, location string) error {
	if said, err := authorize.Redirect(w, location); said || err != nil {
		return err
	}
	next, err := again(r, location, false)
	if err != nil {
		return err
	}
	sendfile.Elsewhere(w, false)
	e.site.ServeHTTP(w, next)
	return nil
}

// instead answers r, a GET or a HEAD for its reader, by what location leads
// to: what the client has of it counts.
func (e *reentry) instead(w http.ResponseWriter, r *http.Request, location string) error {
	next, err := again(r, location, true)
	if err != nil {
		return err
	}
	next.Method = r.Method
	e.site.ServeHTTP(w, next)
	return nil
}

// page answers r by the page of an error; whole: the whole of it is wanted,
// whatever the client has of what it asked for.
func (e *reentry) page(w http.ResponseWriter, r *http.Request, location string, whole bool) error {
	next, err := again(r, location, true)
	if err != nil {
		return err
	}
	if r.Method == http.MethodHead {
		next.Method = http.MethodHead
	}
	if !whole {
		e.site.ServeHTTP(w, next)
		return nil
	}
	for _, name := range []string{"Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"} {
		delete(next.Header, name)
	}
	e.site.ServeHTTP(w, next)
	return nil
}

// pageGroup answers r by a group of routes, for which it is as it was.
func (e *reentry) pageGroup(w http.ResponseWriter, r *http.Request, group string) error {
	depth, _ := r.Context().Value(reentryKey{}).(int)
	if depth >= maxReentries {
		return fmt.Errorf("group %q for an error is the one after %d others", group, maxReentries)
	}
	ctx := gateway.WithValue(r.Context(), reentryKey{}, depth+1)
	if !isInside(r) {
		ctx = gateway.WithValue(ctx, insideKey{}, true)
	}
	return e.group(w, gateway.WithParams(placeholder.Anew(r.Clone(gateway.Ask(ctx, nil))), nil), group)
}

// question asks at location whether r may pass. Its own method and URI go along
// under names that no client can use.
func (e *reentry) question(r *http.Request, location string) (*http.Request, error) {
	next, err := again(authorize.Bare(r.Context(), r), location, true)
	if err != nil {
		return nil, err
	}
	return asOriginal(next, r), nil
}

// asOriginal tells in q what was asked in r.
func asOriginal(q, r *http.Request) *http.Request {
	q.Header["X-Original-Uri"] = []string{r.RequestURI}
	q.Header["X-Original-Method"] = []string{r.Method}
	return q
}

// again is a request for location in place of r: a GET without a body.
func again(r *http.Request, location string, inside bool) (*http.Request, error) {
	depth, _ := r.Context().Value(reentryKey{}).(int)
	if depth >= maxReentries {
		return nil, fmt.Errorf("a local redirect to %.64q is the one after %d others", location, maxReentries)
	}
	u, err := url.ParseRequestURI(location)
	if err != nil || !strings.HasPrefix(location, "/") {
		return nil, fmt.Errorf("a local redirect to %.64q, which is no path", location)
	}
	ctx := gateway.WithValue(r.Context(), reentryKey{}, depth+1)
	if inside != isInside(r) {
		ctx = gateway.WithValue(ctx, insideKey{}, inside)
	}
	ctx = gateway.Ask(ctx, nil) // what is asked of one is not asked of another
	next := placeholder.Anew(r.Clone(ctx))
	next = gateway.WithParams(next, nil) // the route's that it came to
	next.Method, next.URL, next.RequestURI = http.MethodGet, u, location
	next.Body, next.ContentLength, next.TransferEncoding, next.Trailer = http.NoBody, 0, nil, nil
	for _, name := range []string{"Content-Length", "Content-Type", "Content-Encoding", "Expect"} {
		delete(next.Header, name)
	}
	return next, nil
}
