package upstream

// Sending a request, and sending it again to another server where that is safe.

import (
	"context"
	"errors"
	"net/http"
	"time"

	"millrace/gateway"
	"millrace/internal/requestid"
)

// Causes are what a request is sent again for, to another server.
type Causes uint8

const (
	Connect Causes = 1 << iota // no connection: nothing was sent
	Failure                    // the server hung up, or its response is malformed
	Timeout                    // it was silent for too long
	Status502
	Status503 // or the protocol's own word for it
	Status504
)

// causeOf is what an error is among the causes; 0: the request goes nowhere
// else.
func causeOf(err error) Causes {
	switch {
	case errors.Is(err, gateway.ErrUnreachable):
		return Connect
	case errors.Is(err, gateway.ErrOverloaded):
		return Status503
	case errors.Is(err, gateway.ErrTimeout):
		return Timeout
	case blames(err):
		return Failure
	}
	return 0
}

func causeOfStatus(status int) Causes {
	switch status {
	case http.StatusBadGateway:
		return Status502
	case http.StatusServiceUnavailable:
		return Status503
	case http.StatusGatewayTimeout:
		return Status504
	}
	return 0
}

// tries is a request on its way through servers.
type tries struct {
	began  time.Time
	sent   int  // how often a byte of it may have reached a server
	passed bool // something was passed on to the client
	repeat bool // it may be sent again, though it may have been seen

	from  *server // of the response that broke off before it was passed on; nil: none did
	broke error   // and why
}

// may reports whether the request may go to another server for a cause. Unseen
// says that none has begun to work on it.
func (g *Group) may(t *tries, x *exchange, cause Causes, unseen bool) bool {
	switch {
	case (g.cfg.RetryOn|Connect)&cause == 0, t.passed:
		return false
	case !x.replayable() && (cause != Connect || !x.stream.untouched()):
		return false
	case g.cfg.RetryTimeout > 0 && time.Since(t.began) >= g.cfg.RetryTimeout:
		return false
	case cause == Connect:
		return true
	}
	return (t.repeat || unseen) && t.sent <= g.cfg.Retries
}

// untouched reports whether nothing of the body was read yet.
func (s *streamed) untouched() bool {
	if !s.mu.TryLock() { // it is being read
		return false
	}
	defer s.mu.Unlock()
	return s.got == 0 && s.err == nil
}

// send has a server answer the request. The server is given back by done when
// its response has been read. On an error s is the last that was tried, nil if
// there was none.
func (g *Group) send(ctx context.Context, x *exchange) (s *server, resp *gateway.Response, err error) {
	t, w := &x.tries, &x.want
	g.begin(x)
	next, err := g.lend(ctx, w)
	switch {
	case t.from == nil:
	case next != nil:
		g.retried(t.from, x, next, "error", t.broke)
	case ctx.Err() == nil:
		s, err = t.from, t.broke
	}
	for next != nil {
		s, next = next, nil
		resp, err = s.backend.roundTrip(ctx, x)
		if err == nil {
			g.reached(s)
			t.sent++
			if cause := causeOfStatus(resp.Status); cause != 0 && g.may(t, x, cause, false) {
				w.try(s)
				next = g.lendNow(w)
			}
			if next == nil { // of several bad answers the last is passed on
				g.stick(x, s, resp)
				return s, resp, nil
			}
			_ = resp.Body.Close() // nothing of it is wanted
			g.done(s, nil)
			g.retried(s, x, next, "status", resp.Status)
			continue
		}
		if ctx.Err() != nil {
			g.done(s, context.Cause(ctx)) // which says nothing of the server
			return s, nil, err
		}
		g.done(s, err)
		cause := causeOf(err)
		if cause != Connect {
			t.sent++
		}
		if cause == 0 || !g.may(t, x, cause, errors.Is(err, gateway.ErrOverloaded)) {
			return s, nil, err
		}
		w.try(s)
		var none error
		if next, none = g.lend(ctx, w); next != nil {
			g.retried(s, x, next, "error", err)
		} else if ctx.Err() != nil {
			err = none
		}
	}
	return s, nil, err
}

// again reports whether a request whose response of s broke off, with nothing
// passed on, is to be sent again.
func (g *Group) again(x *exchange, s *server, err error) bool {
	cause := Failure
	if errors.Is(err, gateway.ErrTimeout) {
		cause = Timeout
	}
	if x.r.Context().Err() != nil || !g.may(&x.tries, x, cause, false) {
		return false
	}
	x.want.try(s)
	x.tries.from, x.tries.broke = s, err
	return true
}

// begin says how a request may be sent.
func (g *Group) begin(x *exchange) {
	t, w := &x.tries, &x.want
	if !t.began.IsZero() {
		return
	}
	t.began = time.Now()
	t.repeat = g.cfg.RetryUnsafe || gateway.Idempotent(x.r.Method)
	w.again = t.repeat && g.cfg.Retries > 0 && x.replayable()
	g.setKey(w, x.r)
	g.setBound(w, x.r)
	if early := x.early; early != nil {
		x.early = func(status int, header http.Header) {
			t.passed = true
			early(status, header)
		}
	}
}

// retried counts a retry. It is logged where one looks for it alone: the client
// does not see it, and a server that fails is logged when it is passed over.
func (g *Group) retried(s *server, x *exchange, next *server, why string, what any) {
	g.mu.Lock()
	g.totals.retried++
	g.mu.Unlock()
	g.log.Debug("a request goes to another server", "request", requestid.Of(x.r), "server", s.address, "next", next.address, why, what)
}
