package sendfile

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// redirect answers with what answers for a path of the site.
func (s *Sender) redirect(w http.ResponseWriter, r *http.Request, to string) {
	uri, err := target(to)
	if err == nil {
		app := maps.Clone(w.Header())
		delete(app, "Content-Length")
		if tag := app["Etag"]; len(tag) == 1 {
			switch status := precondition(r, tag[0]); status {
			case 0:
				r = unconditional(r, tag[0])
			default:
				for _, name := range []string{"Content-Length", "Content-Type", "Content-Encoding", "Content-Disposition"} {
					delete(w.Header(), name)
				}
				w.WriteHeader(status)
				return
			}
		}
		Elsewhere(w, saysHowLong(app))
		clear(w.Header())
		method := http.MethodGet
		if r.Method == http.MethodHead {
			method = r.Method
		}
		next := new(*r)
		next.Method = method
		m := &merger{w: w, app: app}
		if err = s.o.Redirect(m, next, uri); err == nil || m.began {
			if !m.began { // an empty answer
				m.WriteHeader(http.StatusOK)
			}
			return
		}
		maps.Copy(w.Header(), app)
	}
	s.o.Log.Error("cannot answer with the path that an app names with X-Accel-Redirect", s.describe(r, "path", to, "error", err)...)
	fail(w, http.StatusInternalServerError)
}

// target is what an app has named as a request's target: a path that may be
// escaped or not, and maybe a query.
func target(to string) (string, error) {
	if !strings.HasPrefix(to, "/") {
		return "", errors.New("it is not a path of this site, which begins with a slash")
	}
	path, query, hasQuery := strings.Cut(to, "?")
	decoded, err := url.PathUnescape(path)
	if err != nil {
		decoded = path // "100%.pdf"
	}
	u := url.URL{Path: fromLatin1(decoded)}
	uri := u.EscapedPath()
	if strings.HasPrefix(uri, "//") {
		return "", errors.New("it begins with two slashes")
	}
	if hasQuery {
		uri += "?" + query
	}
	return uri, nil
}

// precondition evaluates the conditions of a request by the app's ETag (RFC
// 9110, 13.2.2): 0 for a response with a body.
func precondition(r *http.Request, tag string) int {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return 0
	}
	if match, ok := r.Header["If-Match"]; ok && !matches(match, tag, true) {
		return http.StatusPreconditionFailed
	}
	if match, ok := r.Header["If-None-Match"]; ok && matches(match, tag, false) {
		return http.StatusNotModified
	}
	return 0
}

// unconditional is r without conditions: those by ETags have been decided, and
// those by times are of another thing. A range stays if it is of what the
// client has.
func unconditional(r *http.Request, tag string) *http.Request {
	next := new(*r)
	next.Header = r.Header.Clone()
	if have, ok := r.Header["If-Range"]; ok && (len(have) != 1 || have[0] != tag || strings.HasPrefix(tag, "W/")) {
		delete(next.Header, "Range")
	}
	for _, name := range conditions {
		delete(next.Header, name)
	}
	return next
}

// matches says whether a list of entity tags names tag.
func matches(values []string, tag string, strongly bool) bool {
	if strongly && strings.HasPrefix(tag, "W/") {
		return slices.Contains(values, "*")
	}
	weak := strings.TrimPrefix(tag, "W/")
	for _, value := range values {
		if strings.TrimSpace(value) == "*" {
			return true
		}
		for value != "" {
			start := strings.IndexByte(value, '"')
			if start < 0 {
				break
			}
			end := strings.IndexByte(value[start+1:], '"')
			if end < 0 {
				break
			}
			end += start + 2
			if value[start:end] == weak && !(strongly && strings.HasSuffix(value[:start], "W/")) {
				return true
			}
			value = value[end:]
		}
	}
	return false
}

// lifetimes are headers that say how long a response may be kept.
var lifetimes = [...]string{"Cache-Control", "Expires", "Cdn-Cache-Control", "Pragma"}

func saysHowLong(h http.Header) bool {
	for _, name := range lifetimes {
		if len(h[name]) > 0 {
			return true
		}
	}
	return false
}

// merger joins the headers of the app with those of what answers in its place.
type merger struct {
	w     http.ResponseWriter
	app   http.Header
	began bool
}

func (m *merger) Unwrap() http.ResponseWriter { return m.w }
func (m *merger) Header() http.Header         { return m.w.Header() }

func (m *merger) WriteHeader(status int) {
	if !m.began && status >= 200 {
		m.began = true
		m.merge(m.w.Header(), status)
	}
	m.w.WriteHeader(status)
}

// merge gives h what the app has said. What is about a body holds only where
// the body is what the app has meant.
func (m *merger) merge(h http.Header, status int) {
	if saysHowLong(m.app) { // in whichever of them: the others would contradict it
		for _, name := range lifetimes {
			delete(h, name)
		}
	}
	good := status == http.StatusOK || status == http.StatusPartialContent || status == http.StatusNotModified
	for name, values := range m.app {
		switch {
		case len(values) == 0, !good && ofBody(name):
			continue
		case name == "Set-Cookie" || name == "Vary" || name == "Link":
			h[name] = append(slices.Clip(h[name]), values...)
			continue
		case name == "Content-Length" || name == "Content-Encoding" || name == "Content-Range" || name == "Accept-Ranges" || name == "Last-Modified":
			continue
		case name == "Content-Type" && (status == http.StatusNotModified || strings.HasPrefix(h.Get(name), "multipart/byteranges")):
			continue
		case name == "Etag" && h["Content-Encoding"] != nil && !strings.HasPrefix(values[0], "W/"):
			values = []string{"W/" + values[0]} // the same words in other bytes
		}
		h[name] = values
	}
}

func (m *merger) start() {
	if !m.began {
		m.WriteHeader(http.StatusOK)
	}
}

func (m *merger) Write(b []byte) (int, error) {
	m.start()
	return m.w.Write(b)
}

// ReadFrom hands src on as it is, so that sendfile sees the file in it.
func (m *merger) ReadFrom(src io.Reader) (int64, error) {
	m.start()
	if to, ok := m.w.(io.ReaderFrom); ok {
		return to.ReadFrom(src)
	}
	return io.Copy(struct{ io.Writer }{m.w}, src)
}

func (m *merger) Flush() { _ = m.FlushError() } // http.Flusher has no way to say it

func (m *merger) FlushError() error {
	m.start()
	return http.NewResponseController(m.w).Flush()
}
