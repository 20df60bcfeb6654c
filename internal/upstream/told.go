package upstream

// Headers that the configuration says an HTTP back end is to be told.

import (
	"net/http"

	"millrace/gateway"
)

// Told are headers of a request that are as somebody has set, or left them out:
// of those that a back end over HTTP is otherwise told by this package alone,
// like X-Forwarded-For, or never, like X-Real-IP.
type Told struct {
	Host  string          // "": the request's
	Names map[string]bool // canonical; what they are stands in the request's header
}

type toldKey struct{}

// Tell returns r with what back ends over HTTP are to be told.
func Tell(r *http.Request, t *Told) *http.Request {
	return r.WithContext(gateway.WithValue(r.Context(), toldKey{}, t))
}

// toldOf is what Tell has set; nil for nothing.
func toldOf(r *http.Request) *Told {
	t, _ := r.Context().Value(toldKey{}).(*Told)
	return t
}

// says reports whether a header is as it was set.
func (t *Told) says(name string) bool { return t != nil && t.Names[name] }
