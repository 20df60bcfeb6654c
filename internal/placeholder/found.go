package placeholder

import (
	"net/http"

	"millrace/gateway"
)

// Found is what was found out about one request on its way through the
// handlers. It is written while the request is routed and read by texts, all
// by the request's goroutine.
type Found struct {
	// Groups are those of the regexp of the route, {0} first.
	Groups []string
	// Encoded says that they are parts of a URI as it is sent, not of a path.
	Encoded bool
	// Named are named groups, in the order in which they were found; a later
	// one of the same name goes before an earlier one.
	Named []Named
	// User is who the client has proved to be.
	User string
	// Auth is what whoever was asked whether the request may pass has said of it:
	// headers by their canonical names, and variables.
	Auth []Named
}

// Named is a named group.
type Named struct {
	Name, Value string
	Encoded     bool // it is a part of a URI as it is sent
}

type foundKey struct{}

// FoundOf returns the request's Found, nil if nobody has put one there.
func FoundOf(r *http.Request) *Found {
	f, _ := r.Context().Value(foundKey{}).(*Found)
	return f
}

// Keep returns the request's Found, and the request with it: r itself if it
// had one. A handler that reads it after the others have run (a log) keeps it
// before.
func Keep(r *http.Request) (*http.Request, *Found) {
	if f := FoundOf(r); f != nil {
		return r, f
	}
	f := &Found{}
	return r.WithContext(gateway.WithValue(r.Context(), foundKey{}, f)), f
}

// Anew returns r with a Found of its own that begins as r's: for a request
// that is made of another one.
func Anew(r *http.Request) *http.Request {
	f := FoundOf(r)
	if f == nil {
		return r
	}
	c := *f
	return r.WithContext(gateway.WithValue(r.Context(), foundKey{}, &c))
}

// Name notes a named group.
func (f *Found) Name(name, value string) { f.Named = append(f.Named, Named{Name: name, Value: value}) }

func (f *Found) named(name string) Named {
	if f == nil {
		return Named{}
	}
	for i := len(f.Named) - 1; i >= 0; i-- {
		if f.Named[i].Name == name {
			return f.Named[i]
		}
	}
	return Named{}
}

// encoded reports whether what a part stands for is a part of a URI as it is
// sent.
func (p *part) encoded(r *http.Request) bool {
	switch p.what {
	case uri, requestURI, query, normalQuery:
		return true
	case group:
		f := FoundOf(r)
		return f != nil && f.Encoded
	case namedGroup:
		return FoundOf(r).named(p.text).Encoded
	}
	return false
}

// auth is the value of a name in Auth; several with ", " between.
func (f *Found) auth(name string) string {
	if f == nil {
		return ""
	}
	canonical, value, some := http.CanonicalHeaderKey(name), "", false
	for _, n := range f.Auth {
		if n.Name != name && n.Name != canonical {
			continue
		}
		if some {
			value += ", "
		}
		value, some = value+n.Value, true
	}
	return value
}

func (f *Found) group(i int) string {
	if f == nil || i >= len(f.Groups) {
		return ""
	}
	return f.Groups[i]
}
