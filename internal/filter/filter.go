// Package filter has somebody else work over the answers of a handler: an app in
// the FastCGI role of a filter (FastCGI 1.0, section 6.4).
//
// # A request's life
//
// Options.Wrap puts the filter around a handler. The handler is asked for the
// whole of its answer: without ranges, conditions and encodings, and by GET in
// place of HEAD, as what the filter makes of it is another thing. An answer with
// status 200 is collected (collect.go), in memory and then in a spool file, and
// nothing of it reaches the client. Any other (an error, a redirect) is the
// client's as it is.
//
// Then the filter is asked: the request as it came, its conditions and ranges
// too, less its body, which the handler has had; with the answer as FCGI_DATA.
// What it answers is the client's (respond.go): its own headers, and of the first
// answer those that are not about its body.
//
// # What it does not do
//
// It filters no part of anything, nothing that is encoded, and nothing that was
// cut short: rather than let pass what was to be worked over, it answers with
// 502. It reads no configuration and names no app.
package filter

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"

	"millrace/gateway"
	"millrace/internal/requestid"
	"millrace/internal/spool"
)

// Options say who filters. Nothing of them changes once they are used.
type Options struct {
	// Ask answers in the filter's role; required.
	Ask http.Handler

	// Filtered is called before the filter's answer is written to the client;
	// nil: nothing is.
	Filtered func(w http.ResponseWriter)

	// MaxData is how many bytes an answer may have at most; beyond it 502.
	MaxData int64

	Name  string       // of who filters, for the log
	Spool *spool.Spool // required
	Log   *slog.Logger // required
}

// dataMemory is how much of an answer is kept in memory.
const dataMemory = 64 << 10

// Wrap puts the filter around next.
func (o Options) Wrap(next http.Handler) http.Handler { return &filter{o, next} }

type filter struct {
	Options
	next http.Handler
}

func (f *filter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &collector{filter: f, client: w, buffer: f.Spool.NewBuffer(dataMemory)}
	defer c.close()
	c.collect(whole(r))
	switch {
	case c.passing: // the client has it
		return
	case r.Context().Err() != nil:
		panic(http.ErrAbortHandler) // the client has left
	case c.err == nil:
		c.err = c.complete()
	}
	if c.err != nil {
		f.fail(w, r, c.err)
		return
	}
	out := &merging{ResponseWriter: w, first: c.header, accel: c.accel}
	if f.Filtered != nil {
		f.Filtered(w)
	}
	f.Ask.ServeHTTP(out, c.question(r))
}

// partial are headers by which the handler could answer with less than the
// whole, or with something else.
var partial = []string{
	"Accept-Encoding", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Range",
	"Connection", "Upgrade", "Sec-Websocket-Extensions", "Sec-Websocket-Key", "Sec-Websocket-Protocol", "Sec-Websocket-Version",
}

// whole is r, for all that there is.
func whole(r *http.Request) *http.Request {
	next := new(*r)
	if next.Method == http.MethodHead {
		next.Method = http.MethodGet
	}
	next.Header = r.Header.Clone()
	for _, name := range partial {
		delete(next.Header, name)
	}
	return next
}

// question is r, as it is for the filter.
func (c *collector) question(r *http.Request) *http.Request {
	asked := &gateway.Asked{
		Role: gateway.Filter, Data: c.reader, DataLength: c.buffer.Len(),
		DataModified: c.modified(), DataType: first(c.header["Content-Type"]),
	}
	q := gateway.WithParams(r.WithContext(gateway.Ask(r.Context(), asked)), nil)
	q.Body, q.ContentLength, q.TransferEncoding, q.Trailer, q.GetBody = http.NoBody, 0, nil, nil, nil
	q.Header = r.Header.Clone()
	for _, name := range []string{"Content-Length", "Content-Encoding", "Content-Type", "Expect", "Connection", "Upgrade"} {
		delete(q.Header, name)
	}
	return q
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// modified is FCGI_DATA_LAST_MOD.
func (c *collector) modified() int64 {
	if t, err := http.ParseTime(first(c.header["Last-Modified"])); err == nil {
		return max(t.Unix(), 0)
	}
	return 0
}

// fail answers in place of the filter, and says why in the log.
func (f *filter) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusBadGateway
	var disk *spool.DiskError
	switch {
	case errors.As(err, &disk):
		status = http.StatusInsufficientStorage
	case errors.Is(err, spool.ErrFull):
		status = http.StatusServiceUnavailable
	}
	if err != errCut {
		f.Log.Error("cannot have an answer filtered", "filter", f.Name, "request", requestid.Of(r), "method", r.Method, "uri", r.RequestURI, "status", status, "error", err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "5")
	}
	text := http.StatusText(status) + "\n"
	if id := requestid.Of(r); id != "" {
		text += "request id: " + id + "\n"
	}
	h.Set("Content-Length", strconv.Itoa(len(text)))
	gateway.OwnAnswer(w)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // an error here is a client that left
}

// errOver is for a reader of data whose request is over.
var errOver = fmt.Errorf("the request is over: %w", os.ErrClosed)
