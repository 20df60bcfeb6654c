package upstream

// Servers that speak HTTP/2, by package net/http: over TLS ("h2"), or without
// it by prior knowledge ("h2c", RFC 9113, section 3.3).

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"sync"
	"time"

	"millrace/gateway"
	"millrace/internal/h1client"
)

// http2Idle closes a connection that had no request for so long. One that has
// requests and is silent is asked by a PING after http2Ping.
const (
	http2Idle = 5 * time.Minute
	http2Ping = 30 * time.Second
)

// http2Backend is one HTTP/2 server. Requests share its connections. What a
// server has not looked at, by its own word (GOAWAY, REFUSED_STREAM), package
// net/http sends again, if the body can be had again.
type http2Backend struct {
	address   string
	secure    bool
	timeout   time.Duration
	transport *http.Transport

	mu   sync.Mutex
	open map[*openConn]struct{} // connections; package net/http closes idle ones alone
}

// openConn is a connection that its backend knows of.
type openConn struct {
	net.Conn
	b *http2Backend
}

func (c *openConn) Close() error {
	c.b.mu.Lock()
	delete(c.b.open, c)
	c.b.mu.Unlock()
	return c.Conn.Close()
}

var (
	_ backend   = (*http2Backend)(nil)
	_ io.Closer = (*http2Backend)(nil)
)

// newHTTP2Backend makes one of a server; secure nil: without TLS.
func newHTTP2Backend(address string, secure *tls.Config, connectTimeout, timeout time.Duration) *http2Backend {
	b := &http2Backend{address: address, secure: secure != nil, timeout: timeout, open: map[*openConn]struct{}{}}
	dial := func(ctx context.Context) (net.Conn, error) {
		nc, err := gateway.Dial(ctx, address, connectTimeout)
		if err != nil {
			return nil, err
		}
		c := &openConn{nc, b}
		b.mu.Lock()
		b.open[c] = struct{}{}
		b.mu.Unlock()
		return c, nil
	}
	t := &http.Transport{
		DisableCompression:     true, // what the client takes is between it and the server
		IdleConnTimeout:        http2Idle,
		MaxResponseHeaderBytes: gateway.DefaultMaxHead,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: http2Ping, PingTimeout: connectTimeout},
		Protocols:              new(http.Protocols),
		DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
	}
	if secure != nil {
		secure = forServer(secure, address, "h2")
		t.Protocols.SetHTTP2(true)
		t.TLSClientConfig = secure
		t.DialTLSContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialTLS(ctx, dial, secure, connectTimeout)
		}
	} else {
		t.Protocols.SetUnencryptedHTTP2(true)
	}
	b.transport = t
	return b
}

// Close closes all connections.
func (b *http2Backend) Close() error {
	b.transport.CloseIdleConnections()
	b.mu.Lock()
	open := slices.Collect(maps.Keys(b.open))
	b.mu.Unlock()
	for _, c := range open {
		_ = c.Close() // whoever uses it is told
	}
	return nil
}

func (b *http2Backend) roundTrip(ctx context.Context, x *exchange) (*gateway.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	watch := &watchdog{timeout: b.timeout}
	watch.timer = time.AfterFunc(b.timeout, func() {
		cancel(fmt.Errorf("nothing from the back end for %v: %w", b.timeout, gateway.ErrTimeout))
	})
	out, err := b.request(ctx, x, watch)
	if err == nil {
		var res *http.Response
		if res, err = b.transport.RoundTrip(out); err == nil {
			watch.answer()
			var resp *gateway.Response
			if resp, err = response(res); err == nil {
				resp.Body = &httpBody{ReadCloser: res.Body, watch: watch, ctx: ctx, cancel: cancel, from: res, to: resp}
				return resp, nil
			}
			_ = res.Body.Close() // nothing of it is wanted
		}
	}
	watch.stop()
	err = why(ctx, err)
	cancel(nil)
	return nil, fmt.Errorf("http2: %w", err)
}

// why is the reason that an exchange was ended for, if it was, else err.
func why(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// request is x as it is sent.
func (b *http2Backend) request(ctx context.Context, x *exchange, watch *watchdog) (*http.Request, error) {
	if x.early != nil {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: func(status int, header textproto.MIMEHeader) error {
			if status != http.StatusContinue && status != http.StatusSwitchingProtocols {
				x.early(status, http.Header(header))
			}
			return nil
		}})
	}
	out := &http.Request{
		Method: x.r.Method,
		URL:    requestURL(x, b.address, b.secure),
		Proto:  "HTTP/2.0", ProtoMajor: 2,
		Header: http.Header{"User-Agent": {""}}, // else net/http sends its own
		Host:   hostOf(x, b.address),
		Body:   http.NoBody,
	}
	requestFields(x.r, x.mount, func(name, value string) {
		if name == "User-Agent" {
			out.Header[name] = []string{value}
			return
		}
		out.Header[name] = append(out.Header[name], value)
	})
	if takesTrailers(x.r.Header["Te"]) {
		out.Header["Te"] = []string{"trailers"} // RFC 9113, 8.2.2; gRPC asks for it
	}
	if size := x.size(); size != 0 {
		get := func() (io.ReadCloser, error) {
			body, err := x.reader()
			if err != nil {
				return nil, fmt.Errorf("%w: %w", gateway.ErrBody, err)
			}
			return io.NopCloser(&watched{body, watch, !x.replayable()}), nil
		}
		var err error
		if out.Body, err = get(); err != nil {
			return nil, err
		}
		out.ContentLength = size
		if x.replayable() {
			out.GetBody = get
		}
	}
	return out.WithContext(ctx), nil
}

// takesTrailers reports whether a client says that it understands trailers.
func takesTrailers(te []string) bool { return isNamed(te, "trailers") }

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

func (w *watchdog) waiting() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.answered {
		w.stop()
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
	watch  *watchdog
	client bool // a read may wait for the client, which is not the server's fault
}

func (r *watched) Read(b []byte) (int, error) {
	if !r.client {
		r.watch.sending()
		return r.Reader.Read(b)
	}
	r.watch.waiting()
	n, err := r.Reader.Read(b)
	r.watch.sending()
	return n, err
}

// trailers are those that may be passed on.
func trailers(from http.Header) http.Header {
	var to http.Header
	for name, values := range from {
		for _, value := range values {
			canonical, keep, err := gateway.AppHeader(name, value)
			if err != nil || !keep || !h1client.MayTrail(canonical) {
				continue
			}
			if to == nil {
				to = make(http.Header, len(from))
			}
			to[canonical] = append(to[canonical], value)
		}
	}
	return to
}

// httpBody is a response's.
type httpBody struct {
	io.ReadCloser
	watch  *watchdog
	ctx    context.Context
	cancel context.CancelCauseFunc

	from *http.Response // whose trailers go
	to   *gateway.Response
}

func (b *httpBody) Read(p []byte) (int, error) {
	b.watch.again()
	n, err := b.ReadCloser.Read(p)
	b.watch.stop()
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		b.to.Trailer = trailers(b.from.Trailer)
	default:
		err = why(b.ctx, err)
	}
	return n, err
}

func (b *httpBody) Close() error {
	b.watch.stop()
	b.cancel(nil)
	return b.ReadCloser.Close()
}
