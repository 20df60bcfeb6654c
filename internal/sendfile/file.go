package sendfile

import (
	"io/fs"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// maxRanges is how many ranges a request may ask for; beyond it they are
// ignored (RFC 9110, 14.2), as each costs a part with headers of its own.
const maxRanges = 32

// sendFile answers with the file that the app has named.
func (s *Sender) sendFile(w http.ResponseWriter, r *http.Request, named string) {
	f, info, err := s.open(named)
	if err != nil {
		status := statusOf(err)
		s.o.Log.Error("cannot send the file that an app names with X-Sendfile", s.describe(r, "file", named, "status", status, "error", err)...)
		fail(w, status)
		return
	}
	defer f.Close()
	h := w.Header()
	for _, name := range [...]string{"Content-Length", "Accept-Ranges", "Content-Range"} {
		delete(h, name) // of the app's own body
	}
	if len(h["Content-Type"]) == 0 {
		h["Content-Type"] = []string{s.o.Type(filepath.ToSlash(named))}
	}
	if len(h["Etag"]) == 0 {
		h["Etag"] = []string{tag(info)}
	}
	modified := info.ModTime()
	if given, err := http.ParseTime(h.Get("Last-Modified")); err == nil {
		modified = given
	}
	if _, encoded := h["Content-Encoding"]; encoded && r.Header["Range"] == nil && r.Header["If-Match"] == nil && r.Header["If-Unmodified-Since"] == nil { // a 412 would keep it
		h["Content-Length"] = []string{strconv.FormatInt(info.Size(), 10)} // http.ServeContent leaves it out
	}
	http.ServeContent(w, asked(r), "", modified, f)
}

// tag is a file's ETag.
func tag(info fs.FileInfo) string {
	return `"` + strconv.FormatInt(info.Size(), 16) + "-" + strconv.FormatInt(info.ModTime().UnixNano(), 16) + `"`
}

// asked is r for http.ServeContent: only a GET has ranges, and conditions are
// those of GET and HEAD; what changes something was done by the app.
func asked(r *http.Request) *http.Request {
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	_, ranged := r.Header["Range"]
	if read && (!ranged || r.Method == http.MethodGet && strings.Count(r.Header.Get("Range"), ",") < maxRanges) {
		return r
	}
	next := new(*r)
	next.Header = r.Header.Clone()
	next.Header.Del("Range")
	if !read {
		next.Method = http.MethodGet
		for _, name := range conditions {
			delete(next.Header, name)
		}
	}
	return next
}

var conditions = []string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range"}

// limit paces what is written to w, if the app wants it.
func (t *task) limit(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
	rate, err := strconv.ParseInt(t.rate, 10, 64)
	if err != nil || rate <= 0 { // "off", 0
		return w
	}
	return &pacer{w: w, ctx: r.Context(), rate: rate, start: time.Now()}
}
