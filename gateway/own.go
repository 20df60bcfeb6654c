package gateway

import "net/http"

// OwnAnswer tells whoever has wrapped w that the answer that follows is not an
// app's but the gateway's own: the app was not reached, took too long, or was
// not asked. A wrapper that wants to know has a method OwnAnswer(); those
// around it are found by their method Unwrap, as http.ResponseController does.
func OwnAnswer(w http.ResponseWriter) {
	for {
		if o, ok := w.(interface{ OwnAnswer() }); ok {
			o.OwnAnswer()
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return
		}
		w = u.Unwrap()
	}
}
