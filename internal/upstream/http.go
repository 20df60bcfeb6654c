package upstream

// Servers that speak HTTP/1.1.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"millrace/gateway"
)

const (
	idleConns   = 64               // kept open to one server
	idleTimeout = 30 * time.Second // without a request
)

// httpBackend is one HTTP server. Requests that package net/http sends again
// when a connection turns out dead go over kept ones, but for HEAD: waitress and
// uWSGI send the body that the app gives all the same, and the next request
// would take it for its response. The others get a fresh connection each, since
// no request may be lost because the server closed one at that very moment.
type httpBackend struct {
	address     string
	timeout     time.Duration
	kept, fresh *http.Transport
}

var (
	_ backend   = (*httpBackend)(nil)
	_ io.Closer = (*httpBackend)(nil)
)

func newHTTPBackend(address string, connectTimeout, timeout time.Duration) *httpBackend {
	transport := func(keep bool) *http.Transport {
		return &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return gateway.Dial(ctx, address, connectTimeout)
			},
			DisableCompression:     true, // what the client takes is between it and the server
			DisableKeepAlives:      !keep,
			MaxIdleConns:           idleConns,
			MaxIdleConnsPerHost:    idleConns,
			IdleConnTimeout:        idleTimeout,
			MaxResponseHeaderBytes: gateway.DefaultMaxHead,
		}
	}
	return &httpBackend{address, timeout, transport(true), transport(false)}
}

func (b *httpBackend) Close() error {
	b.kept.CloseIdleConnections()
	return nil
}

func (b *httpBackend) roundTrip(ctx context.Context, x *exchange) (*gateway.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	watch := &watchdog{timeout: b.timeout}
	watch.timer = time.AfterFunc(b.timeout, func() {
		cancel(fmt.Errorf("nothing from the back end for %v: %w", b.timeout, gateway.ErrTimeout))
	})
	transport := b.fresh
	switch x.r.Method {
	case http.MethodGet, http.MethodOptions, http.MethodTrace:
		transport = b.kept
	}
	res, err := transport.RoundTrip(b.request(ctx, x, watch))
	watch.answer()
	if err == nil {
		var resp *gateway.Response
		if resp, err = response(res); err == nil {
			resp.Body = &httpBody{res.Body, watch, ctx, cancel}
			return resp, nil
		}
		_ = res.Body.Close() // nothing of it is wanted
	}
	err = why(ctx, err)
	cancel(nil)
	return nil, err
}

// why is the reason that an exchange was ended for, if it was, else err.
func why(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// request is x as it is sent.
func (b *httpBackend) request(ctx context.Context, x *exchange, watch *watchdog) *http.Request {
	out := &http.Request{
		Method: x.r.Method,
		URL:    b.url(x),
		Proto:  "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: requestHeader(x.r, x.mount),
		Host:   x.r.Host,
		Body:   http.NoBody,
	}
	if x.body != nil && x.body.size > 0 {
		out.ContentLength = x.body.size
		out.GetBody = func() (io.ReadCloser, error) {
			return io.NopCloser(&watched{x.body.reader(), watch}), nil
		}
		out.Body, _ = out.GetBody()
	}
	return out.WithContext(ctx)
}

// url is the target: the path as the client spelled it, less the mount.
func (b *httpBackend) url(x *exchange) *url.URL {
	u := &url.URL{Scheme: "http", Host: b.address, Path: x.target.PathInfo, RawQuery: x.r.URL.RawQuery, ForceQuery: x.r.URL.ForceQuery}
	if strings.HasPrefix(b.address, "unix:") {
		u.Host = "localhost" // the Host of a request that has none; Dial knows where to go
	}
	if raw, ok := strings.CutPrefix(x.r.URL.RawPath, x.mount); ok {
		u.RawPath = raw // used if it says the same as Path
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u
}

// requestHeader is what a server is told. Names with anything but letters,
// digits and hyphens are left out, as in gateway.AppendHTTP: to a server that
// makes CGI variables of them X_Forwarded_For would be X-Forwarded-For.
func requestHeader(r *http.Request, mount string) http.Header {
	h := make(http.Header, len(r.Header)+4)
	for name, values := range r.Header {
		if !plainName(name) || gateway.Hop(name) || strings.HasPrefix(name, "X-Forwarded-") || strings.HasPrefix(name, "X-Accel-") {
			continue
		}
		switch name {
		case "Content-Length", "Expect", "Forwarded", "Host", "Proxy", "X-Real-Ip", "X-Sendfile-Type":
			continue
		}
		h[name] = values
	}
	dropNamed(h, r.Header["Connection"])
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = []string{""} // else net/http sends its own
	}
	// Ours come last: neither a client nor its Connection header has a say.
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		h["X-Forwarded-For"] = []string{host}
	}
	if r.Host != "" {
		h["X-Forwarded-Host"] = []string{r.Host}
	}
	h["X-Forwarded-Proto"] = []string{"http"}
	if r.TLS != nil {
		h["X-Forwarded-Proto"] = []string{"https"}
	}
	if mount != "" {
		h["X-Forwarded-Prefix"] = []string{mount}
	}
	return h
}

// dropNamed drops the headers that Connection says are for one connection
// alone (RFC 9110, section 7.6.1).
func dropNamed(h http.Header, connection []string) {
	for _, value := range connection {
		for name := range strings.SplitSeq(value, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
}

func plainName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// response is what may be passed on of a server's.
func response(res *http.Response) (*gateway.Response, error) {
	if res.StatusCode < 200 || res.StatusCode > 999 {
		return nil, fmt.Errorf("status %d, which was not asked for: %w", res.StatusCode, gateway.ErrBadResponse)
	}
	head := gateway.Head{Status: res.StatusCode, Header: make(http.Header, len(res.Header)), ContentLength: res.ContentLength}
	for name, values := range res.Header {
		for _, value := range values {
			canonical, keep, err := gateway.AppHeader(name, value)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", gateway.ErrBadResponse, err)
			}
			if keep {
				head.Header[canonical] = append(head.Header[canonical], value)
			}
		}
	}
	dropNamed(head.Header, res.Header["Connection"])
	return &gateway.Response{Head: head}, nil
}

// watchdog ends an exchange whose server is silent. Its time begins anew with
// each part of the request that the server takes, and runs during each read of
// the response: a client that is slow is not the server's fault.
type watchdog struct {
	timeout time.Duration
	timer   *time.Timer

	mu       sync.Mutex
	answered bool // the head is here: what is sent from now on does not count
}

func (w *watchdog) again() { w.timer.Reset(w.timeout) }
func (w *watchdog) stop()  { w.timer.Stop() }

func (w *watchdog) sending() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.answered {
		w.again()
	}
}

func (w *watchdog) answer() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answered = true
	w.stop()
}

// watched is a request's body whose reads show that the server took the part
// before.
type watched struct {
	io.Reader
	watch *watchdog
}

func (r *watched) Read(b []byte) (int, error) {
	r.watch.sending()
	return r.Reader.Read(b)
}

// httpBody is a response's.
type httpBody struct {
	io.ReadCloser
	watch  *watchdog
	ctx    context.Context
	cancel context.CancelCauseFunc
}

func (b *httpBody) Read(p []byte) (int, error) {
	b.watch.again()
	n, err := b.ReadCloser.Read(p)
	b.watch.stop()
	if err != nil && !errors.Is(err, io.EOF) {
		err = why(b.ctx, err)
	}
	return n, err
}

func (b *httpBody) Close() error {
	b.watch.stop()
	b.cancel(nil)
	return b.ReadCloser.Close()
}
