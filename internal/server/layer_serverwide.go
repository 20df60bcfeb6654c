package server

import "net/http"

// layerServerWide answers OPTIONS *, which is of the server as a whole and of
// no route.
func layerServerWide(_ *builder, _ *place, next http.Handler) (http.Handler, error) {
	return serverWide(next), nil
}

// serverWide answers OPTIONS * (RFC 9110, section 9.3.7): whoever answers can
// be reached. With another method "*" is no target.
func serverWide(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.RequestURI != "*":
			next.ServeHTTP(w, r)
		case r.Method == http.MethodOptions:
			w.Header().Set("Content-Length", "0")
			w.WriteHeader(http.StatusOK)
		default:
			http.Error(w, "bad request", http.StatusBadRequest)
		}
	})
}
