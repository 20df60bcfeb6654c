// Package sendfile sends what an app names in place of an answer of its own:
// the app decides who may have a file, and the front server sends it.
//
// A Sender stands around an app's handler. A response with status 200 and
//
//   - X-Sendfile: /srv/private/report.pdf is answered with that file. The path
//     is absolute, and below one of the folders that are allowed (os.Root keeps
//     it there); where no file has that name, it is tried with its %XX decoded;
//   - X-Accel-Redirect: /protected/report.pdf is answered by whatever answers
//     for that path of the site, as nginx has it.
//
// The app's body is dropped, as soon as it begins; that and not the file's end
// is when the app is free. Its headers stay: what the client sees of
// Content-Type, Content-Disposition, Cache-Control, ETag, Set-Cookie and any
// other is the app's where the app has set it. Ranges and conditional requests
// work, by the app's ETag and Last-Modified if there are any, else by the
// file's. A file that is not there is a 404; what the app must not name is a
// 500. Both are in the log; the client is told neither why nor what.
//
// Beside them two more of nginx's headers are honoured: X-Accel-Limit-Rate
// (bytes a second, for what is sent in the app's place) and X-Accel-Charset (of
// a text's Content-Type). X-Accel-Buffering has nothing to do here, as a
// response is never held back; X-Accel-Expires goes to the cache around it, if
// there is one: to a ResponseWriter with a method AccelExpires(string), which with
// a method Elsewhere(bool) also hears that another path answers. None of them reaches the client, and without a Sender (Strip), neither do the first
// two.
package sendfile

import (
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"millrace/gateway"
)

// Options say what a Sender may send.
type Options struct {
	// Roots are the folders out of which X-Sendfile may send. Empty: it may
	// not.
	Roots []string

	// Redirect answers r by what answers for a path of the site, without a
	// body, whose method is GET or HEAD; or says why it cannot. Required.
	Redirect func(w http.ResponseWriter, r *http.Request, uri string) error

	// Type is the media type of a file's name, for an app that says none.
	// Required.
	Type func(name string) string

	// Log gets what went wrong. Default: nothing is logged.
	Log *slog.Logger

	// Describe names a request in the log. Default: nothing.
	Describe func(r *http.Request) []any
}

// Sender sends for an app. It is safe for concurrent use, and holds nothing
// open.
type Sender struct {
	o     Options
	roots []root
}

// New makes a Sender.
func New(o Options) (*Sender, error) {
	s := &Sender{o: o}
	s.o.defaults()
	for _, dir := range o.Roots {
		r, err := newRoot(dir)
		if err != nil {
			return nil, err
		}
		s.roots = append(s.roots, r)
	}
	return s, nil
}

func (o *Options) defaults() {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Describe == nil {
		o.Describe = func(*http.Request) []any { return nil }
	}
}

// The headers of an app that are for us, as http.Header spells them.
const (
	fileHeader   = "X-Sendfile"
	accelHeader  = "X-Accel-Redirect"
	rateHeader   = "X-Accel-Limit-Rate"
	charsetHead  = "X-Accel-Charset"
	expiresHead  = "X-Accel-Expires"
	bufferingHdr = "X-Accel-Buffering"
)

// Wrap returns a handler that calls next, an app's, and sends what it names.
func (s *Sender) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := writers.Get().(*writer)
		a.w, a.sender = w, s
		next.ServeHTTP(a, r)
		task := a.task
		a.release() // not after a panic: somebody may still hold it
		switch {
		case task.refused != "":
			s.o.Log.Warn(task.refused, s.o.Describe(r)...)
		case task.file != "":
			gateway.OwnAnswer(w)
			s.sendFile(task.limit(w, r), r, task.file)
		case task.uri != "":
			gateway.OwnAnswer(w)
			s.redirect(task.limit(w, r), r, task.uri)
		}
	})
}

// Strip returns a handler that calls next, and takes from its responses what
// would be for a Sender. The first time that there is something is logged,
// since the app expects what does not happen.
func Strip(next http.Handler, o Options) http.Handler {
	o.defaults()
	told := new(atomic.Bool)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := writers.Get().(*writer)
		a.w = w
		next.ServeHTTP(a, r)
		found := a.task.refused != ""
		a.release()
		if found && !told.Swap(true) {
			o.Log.Warn("the app answers with X-Sendfile or X-Accel-Redirect, which its route does not allow: the client gets the app's own body; write x_sendfile = [\"FOLDER\"] on the route", o.Describe(r)...)
		}
	})
}

var writers = sync.Pool{New: func() any { return new(writer) }}

// describe is what a log line of a request says.
func (s *Sender) describe(r *http.Request, more ...any) []any {
	return append(s.o.Describe(r), more...)
}

// fail answers with an error. What the app has said of its own body is not of
// this one.
func fail(w http.ResponseWriter, status int) {
	h := w.Header()
	for name := range h {
		if ofBody(name) {
			delete(h, name)
		}
	}
	h["Cache-Control"] = []string{"no-store"}
	http.Error(w, http.StatusText(status), status)
}

// ofBody says whether a header is about one body, and not about another that
// takes its place.
func ofBody(name string) bool {
	switch name {
	case "Etag", "Last-Modified", "Cache-Control", "Expires", "Accept-Ranges":
		return true
	}
	return strings.HasPrefix(name, "Content-") && !strings.HasPrefix(name, "Content-Security-")
}

// statusOf is the status for a file that cannot be sent.
func statusOf(err error) int {
	if errors.Is(err, fs.ErrNotExist) {
		return http.StatusNotFound
	}
	return http.StatusInternalServerError
}
