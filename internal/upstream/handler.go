package upstream

// From a request to a back end's response, and what is answered without one.

import (
	"context"
	"errors"
	"io"
	"net/http"

	"millrace/gateway"
	"millrace/internal/requestid"
)

type handler struct {
	group    *Group
	mount    string
	redirect Redirect
	reverse  *reverse
}

// exchange is one request on its way to a back end and back.
type exchange struct {
	r      *http.Request
	target gateway.Target
	body   *body // nil: none, or stream is not nil
	stream *streamed
	mount  string
	stderr *stderrLog
	own    stderrLog // whose memory that is
	hints  hints     // of early

	// upgrade is the Upgrade header of a client that asks for another protocol,
	// "" for one that does not. An HTTP back end is asked the same; if it agrees
	// the response has status 101, its header Upgrade, and a Body that is an
	// io.ReadWriteCloser: both directions of the connection, which is closed by
	// Close alone.
	upgrade string

	// early passes on an interim response of an HTTP back end, 103 Early Hints
	// and the like, before roundTrip returns. nil: they are dropped. (100 and
	// 101 are never passed on so.)
	early func(status int, header http.Header)

	want  want  // of the servers; see pick.go
	tries tries // see retry.go

	request *gateway.Request // of HTTPClient: the body's, in place of body; else nil
}

// size is the length of the request's body; negative: not known.
func (x *exchange) size() int64 {
	switch {
	case x.request != nil:
		return x.request.ContentLength
	case x.stream != nil:
		return x.stream.size
	case x.body != nil:
		return x.body.size
	}
	return 0
}

// reader reads the request's body from its start.
func (x *exchange) reader() (io.Reader, error) {
	if x.request != nil {
		return x.request.GetBody()
	}
	if x.stream != nil {
		return x.stream, nil
	}
	return x.body.reader(), nil
}

// replayable reports whether reader can be called again, and the request so be
// sent a second time.
func (x *exchange) replayable() bool { return x.stream == nil }

// backend is a server's protocol.
type backend interface {
	// roundTrip is as gateway.RoundTripper has it.
	roundTrip(ctx context.Context, x *exchange) (*gateway.Response, error)
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g := h.group
	x := &exchange{r: r, mount: h.mount}
	if g.cfg.Upgrade {
		x.upgrade = upgradeOf(r)
	}
	var ok bool
	if x.target, ok = gateway.Split(r, h.mount); !ok {
		plainError(w, r, http.StatusNotFound)
		return
	}
	var err error
	if x.stream, err = g.stream(w, r); err == nil && x.stream == nil {
		x.body, err = g.collect(r)
	}
	if err != nil {
		g.bodyError(w, r, err)
		return
	}
	defer x.body.close()
	defer x.stream.close()
	if size := x.size(); size != 0 {
		x.target.ContentLength = size
	} else if _, declared := r.Header["Content-Length"]; declared {
		x.target.ContentLength = 0
	}
	x.own.log, x.own.r = g.log, r
	x.stderr = &x.own
	defer x.stderr.flush()

	for h.exchange(w, x) { // what has broken off is sent again
	}
}

// exchange sends a request and passes the response on; again says that it is to
// be sent once more.
func (h *handler) exchange(w http.ResponseWriter, x *exchange) (again bool) {
	g, r := h.group, x.r
	if g.speaksHTTP() {
		x.hints.begin(w)
		x.early = x.hints.pass
	}
	s, resp, err := g.send(r.Context(), x)
	x.hints.end()
	if err != nil {
		if failed := x.stream.failed(r.Context().Err() != nil); failed != nil {
			g.bodyError(w, r, failed)
			return false
		}
		g.fail(w, r, s, err)
		return false
	}
	if resp.Status == http.StatusSwitchingProtocols {
		g.switchProtocols(w, r, s, x, resp)
		return false
	}
	if resp.LocalRedirect == "" {
		h.reverse.apply(resp.Header, r.Host, toldOf(r))
		return g.respond(w, x, s, resp)
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
	return false
}

// fail answers a request that no back end has answered, and says why in the
// log.
func (g *Group) fail(w http.ResponseWriter, r *http.Request, s *server, err error) {
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the client has left
	}
	if errors.Is(err, gateway.ErrDuplicateContentType) {
		plainError(w, r, http.StatusBadRequest)
		return
	}
	status := gateway.StatusOf(err)
	log := g.log
	if s != nil {
		log = log.With("server", s.address)
	}
	log.Error("cannot answer a request", "request", requestid.Of(r), "method", r.Method, "uri", r.RequestURI, "status", status, "error", err)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	plainError(w, r, status)
}

// plainError answers with a status, its text, and the request's id.
func plainError(w http.ResponseWriter, r *http.Request, status int) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	text := http.StatusText(status) + "\n"
	if id := requestid.Of(r); id != "" {
		text += "request id: " + id + "\n"
	}
	gateway.OwnAnswer(w)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // an error here is a client that left
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
	switch {
	case x.stream != nil:
		req.Body = x.stream
	case x.body != nil && x.body.size > 0:
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
