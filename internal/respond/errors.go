package respond

// Pages of errors.

import (
	"net/http"
	"strconv"

	"millrace/internal/placeholder"
)

// Page answers an error: with Body, or, where To is set, with what To leads to
// at the routes.
type Page struct {
	Body []byte
	Type string
	To   *placeholder.Text
}

// Errors has pages take the place of the bodies of errors. The status stays,
// and so do headers that are not the body's. A page that itself ends in an
// error leaves a plain text.
type Errors struct {
	// Pages by status.
	Pages map[int]*Page
	// OfApps is whether errors that an app answers (see OfApp) have pages.
	OfApps bool
	// Again answers a request at the routes, as if it had just come: a GET or a
	// HEAD without a body.
	Again func(w http.ResponseWriter, r *http.Request, to string) error
}

// Status is what a Page's To is given as the value of {status}.
type Status int

// Wrap puts the pages around next.
func (e *Errors) Wrap(next http.Handler) http.Handler {
	if len(e.Pages) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := &errorWriter{errors: e}
		out.ResponseWriter, out.watch = w, out
		out.serve(next, r)
		if out.status != 0 {
			e.answer(w, r, out.status)
		}
	})
}

// answer answers with the page of a status.
func (e *Errors) answer(w http.ResponseWriter, r *http.Request, status int) {
	page := e.Pages[status]
	h := w.Header()
	for _, name := range ofBody {
		delete(h, name)
	}
	if page.To == nil {
		e.write(w, r, status, page.Type, page.Body)
		return
	}
	again := h["Retry-After"]
	kept := &pageWriter{status: status}
	kept.ResponseWriter, kept.watch = w, kept
	err := e.Again(kept, r, string(page.To.AppendURLWith(nil, r, Status(status))))
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
	errors *Errors
	status int // of the error that has a page; 0: there is none
	ofApp  bool
	final  bool
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
