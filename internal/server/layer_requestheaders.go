package server

import (
	"maps"
	"net/http"

	"millrace/internal/respond"
	"millrace/internal/upstream"
)

// layerRequestHeaders changes the headers of requests on their way to an app or
// a back end. No other layer sees that.
func layerRequestHeaders(b *builder, at *place, next http.Handler) (http.Handler, error) {
	c := at.route.RequestHeaders
	if c == nil {
		return next, nil
	}
	set, err := headers(at, "request_headers.set", c.Set)
	if err != nil {
		return nil, err
	}
	add, err := headers(at, "request_headers.add", c.Add)
	if err != nil {
		return nil, err
	}
	l := &requestHeaders{next: next, remove: c.Remove, add: add, names: map[string]bool{}}
	for _, name := range c.Remove {
		l.names[name] = true
	}
	for _, one := range add {
		l.names[one.Name] = true
	}
	for _, one := range set {
		if one.Name == "Host" {
			l.host = &one
			continue
		}
		l.set = append(l.set, one)
		l.names[one.Name] = true
	}
	if u := b.plan.Config.Upstreams[at.route.Upstream]; u != nil {
		l.http = u.SpeaksHTTP()
	}
	return l, nil
}

type requestHeaders struct {
	next     http.Handler
	remove   []string
	set, add []respond.Header
	host     *respond.Header
	names    map[string]bool
	http     bool // the back ends speak it
}

func (l *requestHeaders) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	told := &upstream.Told{Names: l.names}
	out := upstream.Tell(r, told) // a copy
	out.Header = maps.Clone(r.Header)
	for _, name := range l.remove {
		delete(out.Header, name)
	}
	for _, one := range l.set {
		out.Header[one.Name] = []string{one.Line(r)}
	}
	for _, one := range l.add {
		have := out.Header[one.Name]
		out.Header[one.Name] = append(have[:len(have):len(have)], one.Line(r))
	}
	if l.host != nil {
		told.Host = l.host.Line(r)
		if !l.http { // it has no other way to be told
			out.Host = told.Host
		}
	}
	l.next.ServeHTTP(w, out)
}
