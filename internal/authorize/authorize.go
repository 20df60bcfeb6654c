// Package authorize asks somebody else whether a request may pass, before any
// of its body is read: an app in the FastCGI role of an authorizer (FastCGI 1.0,
// section 6.3), or whatever answers a subrequest.
//
// # A request's life
//
// Options.Wrap puts the question around a handler. What a client has sent under
// the name of a header that only the answer may set is dropped. Then the answer
// is looked for in the cache (cache.go), if there is one; of those who miss for
// the same reason one asks and the others wait. The question (question.go) is
// the request without its body, without conditions and ranges, since it is not
// for the thing itself. The handler that answers it writes to a recorder
// (answer.go), which decides by the status alone:
//
//   - an authorizer lets pass by 200; any other answer is the client's, whole;
//   - a subrequest lets pass by any 2xx; 401, 403 and redirects are the client's
//     answer, whole; anything else is 502, and said in the log.
//
// What passes (pass.go) goes on as it came, with what the answer said of it: the
// parameters of Variable-* headers, chosen headers as headers of the request, a
// user, and headers for the client's response. A request of whose answer nothing
// is wanted goes on untouched, with the very ResponseWriter that came: a file
// behind it leaves by sendfile.
//
// # What it does not do
//
// It reads no configuration and names no app. It never lets pass for want of an
// answer: one that fails, hangs or says nothing is an error.
package authorize

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"millrace/gateway"
	"millrace/internal/requestid"
)

// Options say who is asked, and what of the answer is wanted. Nothing of them
// changes once they are used.
type Options struct {
	// Ask answers the question that Question makes of a request; required. Its
	// ResponseWriter is no client's: Redirect may be asked about it.
	Ask http.Handler

	// Question makes the question, which has no body; see Bare. An error says why
	// there can be none, and is answered with 502. Required.
	Question func(r *http.Request) (*http.Request, error)

	// Authorizer says that Ask answers in the authorizer's role: the request
	// passes by 200 alone, and Variable-* headers are its parameters. Otherwise
	// it answers a subrequest.
	Authorizer bool

	// Headers are headers of the answer that become headers of the request,
	// ToClient those that are added to the response. User is the one that names
	// the user, "" for none; an authorizer names it by Variable-REMOTE_USER.
	// All are canonical.
	Headers  []string
	ToClient []string
	User     string

	// Passed returns the request that the handler sees, of one that passes;
	// nil: the request itself. It is not called where nothing was said of it.
	Passed func(r *http.Request, said *Said) *http.Request

	// Refused is called before a refusal is written to the client; nil: nothing
	// is.
	Refused func(w http.ResponseWriter)

	// Cache is how long answers are kept, 0: not at all. By makes the key under
	// which one is kept, beside the user that is known already; nil: all that Ask
	// is told, which is what Bare leaves of the request, and Where, if Question
	// makes more of it than that. Entries is how many are kept; 0: 4096.
	Cache   time.Duration
	By      []func(dst []byte, r *http.Request) []byte
	Where   func(dst []byte, r *http.Request) []byte
	Entries int

	Name string       // of who is asked, for the log
	Log  *slog.Logger // required
}

// Said is what an answer has said of a request that passes.
type Said struct {
	User      string          // "": nobody was named
	UserType  string          // AUTH_TYPE
	Variables []gateway.Param // of an authorizer; those that may be set
	Headers   http.Header     // of Options.Headers and Options.User, and no others
}

// Wrap guards next.
func (o Options) Wrap(next http.Handler) http.Handler {
	a := o.guard(next)
	if o.Cache > 0 {
		a.cache = newCache(o.Cache, o.Entries)
	}
	return a
}

// Disown only takes away what clients send under the names of headers that an
// answer may set: for requests that pass by other means.
func (o Options) Disown(next http.Handler) http.Handler {
	a := o.guard(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(w, a.disown(r)) })
}

func (o Options) guard(next http.Handler) *authorize {
	a := &authorize{Options: o, next: next}
	a.own = append(a.own, o.Headers...)
	if o.User != "" {
		a.own = append(a.own, o.User)
	}
	return a
}

type authorize struct {
	Options
	next  http.Handler
	own   []string // headers that no client may send
	cache *cache   // nil: there is none
	told  sync.Map // what was said of variables that are left out
}

func (a *authorize) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r = a.disown(r)
	var v *verdict
	if a.cache == nil {
		v = a.ask(w, r, false)
	} else {
		v = a.cached(w, r)
	}
	switch {
	case v == nil: // it is answered
	case v.pass:
		a.pass(w, r, v)
	default:
		a.refuse(w, v)
	}
}

// ask asks, and answers the client if the request does not pass and keep is
// false. With keep the whole verdict is wanted; nil: the client has its answer,
// which is too large to be kept, or must not be.
func (a *authorize) ask(w http.ResponseWriter, r *http.Request, keep bool) *verdict {
	q, err := a.Question(r)
	if err != nil {
		a.fail(w, r, "there is nobody to ask", "error", err)
		return nil
	}
	rec := &recorder{authorize: a, client: w, keep: keep}
	rec.have(q)
	switch rec.outcome {
	case passes:
		return rec.verdict()
	case denied:
		return rec.denial()
	}
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the client has left
	}
	switch {
	case rec.own && rec.status >= 500: // it has said why, in the log
		status := http.StatusBadGateway
		if rec.status == http.StatusServiceUnavailable || rec.status == http.StatusGatewayTimeout {
			status = rec.status
		}
		a.answer(w, r, status)
	case rec.outcome == undecided:
		a.fail(w, r, "it answered nothing")
	default:
		a.fail(w, r, "its answer neither lets pass nor refuses", "answered", rec.status)
	}
	return nil
}

// have has the question answered. Who breaks off has not answered, unless it is
// the recorder that would have no more.
func (rec *recorder) have(q *http.Request) {
	defer func() {
		switch p := recover(); {
		case p == nil, p == http.ErrAbortHandler && rec.full():
		case p != http.ErrAbortHandler, rec.passing, q.Context().Err() != nil:
			panic(p)
		default: // which is in the log
			rec.outcome, rec.own, rec.status = answered, true, http.StatusBadGateway
		}
	}()
	rec.Ask.ServeHTTP(rec, q)
}

// fail answers with 502 and says why in the log.
func (a *authorize) fail(w http.ResponseWriter, r *http.Request, why string, more ...any) {
	args := append([]any{"asked", a.Name, "request", requestid.Of(r), "method", r.Method, "uri", r.RequestURI, "why", why}, more...)
	a.Log.Error("cannot find out whether a request may pass", args...)
	a.answer(w, r, http.StatusBadGateway)
}

// answer answers with a status, its text, and the request's id.
func (a *authorize) answer(w http.ResponseWriter, r *http.Request, status int) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	text := http.StatusText(status) + "\n"
	if id := requestid.Of(r); id != "" {
		text += "request id: " + id + "\n"
	}
	gateway.OwnAnswer(w)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // an error here is a client that left
}

// errLocation is for a location that no header can hold.
var errLocation = errors.New("the location of a local redirect holds a control character")

// Redirect is for whoever is about to answer w with what a local redirect leads
// to (RFC 3875, section 6.2.2). If w is a question's, that would pass for its
// answer, and a login page for a yes: then the redirect is the client's to
// follow, and Redirect reports that it has said so.
func Redirect(w http.ResponseWriter, location string) (bool, error) {
	rec := recorderOf(w)
	if rec == nil {
		return false, nil
	}
	for i := range len(location) {
		if c := location[i]; c < ' ' || c == 0x7f {
			return true, fmt.Errorf("%w: %.64q", errLocation, location)
		}
	}
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusFound)
	return true, nil
}

func recorderOf(w http.ResponseWriter) *recorder {
	for {
		switch t := w.(type) {
		case *recorder:
			return t
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return nil
		}
	}
}
