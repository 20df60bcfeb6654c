package gateway

import "net/http"

// WantsBody reports whether the body of a response goes anywhere: w, or a
// ResponseWriter that it wraps (Unwrap), may know by its status and the headers
// that are set that nobody will see it, because something else is sent in its
// place. Then a handler writes the head alone, and need not read the body.
//
// A ResponseWriter says so by a method WantsBody(status int) bool; one without
// it takes every body.
func WantsBody(w http.ResponseWriter, status int) bool {
	for {
		switch t := w.(type) {
		case interface{ WantsBody(status int) bool }:
			return t.WantsBody(status)
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return true
		}
	}
}
