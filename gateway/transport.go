package gateway

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// Transport makes an http.RoundTripper of a RoundTripper, so that an
// http.Client can talk to any back end. The URL's path is PATH_INFO.
type Transport struct{ RoundTripper RoundTripper }

var _ http.RoundTripper = Transport{}

// RoundTrip sends one request.
func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	var mine closers // the body's readers end with the response, or without one
	if r.Body != nil {
		mine = append(mine, r.Body)
	}
	answered := false
	defer func() {
		if !answered {
			mine.Close()
		}
	}()
	out := r.Clone(r.Context())
	out.RequestURI = r.URL.RequestURI()
	if out.Host == "" {
		out.Host = r.URL.Host
	}
	if out.Proto == "" {
		out.Proto = "HTTP/1.1"
	}
	if err := checkOutgoing(out); err != nil {
		return nil, err
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
		mine = append(mine, body)
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
	answered = true
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
		Body:          &transportBody{resp.Body, mine},
		ContentLength: resp.ContentLength,
		Request:       r,
	}, nil
}

// transportBody is a response's body; the request's closes after it.
type transportBody struct {
	io.ReadCloser
	request closers
}

func (b *transportBody) Close() error {
	err := b.ReadCloser.Close()
	b.request.Close()
	return err
}

// closers are closed together.
type closers []io.Closer

func (c closers) Close() {
	for _, closer := range c {
		_ = closer.Close() // they have been read
	}
}

// checkOutgoing refuses what a program put together and no server would have
// taken from a client.
func checkOutgoing(r *http.Request) error {
	if r.Method == "" {
		r.Method = http.MethodGet // as http.Client has it
	}
	if !isToken(r.Method) {
		return fmt.Errorf("gateway: bad method %.64q", r.Method)
	}
	if hasControl(r.RequestURI) || hasControl(r.Host) {
		return fmt.Errorf("gateway: control character in the URL %.64q of %.64q", r.RequestURI, r.Host)
	}
	for name, values := range r.Header {
		for _, value := range values {
			if breaksLine(value) {
				return fmt.Errorf("gateway: control character in the value of header %.64q", name)
			}
		}
	}
	return nil
}
