package respond

// Pages of errors.

import (
	"cmp"
	"net/http"
	"strconv"

	"millrace/internal/placeholder"
)

// Page answers an error: with Body; or, where To is set, with what To leads to
// at the routes; or with the routes of Group; or, where URL is set, by sending
// the client there.
type Page struct {
	Body  []byte
	Type  string
	To    *placeholder.Text
	Group string // which get the request as it came to the route
	URL   *placeholder.Text

	// Status is that of the answer: 0, the error's; OwnStatus, that of what To or
	// Group leads to, whatever it is. Of URL it is 302 without.
	Status int
}

// OwnStatus is a Page's Status where that of the page's own answer is sent.
const OwnStatus = -1

// Errors has pages take the place of the bodies of errors. The status stays,
// and so do headers that are not the body's. A page that itself ends in an
// error leaves a plain text.
type Errors struct {
	// Pages by status.
	Pages map[int]*Page
	// OfApps is whether errors that an app answers (see OfApp) have pages.
	OfApps bool
	// Again answers a request at the routes, as if it had just come: a GET or a
	// HEAD without a body. Whole says that all of it is wanted, whatever the client
	// has.
	Again func(w http.ResponseWriter, r *http.Request, to string, whole bool) error
	// Group answers a request by the routes of a group.
	Group func(w http.ResponseWriter, r *http.Request, group string) error
}

// Status is what a Page's To is given as the value of {status}.
type Status int

// Wrap puts the pages around next, which may have others by Use.
func (e *Errors) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := &errorWriter{errors: e}
		out.ResponseWriter, out.watch = w, out
		out.serve(next, r)
		if out.status == 0 {
			return
		}
		at := r
		if out.request != nil {
			at = out.request
		}
		out.errors.answer(w, r, at, out.status)
	})
}

// Use has the answer that follows on w get these pages, in place of those that
// Wrap has put around it. r is what a Page's Group gets. A page that is being
// answered has none.
func (e *Errors) Use(w http.ResponseWriter, r *http.Request) {
	if out := errorWriterOf(w); out != nil && out.status == 0 {
		out.errors, out.request = e, r
	}
}

// answer answers r with the page of a status; at is r as it came to its route.
func (e *Errors) answer(w http.ResponseWriter, r, at *http.Request, status int) {
	page := e.Pages[status]
	h := w.Header()
	for _, name := range ofBody {
		delete(h, name)
	}
	if page.URL != nil {
		h.Set("Location", string(page.URL.AppendURLWith(nil, r, Status(status))))
		e.write(w, r, cmp.Or(page.Status, http.StatusFound), "text/plain; charset=utf-8", []byte("moved\n"))
		return
	}
	if page.To == nil && page.Group == "" {
		e.write(w, r, cmp.Or(page.Status, status), page.Type, page.Body)
		return
	}
	again := h["Retry-After"]
	kept := &pageWriter{status: cmp.Or(page.Status, status)}
	kept.ResponseWriter, kept.watch = w, kept
	var err error
	if page.To == nil {
		err = e.Group(kept, at, page.Group)
	} else {
		err = e.Again(kept, r, string(page.To.AppendURLWith(nil, r, Status(status))), page.Status != OwnStatus)
	}
	if err == nil && kept.wrote && !kept.swallow {
		return
	}
	for _, name := range append(ofBody, "Location") {
		delete(h, name)
	}
	if delete(h, "Retry-After"); again != nil { // the page's own, which was refused
		h["Retry-After"] = again
	}
	e.write(w, r, status, "text/plain; charset=utf-8", []byte(strconv.Itoa(status)+" "+http.StatusText(status)+"\n"))
}

// ofBody are the headers of a body that is not sent.
var ofBody = []string{
	"Content-Length", "Content-Type", "Content-Encoding", "Content-Range", "Content-Language", "Content-Disposition",
	"Etag", "Last-Modified", "Accept-Ranges", "Cache-Control", "Expires", "X-Content-Type-Options",
}

func (e *Errors) write(w http.ResponseWriter, r *http.Request, status int, mediaType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // an error is a client that has left
	}
}

// errorWriter is the writer of a response that may become a page.
type errorWriter struct {
	writer
	errors  *Errors
	request *http.Request // as it came to the route that said by Use what errors are; may be nil
	status  int           // of the error that has a page; 0: there is none
	ofApp   bool
	final   bool
}

func (w *errorWriter) head(status int) int {
	if status < 400 || w.errors.Pages[status] == nil || w.final || w.ofApp && !w.errors.OfApps {
		return status
	}
	w.status = status
	return 0
}

// serve has next answer. That it gives up because we take no more of its body
// is as good as an end.
func (w *errorWriter) serve(next http.Handler, r *http.Request) {
	defer func() {
		if !w.full() { // any other panic goes on as it is
			return
		}
		if p := recover(); p != nil && p != http.ErrAbortHandler {
			panic(p)
		}
	}()
	next.ServeHTTP(w, r)
}

// pageWriter gives a page the status of the error.
type pageWriter struct {
	writer
	status int
}

func (w *pageWriter) head(status int) int {
	if w.status == OwnStatus {
		return status
	}
	if status < 300 {
		for _, name := range ofPage {
			delete(w.Header(), name)
		}
		return w.status
	}
	return 0
}

// ofPage are headers that say of a page what is not so of the error: by its
// date, caches would guess for how long it may be kept (RFC 9111, section 4.2.2).
var ofPage = []string{"Etag", "Last-Modified", "Accept-Ranges"}

// OwnAnswer is called by a gateway that answers in an app's stead.
func (w *errorWriter) OwnAnswer() { w.ofApp = false }

// AppAnswers marks the answer that follows on w as an app's.
func AppAnswers(w http.ResponseWriter) {
	if e := errorWriterOf(w); e != nil {
		e.ofApp = true
	}
}

// OfApp marks what next answers as an app's.
func OfApp(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		AppAnswers(w)
		next.ServeHTTP(w, r)
	})
}

// Final has the answer that follows stay as it is: it is the page itself.
func Final(w http.ResponseWriter) {
	if e := errorWriterOf(w); e != nil {
		e.final = true
	}
}

func errorWriterOf(w http.ResponseWriter) *errorWriter {
	for {
		if e, ok := w.(*errorWriter); ok {
			return e
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return nil
		}
		w = u.Unwrap()
	}
}
