package gateway

import (
	"net/http"
	"slices"
)

type paramsKey struct{}

// WithParams returns r with parameters that Split adds to its Target, over
// those of a script; nil takes those away that it has. They go along with the
// context of r: whoever makes another request of it decides whether they hold.
func WithParams(r *http.Request, params []Param) *http.Request {
	if params == nil && paramsOf(r) == nil {
		return r
	}
	return r.WithContext(WithValue(r.Context(), paramsKey{}, params))
}

// AddParams is WithParams with those that r has already, which give way to
// params.
func AddParams(r *http.Request, params []Param) *http.Request {
	if len(params) == 0 {
		return r
	}
	return WithParams(r, slices.Concat(paramsOf(r), params))
}

func paramsOf(r *http.Request) []Param {
	params, _ := r.Context().Value(paramsKey{}).([]Param)
	return params
}

// withParams adds what WithParams has.
func (t Target) withParams(r *http.Request) Target {
	if params := paramsOf(r); params != nil {
		t.Params = slices.Concat(t.Params, params)
	}
	return t
}
