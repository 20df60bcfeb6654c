package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Handler answers HTTP requests by a back end.
type Handler struct {
	RoundTripper RoundTripper // required

	// Mount is the prefix of the path that becomes SCRIPT_NAME; "": none. The
	// rest is PATH_INFO. A path outside of it is a 404.
	Mount string

	// Complete may add to the request and change it before it is sent: a PHP
	// back end needs SCRIPT_FILENAME. An error is a 400. nil: nothing is done.
	Complete func(r *http.Request, req *Request) error

	// MaxBody is how many bytes a request's body may have; more is a 413.
	// 0: 1 GiB; negative: no limit.
	MaxBody int64

	// Redirect answers local redirects, after every check that it makes of a
	// client's request. nil: this Handler, whose back end then answers them.
	Redirect http.Handler

	// Log takes what the back end writes to its error stream, and its
	// failures. nil: slog.Default().
	Log *slog.Logger
}

var _ http.Handler = (*Handler)(nil)

const (
	defaultMaxBody = 1 << 30
	bodyMemory     = 256 << 10 // bytes of a body without a length that stay in memory
	maxRedirects   = 10        // local ones, one after the other
)

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	log := h.Log
	if log == nil {
		log = slog.Default()
	}
	fail := func(status int, err error) {
		log.Error("cannot pass a request on", "method", r.Method, "uri", r.RequestURI, "status", status, "error", err)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		OwnAnswer(w)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, http.StatusText(status)+"\n")
	}
	for {
		location, status, err := h.exchange(w, r, log)
		if err == nil && location == "" {
			return
		}
		next := r
		if err == nil {
			next, err = redirected(r, location)
			status = http.StatusBadGateway
		}
		switch {
		case err != nil:
			fail(status, err)
			return
		case h.Redirect != nil:
			h.Redirect.ServeHTTP(w, next)
			return
		}
		r = next
	}
}

// exchange has the back end answer a request. location: its answer is a local
// redirect, and nothing is written yet; err: neither is it, and status is to
// be.
func (h *Handler) exchange(w http.ResponseWriter, r *http.Request, log *slog.Logger) (location string, status int, err error) {
	req, status, err := h.request(r)
	if err != nil {
		return "", status, err
	}
	if file, ok := req.Body.(*os.File); ok { // collect's
		defer file.Close()
	}
	if req.Body != nil {
		// net/http would read what is left of the body when the response
		// begins, and take it away from the back end. Where there is no such
		// thing to enable, there is none to fear.
		_ = http.NewResponseController(w).EnableFullDuplex()
	}
	stderr := &stderrLog{log: log, uri: r.RequestURI}
	req.Stderr = stderr
	defer stderr.flush()
	resp, err := h.RoundTripper.RoundTrip(r.Context(), req)
	switch {
	case err != nil:
		return "", StatusOf(err), err
	case resp.LocalRedirect != "":
		_ = resp.Body.Close() // nobody wants it
		return resp.LocalRedirect, 0, nil
	}
	if err := CopyResponse(w, resp); err != nil {
		log.Error("a response is cut short", "method", r.Method, "uri", r.RequestURI, "error", err)
		panic(http.ErrAbortHandler) // so that the client sees a cut, not an end
	}
	return "", 0, nil
}

// request makes the back end's request; status is for err.
func (h *Handler) request(r *http.Request) (req *Request, status int, err error) {
	target, ok := Split(r, h.Mount)
	if !ok {
		return nil, http.StatusNotFound, fmt.Errorf("the path is outside of %s", h.Mount)
	}
	limit := h.MaxBody
	if limit == 0 {
		limit = defaultMaxBody
	}
	body := r.Body
	switch {
	case limit > 0 && r.ContentLength > limit:
		return nil, http.StatusRequestEntityTooLarge, fmt.Errorf("a body of %d bytes; at most %d are taken", r.ContentLength, limit)
	case r.ContentLength > 0 || r.Header.Get("Content-Length") != "":
		target.ContentLength = r.ContentLength
	case r.ContentLength < 0:
		if body, target.ContentLength, err = collect(r.Body, limit); err != nil {
			if errors.Is(err, errBodyTooLarge) {
				return nil, http.StatusRequestEntityTooLarge, err
			}
			return nil, http.StatusBadRequest, err
		}
	}
	if req, err = FromHTTP(r, target); err == nil && h.Complete != nil {
		err = h.Complete(r, req)
	}
	if err != nil {
		if file, ok := body.(*os.File); ok {
			file.Close()
		}
		return nil, http.StatusBadRequest, err
	}
	if req.Body != nil {
		req.Body = body
	}
	return req, 0, nil
}

var errBodyTooLarge = errors.New("the body is larger than what is taken")

// collect reads a body whose length is not known: into memory, then into a
// file that has no name.
func collect(body io.Reader, limit int64) (io.ReadCloser, int64, error) {
	if limit >= 0 {
		body = io.LimitReader(body, limit+1)
	}
	var b bytes.Buffer
	n, err := io.CopyN(&b, body, bodyMemory)
	if errors.Is(err, io.EOF) {
		if limit >= 0 && n > limit {
			return nil, 0, errBodyTooLarge
		}
		return io.NopCloser(&b), n, nil
	}
	if err != nil {
		return nil, 0, err
	}
	file, err := os.CreateTemp("", "gateway-body-*")
	if err != nil {
		return nil, 0, err
	}
	_ = os.Remove(file.Name()) // where a name cannot go before the file, the system's cleaning takes it
	n, err = io.Copy(file, io.MultiReader(&b, body))
	if err == nil && limit >= 0 && n > limit {
		err = errBodyTooLarge
	}
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		file.Close()
		return nil, 0, err
	}
	return file, n, nil
}

// CopyResponse passes a response on and closes its body. An error says that
// what w has got is not whole: end it so that the client sees that.
func CopyResponse(w http.ResponseWriter, resp *Response) error {
	defer resp.Body.Close()
	header := w.Header()
	for name, values := range resp.Header {
		header[name] = values
	}
	if _, ok := header["Content-Type"]; !ok {
		header["Content-Type"] = nil // net/http must not guess one
	}
	w.WriteHeader(resp.Status)
	rc := http.NewResponseController(w)
	b := make([]byte, 32<<10)
	left := resp.ContentLength
	for {
		n, err := resp.Body.Read(b)
		surplus := left >= 0 && int64(n) > left
		if surplus { // net/http would write nothing of it, not even what belongs to the body
			n = int(left)
		}
		left -= int64(n)
		if n > 0 {
			switch _, err := w.Write(b[:n]); {
			case errors.Is(err, http.ErrBodyNotAllowed), errors.Is(err, http.ErrContentLength):
				return nil // it ends where the head said
			case err != nil:
				return err
			}
		}
		if surplus {
			return nil
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := rc.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) { // what is here now must not wait for what comes
			return err
		}
	}
}

// redirectsKey holds how many local redirects have led to a request.
type redirectsKey struct{}

// redirected is the request that a local redirect stands for: a GET without a
// body (RFC 3875, section 6.2.2). What a front server said of the first one's
// path does not hold for it.
func redirected(r *http.Request, location string) (*http.Request, error) {
	u, err := url.ParseRequestURI(location)
	if err != nil {
		return nil, fmt.Errorf("a local redirect to %.64q: %w: %w", location, err, ErrBadResponse)
	}
	count, _ := r.Context().Value(redirectsKey{}).(int)
	if count++; count > maxRedirects {
		return nil, fmt.Errorf("more than %d local redirects, one after the other", maxRedirects)
	}
	ctx := WithValue(r.Context(), redirectsKey{}, count)
	if front := FrontOf(ctx); front != nil {
		ctx = WithValue(ctx, frontKey{}, front.redirected(u, location))
	}
	next := r.Clone(ctx)
	next.Method, next.URL, next.RequestURI = http.MethodGet, u, location
	next.Body, next.ContentLength = http.NoBody, 0
	next.Header.Del("Content-Length")
	next.Header.Del("Content-Type")
	return next, nil
}

// redirected is f for a local redirect to location, which u is.
func (f *Front) redirected(u *url.URL, location string) *Front {
	next := *f
	next.Data, next.DataLength = nil, 0
	next.ScriptName, next.PathInfo = "", u.Path
	if rest, ok := strings.CutPrefix(u.Path, f.ScriptName); ok && (rest == "" || rest[0] == '/') {
		next.ScriptName, next.PathInfo = f.ScriptName, rest
	}
	next.Params = slices.Clone(f.Params)
	for _, p := range []Param{{"REQUEST_METHOD", http.MethodGet}, {"REQUEST_URI", location}, {"QUERY_STRING", u.RawQuery}} {
		next.Params = Set(next.Params, p.Name, p.Value)
	}
	next.Params = slices.DeleteFunc(next.Params, func(p Param) bool {
		switch p.Name {
		case "DOCUMENT_URI", "SCRIPT_FILENAME", "PATH_TRANSLATED", "ORIG_PATH_INFO", "FCGI_DATA_LENGTH", "FCGI_DATA_LAST_MOD":
			return true // of the first path
		}
		return false
	})
	return &next
}

// stderrLog logs a back end's error stream, a line a record.
type stderrLog struct {
	log  *slog.Logger
	uri  string
	line []byte
}

const maxLine = 8 << 10

func (s *stderrLog) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		line, rest, ended := bytes.Cut(b, []byte{'\n'})
		if room := maxLine - len(s.line); len(line) > room { // it becomes several records
			line, rest, ended = b[:room], b[room:], true
		}
		s.line = append(s.line, line...)
		if b = rest; ended {
			s.flush()
		}
	}
	return n, nil
}

func (s *stderrLog) flush() {
	if line := bytes.TrimRight(s.line, "\r"); len(line) > 0 {
		s.log.Error("the back end says: "+strconv.QuoteToASCII(string(line)), "uri", s.uri)
	}
	s.line = s.line[:0]
}
