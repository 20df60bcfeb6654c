package upstream

// From a request to a back end's response, and what is answered without one.

import (
	"context"
	"errors"
	"io"
	"net/http"

	"millrace/gateway"
)

type handler struct {
	group    *Group
	mount    string
	redirect Redirect
}

// exchange is one request on its way to a back end and back.
type exchange struct {
	r      *http.Request
	target gateway.Target
	body   *body // nil: none
	mount  string
	stderr *stderrLog
}

// backend is a server's protocol.
type backend interface {
	// roundTrip is as gateway.RoundTripper has it.
	roundTrip(ctx context.Context, x *exchange) (*gateway.Response, error)
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g := h.group
	x := &exchange{r: r, mount: h.mount}
	var ok bool
	if x.target, ok = gateway.Split(r, h.mount); !ok {
		plainError(w, http.StatusNotFound)
		return
	}
	var err error
	if x.body, err = g.collect(r); err != nil {
		g.bodyError(w, r, err)
		return
	}
	defer x.body.close()
	if x.body != nil {
		x.target.ContentLength = x.body.size
	} else if _, declared := r.Header["Content-Length"]; declared {
		x.target.ContentLength = 0
	}
	x.stderr = &stderrLog{log: g.log.With("uri", r.RequestURI)}
	defer x.stderr.flush()

	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	s, resp, err := g.send(ctx, x)
	if err != nil {
		g.fail(w, r, s, err)
		return
	}
	if resp.LocalRedirect == "" {
		g.respond(w, r, s, resp, cancel)
		return
	}
	err = resp.Body.Close()
	g.done(s, nil)
	if err == nil {
		x.body.close() // what comes now has none
		err = h.redirect(w, r, resp.LocalRedirect)
	}
	if err != nil {
		g.fail(w, r, s, err)
	}
}

// fail answers a request that no back end has answered, and says why in the
// log.
func (g *Group) fail(w http.ResponseWriter, r *http.Request, s *server, err error) {
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the client has left
	}
	if errors.Is(err, gateway.ErrDuplicateContentType) {
		plainError(w, http.StatusBadRequest)
		return
	}
	status := gateway.StatusOf(err)
	log := g.log
	if s != nil {
		log = log.With("server", s.address)
	}
	log.Error("cannot answer a request", "method", r.Method, "uri", r.RequestURI, "status", status, "error", err)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	plainError(w, status)
}

// plainError answers with a status and a line of text.
func plainError(w http.ResponseWriter, status int) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, http.StatusText(status)+"\n") // an error here is a client that left
}

// gatewayBackend is a server of one of the gateway protocols.
type gatewayBackend struct {
	tripper gateway.RoundTripper
	params  []gateway.Param
}

var (
	_ backend   = (*gatewayBackend)(nil)
	_ io.Closer = (*gatewayBackend)(nil)
)

func (b *gatewayBackend) roundTrip(ctx context.Context, x *exchange) (*gateway.Response, error) {
	req, err := gateway.FromHTTP(x.r, x.target)
	if err != nil {
		return nil, err
	}
	for _, p := range b.params {
		req.Params = gateway.Set(req.Params, p.Name, p.Value)
	}
	req.Body = nil
	if x.body != nil && x.body.size > 0 {
		req.Body = x.body.reader()
		req.GetBody = func() (io.Reader, error) { return x.body.reader(), nil }
	}
	req.Stderr = x.stderr
	return b.tripper.RoundTrip(ctx, req)
}

func (b *gatewayBackend) Close() error {
	if c, ok := b.tripper.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
