package cache

// Requests that the cache has nothing to do with, but for what they change.

import (
	"io"
	"net/http"
)

// pass lets a request by. One that changes something, and succeeds, has what is
// stored for its URL, and for the URLs that it names, removed (RFC 9111, 4.4).
func (h *Handler) pass(w http.ResponseWriter, r *http.Request, why string) {
	h.cache.counts.bypassed.Add(1)
	h.forward(w, r)
	h.note(w.Header(), "fwd="+fwdOf(why)+"; detail="+why)
	if safe(r.Method) {
		h.next.ServeHTTP(w, r)
		return
	}
	h.cache.Invalidating(h.next).ServeHTTP(w, r)
}

func fwdOf(why string) string {
	switch why {
	case "method", "bypass":
		return why
	case "no-store":
		return "request"
	}
	return "bypass"
}

// safe methods change nothing (RFC 9110, 9.2.1).
func safe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, "QUERY", "PROPFIND", "REPORT", "SEARCH":
		return true
	}
	return false
}

// Invalidating returns a handler that calls next, and removes what is stored
// for what its requests have changed.
func (c *Cache) Invalidating(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if safe(r.Method) || r.Method == http.MethodConnect {
			next.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(&changeWriter{w: w, r: r, c: c}, r)
	})
}

// changeWriter sees whether a change has succeeded.
type changeWriter struct {
	w     http.ResponseWriter
	r     *http.Request
	c     *Cache
	began bool
}

var _ io.ReaderFrom = (*changeWriter)(nil)

func (w *changeWriter) Unwrap() http.ResponseWriter { return w.w }
func (w *changeWriter) Header() http.Header         { return w.w.Header() }

func (w *changeWriter) WriteHeader(status int) {
	if status >= 200 && !w.began {
		w.began = true
		if status < 400 {
			w.changed(w.w.Header())
		}
	}
	w.w.WriteHeader(status)
}

// changed removes what is stored, before the client hears of its success.
func (w *changeWriter) changed(h http.Header) {
	places := []string{placeOf(w.r)}
	for _, name := range [...]string{"Location", "Content-Location"} {
		if values := h[name]; len(values) > 0 {
			if place, ok := placeFrom(w.r, values[0]); ok {
				places = append(places, place)
			}
		}
	}
	w.c.invalidate(places)
}

func (w *changeWriter) Write(b []byte) (int, error) {
	w.start()
	return w.w.Write(b)
}

func (w *changeWriter) WriteString(s string) (int, error) {
	w.start()
	return io.WriteString(w.w, s)
}

func (w *changeWriter) start() {
	if !w.began {
		w.WriteHeader(http.StatusOK)
	}
}

// ReadFrom hands src on as it is, so that sendfile sees the file in it.
func (w *changeWriter) ReadFrom(src io.Reader) (int64, error) {
	w.start()
	if to, ok := w.w.(io.ReaderFrom); ok {
		return to.ReadFrom(src)
	}
	return io.Copy(struct{ io.Writer }{w.w}, src)
}

func (w *changeWriter) Flush() { _ = w.FlushError() } // http.Flusher has no way to say it

func (w *changeWriter) FlushError() error {
	w.start()
	return http.NewResponseController(w.w).Flush()
}
