package gateway

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"
)

// Stream is where a ResponseWriter writes: one protocol's encoding of a
// response. Its methods are called by one goroutine at a time.
//
// A Stream may also have
//
//	io.ReaderFrom                         to pass on a file without copying it
//	SetReadDeadline(time.Time) error      for reads of the request's body
//	SetWriteDeadline(time.Time) error
//	Overload() bool                       see Overload
type Stream interface {
	// WriteHead begins the response. It is called once, before Write. What
	// belongs to the connection is not in header's place to say: an encoder
	// leaves it out, as AppendHead does.
	WriteHead(status int, header http.Header) error

	// Write sends a part of the body, or holds it until more is there.
	io.Writer

	// Flush sends what is held.
	Flush() error
}

// ResponseWriter is the http.ResponseWriter of every protocol's server. It
// keeps the rules that hold for all: one head; no body for HEAD, 204 and 304;
// never more bytes than Content-Length says. The zero value is not usable;
// see Reset.
type ResponseWriter struct {
	stream   Stream
	header   http.Header
	method   string
	status   int   // 0: no head yet
	left     int64 // of Content-Length; negative: none
	bodyless bool
	err      error // of the stream; it stays
}

var (
	_ http.Flusher  = (*ResponseWriter)(nil)
	_ io.ReaderFrom = (*ResponseWriter)(nil)
)

// Reset makes w ready for the response to one request.
func (w *ResponseWriter) Reset(stream Stream, method string) {
	header := w.header
	if header == nil {
		header = http.Header{}
	} else {
		clear(header)
	}
	*w = ResponseWriter{stream: stream, header: header, method: method, left: -1}
}

// Header is the head of the response until WriteHeader sends it.
func (w *ResponseWriter) Header() http.Header { return w.header }

// WriteHeader sends the head. An informational status (1xx) cannot be said
// over a gateway protocol and is passed over.
func (w *ResponseWriter) WriteHeader(status int) {
	if w.status != 0 || status >= 100 && status < 200 {
		return
	}
	if status < 100 || status > 999 {
		panic("gateway: WriteHeader with the status " + strconv.Itoa(status))
	}
	w.status = status
	w.bodyless = status == http.StatusNoContent || status == http.StatusNotModified || w.method == http.MethodHead
	if lengths := w.header["Content-Length"]; len(lengths) > 0 {
		n, err := ParseLength(lengths[0])
		if err != nil || status == http.StatusNoContent {
			delete(w.header, "Content-Length")
		} else {
			w.left = n
			w.header["Content-Length"] = lengths[:1] // a second one could say something else
		}
	}
	if err := w.stream.WriteHead(status, w.header); err != nil {
		w.err = err
	}
}

// Write sends a part of the body. http.ErrBodyNotAllowed and
// http.ErrContentLength are as in net/http.
func (w *ResponseWriter) Write(b []byte) (int, error) {
	if err := w.ready(int64(len(b))); err != nil || len(b) == 0 {
		return 0, err
	}
	if w.bodyless { // of a HEAD, whose handler may write what a GET would get
		return len(b), nil
	}
	surplus := w.left >= 0 && int64(len(b)) > w.left
	if surplus {
		if b = b[:w.left]; len(b) == 0 { // no encoder need know an empty part, which ends a FastCGI stream
			return 0, http.ErrContentLength
		}
	}
	n, err := w.stream.Write(b)
	if w.left >= 0 {
		w.left -= int64(n)
	}
	switch {
	case err != nil:
		w.err = err
	case surplus:
		err = http.ErrContentLength
	}
	return n, err
}

// WriteString is Write.
func (w *ResponseWriter) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

// ready sends the head if that is not done, and says why n bytes of body must
// not follow.
func (w *ResponseWriter) ready(n int64) error {
	w.WriteHeader(http.StatusOK)
	switch {
	case w.err != nil:
		return w.err
	case w.bodyless && n > 0 && w.method != http.MethodHead:
		return http.ErrBodyNotAllowed
	}
	return nil
}

// ReadFrom sends r's bytes, by the stream's own way if it has one.
func (w *ResponseWriter) ReadFrom(r io.Reader) (int64, error) {
	from, ok := w.stream.(io.ReaderFrom)
	w.WriteHeader(http.StatusOK)
	if !ok || w.bodyless || w.err != nil {
		return io.Copy(writerOnly{w}, r)
	}
	src := r
	if w.left >= 0 {
		src = limit(r, w.left)
	}
	n, err := from.ReadFrom(src)
	if w.left >= 0 {
		w.left -= n
	}
	if err != nil {
		w.err = err
		return n, err
	}
	if w.left == 0 { // the source may have more than it should
		more, err := io.Copy(writerOnly{w}, r)
		return n + more, err
	}
	return n, nil
}

// limit is io.LimitReader, but for a limit that is there already and stricter:
// two of them around a file would hide it from sendfile.
func limit(r io.Reader, n int64) io.Reader {
	if l, ok := r.(*io.LimitedReader); ok && l.N <= n {
		return l
	}
	return io.LimitReader(r, n)
}

// writerOnly hides ReadFrom from io.Copy.
type writerOnly struct{ io.Writer }

// FlushError sends what is held.
func (w *ResponseWriter) FlushError() error {
	w.WriteHeader(http.StatusOK)
	if w.err == nil {
		w.err = w.stream.Flush()
	}
	return w.err
}

// Flush is FlushError for http.Flusher.
func (w *ResponseWriter) Flush() { _ = w.FlushError() }

// SetReadDeadline is for http.ResponseController.
func (w *ResponseWriter) SetReadDeadline(t time.Time) error {
	if d, ok := w.stream.(interface{ SetReadDeadline(time.Time) error }); ok {
		return d.SetReadDeadline(t)
	}
	return http.ErrNotSupported
}

// SetWriteDeadline is for http.ResponseController.
func (w *ResponseWriter) SetWriteDeadline(t time.Time) error {
	if d, ok := w.stream.(interface{ SetWriteDeadline(time.Time) error }); ok {
		return d.SetWriteDeadline(t)
	}
	return http.ErrNotSupported
}

// EnableFullDuplex is for http.ResponseController: every gateway protocol lets
// an app answer before it has read its input.
func (w *ResponseWriter) EnableFullDuplex() error { return nil }

// Overload refuses the request in the protocol's own words, if it has some
// that its front server understands, and reports whether it did; the handler
// returns then. Otherwise a handler answers 503.
func (w *ResponseWriter) Overload() bool {
	o, ok := w.stream.(interface{ Overload() bool })
	if w.status != 0 || !ok || !o.Overload() {
		return false
	}
	w.status = http.StatusServiceUnavailable
	w.bodyless = true
	return true
}

// Overload asks the ResponseWriter that w is, or wraps, to refuse a request
// in the protocol's own words.
func Overload(w http.ResponseWriter) bool {
	for {
		switch t := w.(type) {
		case interface{ Overload() bool }:
			return t.Overload()
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return false
		}
	}
}

// Run has h answer r. A panic other than http.ErrAbortHandler is logged, and
// answered with 500 if nothing has been sent. complete is false for a response
// that was cut short: the protocol must not end it as if it were whole.
func (w *ResponseWriter) Run(h http.Handler, r *http.Request, log *slog.Logger) (complete bool) {
	defer func() {
		switch p := recover(); {
		case p == nil:
			return
		case p == http.ErrAbortHandler:
		default:
			log.Error("the handler panicked", "method", r.Method, "uri", r.RequestURI, "peer", r.RemoteAddr, "panic", p, "stack", string(debug.Stack()))
			if w.status == 0 {
				clear(w.header)
				w.header.Set("Content-Type", "text/plain; charset=utf-8")
				w.WriteHeader(http.StatusInternalServerError)
				_, _ = io.WriteString(w, "Internal Server Error\n")
				complete = w.err == nil
			}
		}
	}()
	h.ServeHTTP(w, r)
	w.WriteHeader(http.StatusOK)
	switch {
	case w.err != nil:
		return false
	case w.left > 0 && !w.bodyless:
		log.Error("the response is shorter than its Content-Length", "method", r.Method, "uri", r.RequestURI, "missing", w.left)
		return false
	}
	return true
}

// Status is the status that was sent; 0: none yet.
func (w *ResponseWriter) Status() int { return w.status }

// ErrAborted is what a Stream returns for a request that the front server has
// given up.
var ErrAborted = errors.New("gateway: the front server has given the request up")

// Form is how a head begins.
type Form uint8

const (
	FormCGI  Form = iota // "Status: 200 OK", RFC 3875
	FormHTTP             // "HTTP/1.1 200 OK", what uWSGI sends and Apache's mod_proxy_uwsgi insists on
)

// AppendHead appends the head of a response, its empty line included. Headers
// that belong to the connection are left out; so is one whose name is no token.
// A line break in a value becomes a space.
func AppendHead(b []byte, form Form, status int, header http.Header) []byte {
	if form == FormHTTP {
		b = append(b, "HTTP/1.1 "...)
	} else {
		b = append(b, "Status: "...)
	}
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, http.StatusText(status)...)
	b = append(b, "\r\n"...)
	for name, values := range header {
		if Hop(name) || !isToken(name) {
			continue
		}
		for _, value := range values {
			b = append(b, name...)
			b = append(b, ": "...)
			b = appendValue(b, value)
			b = append(b, "\r\n"...)
		}
	}
	return append(b, "\r\n"...)
}

func appendValue(b []byte, value string) []byte {
	if !breaksLine(value) {
		return append(b, value...)
	}
	for i := range len(value) {
		c := value[i]
		if c == '\r' || c == '\n' || c == 0 {
			c = ' '
		}
		b = append(b, c)
	}
	return b
}

// Hop reports whether a header (by its canonical name) belongs to one
// connection alone, and is not passed on (RFC 9110, section 7.6.1).
func Hop(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

func isToken(s string) bool {
	for i := range len(s) {
		if !token[s[i]] {
			return false
		}
	}
	return s != ""
}
