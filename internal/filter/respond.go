package filter

// The filter's answer, with what of the first one still holds.

import (
	"io"
	"net/http"
	"slices"
)

// ofBody are headers of the first answer that say something of its body, or of
// the request for it: not true of what a filter makes of it. Its Content-Type
// stays where the filter names none.
var ofBody = []string{
	"Accept-Ranges", "Age", "Content-Digest", "Content-Disposition", "Content-Encoding", "Content-Length", "Content-Location", "Content-Md5",
	"Content-Range", "Date", "Digest", "Etag", "Last-Modified", "Repr-Digest", "Trailer", "Transfer-Encoding", "Want-Content-Digest", "X-Request-Id",
}

// merging adds the headers of the first answer that the filter's lacks.
type merging struct {
	http.ResponseWriter
	first http.Header
	accel *string // X-Accel-Expires of the first answer; nil: none
	begun bool
}

// lifetimes are headers that say how long an answer may be kept, and for whom. A
// filter that has one of them has said it: the others would contradict it.
var lifetimes = []string{"Cache-Control", "Cdn-Cache-Control", "Expires", "Pragma", "X-Accel-Expires"}

// Unwrap is for http.ResponseController.
func (w *merging) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *merging) WriteHeader(status int) {
	if status >= 200 {
		w.begin(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

// begin merges. The filter's errors are its own.
func (w *merging) begin(status int) {
	if w.begun {
		return
	}
	w.begun = true
	if status >= 400 {
		return
	}
	h := w.Header()
	said := slices.ContainsFunc(lifetimes, func(name string) bool { return len(h[name]) > 0 })
	if !said && w.accel != nil {
		tellExpires(w.ResponseWriter, *w.accel)
	}
	for name, values := range w.first {
		have, some := h[name]
		switch {
		case slices.Contains(ofBody, name), said && slices.Contains(lifetimes, name):
		case name == "Set-Cookie", name == "Vary", name == "Link":
			h[name] = slices.Concat(values, have)
		case !some || len(have) == 0:
			h[name] = values
		}
	}
}

// tellExpires tells a cache around w how long the app wants its answer kept.
func tellExpires(w http.ResponseWriter, value string) {
	for w != nil {
		if c, ok := w.(interface{ AccelExpires(value string) }); ok {
			c.AccelExpires(value)
			return
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return
		}
		w = u.Unwrap()
	}
}

func (w *merging) Write(b []byte) (int, error) {
	w.begin(http.StatusOK)
	return w.ResponseWriter.Write(b)
}

// FlushError is for http.ResponseController.
func (w *merging) FlushError() error {
	w.begin(http.StatusOK)
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Flush is for those who look for an http.Flusher.
func (w *merging) Flush() { _ = w.FlushError() }

// ReadFrom keeps sendfile alive.
func (w *merging) ReadFrom(from io.Reader) (int64, error) {
	w.begin(http.StatusOK)
	if to, ok := w.ResponseWriter.(io.ReaderFrom); ok {
		return to.ReadFrom(from)
	}
	return io.Copy(struct{ io.Writer }{w.ResponseWriter}, from)
}
