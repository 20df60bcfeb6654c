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
	"strconv"
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
		w.WriteHeader(status)
		_, _ = io.WriteString(w, http.StatusText(status)+"\n")
	}
	for range maxRedirects {
		req, status, err := h.request(r)
		if err != nil {
			fail(status, err)
			return
		}
		stderr := &stderrLog{log: log, uri: r.RequestURI}
		req.Stderr = stderr
		resp, err := h.RoundTripper.RoundTrip(r.Context(), req)
		if err != nil {
			stderr.flush()
			fail(StatusOf(err), err)
			return
		}
		if resp.LocalRedirect == "" {
			err = CopyResponse(w, resp)
			stderr.flush()
			if err != nil {
				log.Error("a response is cut short", "method", r.Method, "uri", r.RequestURI, "error", err)
				panic(http.ErrAbortHandler) // so that the client sees a cut, not an end
			}
			return
		}
		resp.Body.Close()
		if r, err = redirected(r, resp.LocalRedirect); err != nil {
			fail(http.StatusBadGateway, err)
			return
		}
	}
	fail(http.StatusBadGateway, fmt.Errorf("more than %d local redirects, one after the other", maxRedirects))
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
	if req != nil && req.Body != nil {
		req.Body = body
	}
	return req, http.StatusBadRequest, err
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
	sent := int64(0)
	for {
		n, err := resp.Body.Read(b)
		if n > 0 {
			m, werr := w.Write(b[:n])
			sent += int64(m)
			switch {
			case errors.Is(werr, http.ErrBodyNotAllowed), errors.Is(werr, http.ErrContentLength):
				return nil // more than the head announced: it ends there
			case werr != nil:
				return werr
			}
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

// redirected is the request that a local redirect stands for: a GET without a
// body (RFC 3875, section 6.2.2).
func redirected(r *http.Request, location string) (*http.Request, error) {
	u, err := url.ParseRequestURI(location)
	if err != nil {
		return nil, fmt.Errorf("a local redirect to %.64q: %w", location, err)
	}
	next := r.Clone(r.Context())
	next.Method, next.URL, next.RequestURI = http.MethodGet, u, location
	next.Body, next.ContentLength = http.NoBody, 0
	next.Header.Del("Content-Length")
	next.Header.Del("Content-Type")
	return next, nil
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
		i := bytes.IndexByte(b, '\n')
		part := b
		if i >= 0 {
			part = b[:i]
		}
		s.line = append(s.line, part[:min(len(part), maxLine-len(s.line))]...)
		if i < 0 {
			if len(s.line) == maxLine {
				s.flush()
			}
			return n, nil
		}
		b = b[i+1:]
		s.flush()
	}
	return n, nil
}

func (s *stderrLog) flush() {
	if line := bytes.TrimRight(s.line, "\r"); len(line) > 0 {
		s.log.Error("the back end says: "+strconv.QuoteToASCII(string(line)), "uri", s.uri)
	}
	s.line = s.line[:0]
}

// Transport makes an http.RoundTripper of a RoundTripper, so that an
// http.Client can talk to any back end. The URL's path is PATH_INFO.
type Transport struct{ RoundTripper RoundTripper }

var _ http.RoundTripper = Transport{}

// RoundTrip sends one request.
func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	out := r.Clone(r.Context())
	out.RequestURI = r.URL.RequestURI()
	if out.Host == "" {
		out.Host = r.URL.Host
	}
	if out.Proto == "" {
		out.Proto = "HTTP/1.1"
	}
	target := Target{PathInfo: r.URL.Path, ContentLength: -1}
	body := r.Body
	switch {
	case r.Body == nil || r.Body == http.NoBody:
	case r.ContentLength > 0:
		target.ContentLength = r.ContentLength
	default:
		var err error
		if body, target.ContentLength, err = collect(r.Body, -1); err != nil {
			return nil, err
		}
	}
	req, err := FromHTTP(out, target)
	if err != nil {
		return nil, err
	}
	if req.Body != nil {
		req.Body = body
	}
	if get := r.GetBody; get != nil {
		req.GetBody = func() (io.Reader, error) { return get() }
	}
	resp, err := t.RoundTripper.RoundTrip(r.Context(), req)
	if err != nil {
		return nil, err
	}
	header := resp.Header
	if resp.LocalRedirect != "" {
		header = header.Clone()
		header.Set("Location", resp.LocalRedirect)
		resp.Status = http.StatusFound
	}
	return &http.Response{
		Status:        strconv.Itoa(resp.Status) + " " + http.StatusText(resp.Status),
		StatusCode:    resp.Status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        header,
		Body:          resp.Body,
		ContentLength: resp.ContentLength,
		Request:       r,
	}, nil
}
