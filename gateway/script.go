package gateway

import (
	"net/http"
)

// Script is the file that a request was found to be for, out of many that one
// back end runs: PHP's way.
type Script struct {
	Name   string  // SCRIPT_NAME, decoded
	Info   string  // PATH_INFO, decoded
	Params []Param // see Target
}

type scriptKey struct{}

// found is a script, and for which path.
type found struct {
	Script
	path string
}

// WithScript returns r with a script, which Split then tells of. A request of
// another path that takes r's context over, as of a local redirect, has none.
func WithScript(r *http.Request, s Script) *http.Request {
	return r.WithContext(WithValue(r.Context(), scriptKey{}, &found{s, r.URL.Path}))
}

func scriptOf(r *http.Request) *Script {
	if f, _ := r.Context().Value(scriptKey{}).(*found); f != nil && f.path == r.URL.Path {
		return &f.Script
	}
	return nil
}
