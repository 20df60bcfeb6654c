package sendfile

import (
	"io"
	"mime"
	"net/http"
	"strings"
)

// writer is the ResponseWriter that the app's handler gets. It takes the
// headers that are for us from the response, and keeps to itself the whole of
// one that is to be sent otherwise.
type writer struct {
	w      http.ResponseWriter
	sender *Sender // nil: of Strip
	began  bool
	taken  bool // the response goes no further
	task   task
}

// task is what is to be done when the app is through.
type task struct {
	file, uri, rate string
	refused         string // why nothing is
}

var (
	_ http.Flusher    = (*writer)(nil)
	_ io.ReaderFrom   = (*writer)(nil)
	_ io.StringWriter = (*writer)(nil)
)

func (a *writer) release() {
	*a = writer{}
	writers.Put(a)
}

func (a *writer) Unwrap() http.ResponseWriter { return a.w }

func (a *writer) Header() http.Header { return a.w.Header() }

// WantsBody says whether the body of a response with this status, and with the
// headers that are set, goes anywhere: what has one need not read it.
func (a *writer) WantsBody(status int) bool {
	if a.sender == nil || status != http.StatusOK {
		return true
	}
	h := a.w.Header()
	return named(h[fileHeader]) == "" && named(h[accelHeader]) == ""
}

// named is what an app names in a header; "" for one that is empty, or there
// twice: nothing can be done by it.
func named(values []string) string {
	if len(values) != 1 {
		return ""
	}
	return values[0]
}

func (a *writer) WriteHeader(status int) {
	if a.taken {
		return
	}
	if !a.began && status >= 200 {
		a.began = true
		if a.begin(a.w.Header(), status) {
			a.taken = true
			return
		}
	}
	a.w.WriteHeader(status)
}

// begin takes our headers, and says whether the response is to be another one.
func (a *writer) begin(h http.Header, status int) bool {
	file, isFile := h[fileHeader]
	uri, isURI := h[accelHeader]
	if !isFile && !isURI {
		if a.sender != nil {
			a.takeAccel(h)
		}
		return false
	}
	delete(h, fileHeader)
	delete(h, accelHeader)
	if a.sender == nil {
		a.task.refused = "is stripped"
		return false
	}
	a.takeAccel(h)
	switch {
	case status == http.StatusNotModified:
		return false
	case status != http.StatusOK:
		a.task.refused = "an app's X-Sendfile or X-Accel-Redirect is left alone: the status of its response is not 200"
		return false
	case named(file) != "":
		a.task.file = named(file)
	case named(uri) != "":
		a.task.uri = named(uri)
	default:
		a.task.refused = "an app's X-Sendfile or X-Accel-Redirect is left alone: it is empty, or there twice"
		return false
	}
	return true
}

// takeAccel takes nginx's other headers.
func (a *writer) takeAccel(h http.Header) {
	if v := h[rateHeader]; v != nil {
		a.task.rate = v[0]
		delete(h, rateHeader)
	}
	if v := h[charsetHead]; v != nil {
		delete(h, charsetHead)
		withCharset(h, v[0])
	}
	if v := h[expiresHead]; v != nil {
		delete(h, expiresHead)
		tellExpires(a.w, v[0])
	}
	delete(h, bufferingHdr)
}

// tellExpires tells a cache around w how long the app wants the response kept.
func tellExpires(w http.ResponseWriter, value string) {
	if c, ok := around[interface{ AccelExpires(value string) }](w); ok {
		c.AccelExpires(value)
	}
}

// Elsewhere tells a cache around w that another path of the site answers in the
// app's place, and whether the app has said itself how long that may be kept.
func Elsewhere(w http.ResponseWriter, said bool) {
	if c, ok := around[interface{ Elsewhere(said bool) }](w); ok {
		c.Elsewhere(said)
	}
}

// around finds a wrapper by Unwrap.
func around[T any](w http.ResponseWriter) (found T, ok bool) {
	for w != nil {
		if found, ok = w.(T); ok {
			return found, true
		}
		u, more := w.(interface{ Unwrap() http.ResponseWriter })
		if !more {
			break
		}
		w = u.Unwrap()
	}
	return found, false
}

// withCharset adds a charset to a text's type that has none.
func withCharset(h http.Header, charset string) {
	t := h["Content-Type"]
	if len(t) != 1 || charset == "" || strings.EqualFold(charset, "off") {
		return
	}
	kind, params, err := mime.ParseMediaType(t[0])
	if err != nil || params["charset"] != "" || !strings.HasPrefix(kind, "text/") {
		return
	}
	params["charset"] = charset
	if with := mime.FormatMediaType(kind, params); with != "" {
		h["Content-Type"] = []string{with}
	}
}

func (a *writer) start() {
	if !a.began {
		a.WriteHeader(http.StatusOK)
	}
}

func (a *writer) Write(b []byte) (int, error) {
	a.start()
	if a.taken {
		return len(b), nil
	}
	return a.w.Write(b)
}

func (a *writer) WriteString(s string) (int, error) {
	a.start()
	if a.taken {
		return len(s), nil
	}
	return io.WriteString(a.w, s)
}

// ReadFrom hands src on as it is, so that sendfile sees the file in it.
func (a *writer) ReadFrom(src io.Reader) (int64, error) {
	a.start()
	to := io.Writer(a.w)
	if a.taken {
		to = io.Discard
	}
	if rf, ok := to.(io.ReaderFrom); ok {
		return rf.ReadFrom(src)
	}
	return io.Copy(struct{ io.Writer }{to}, src)
}

func (a *writer) Flush() { _ = a.FlushError() } // http.Flusher has no way to say it

func (a *writer) FlushError() error {
	a.start()
	if a.taken {
		return nil
	}
	return http.NewResponseController(a.w).Flush()
}
