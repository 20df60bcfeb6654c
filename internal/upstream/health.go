package upstream

// Active health: each server is asked on a connection of its own, whatever
// requests there are. How is its protocol's matter: see Checker.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"millrace/gateway"
)

// Health says how servers are asked how they are. The zero value asks nothing.
type Health struct {
	Interval time.Duration // from the end of one check to the next, ±10%; 0: none are made
	Timeout  time.Duration // for the whole of a check
	Passes   int           // in a row, after which a server that failed is used again
	Fails    int           // in a row, after which a server is not used

	// Connect alone makes a check: nothing is asked. So it is for servers of
	// protocols that have no question (SCGI, uwsgi).
	Connect bool

	// Of HTTP.
	Path   string                // and query
	Host   string                // "": the server's address
	Status func(status int) bool // which answers are good; nil: 200 to 399
}

// Checker is a RoundTripper that can ask its back end whether it serves.
type Checker interface {
	// Check asks on a connection of its own and returns why the back end
	// cannot be used; nil if it can.
	Check(ctx context.Context) error
}

// health is what the checks have told of a server.
type health struct {
	sick    bool
	row     int       // checks in a row that had the same result
	passed  bool      // that result
	checked time.Time // when the last ended
	last    string    // why the last failure was
	began   time.Time // of the first of those that failed in a row
	unclear time.Time // since when checks have told nothing; zero: the last has
}

// watch checks s until ctx is done.
func (g *Group) watch(ctx context.Context, s *server) {
	timer := time.NewTimer(rand.N(g.cfg.Health.Interval/10 + 1))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		began := time.Now()
		err := g.check(ctx, s)
		if ctx.Err() != nil {
			return
		}
		g.checked(s, began, err)
		timer.Reset(jitter(g.cfg.Health.Interval))
	}
}

// jitter is d ±10%, so that several front servers do not ask in step.
func jitter(d time.Duration) time.Duration { return d - d/10 + rand.N(d/5+1) }

// check makes one check.
func (g *Group) check(ctx context.Context, s *server) error {
	h := &g.cfg.Health
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	if b, ok := s.backend.(*gatewayBackend); ok && !h.Connect {
		if c, ok := b.tripper.(Checker); ok {
			return c.Check(ctx)
		}
	} else if !ok && !h.Connect {
		return g.checkHTTP(ctx, s)
	}
	c, err := gateway.Dial(ctx, s.address, h.Timeout)
	if err != nil {
		return err
	}
	return c.Close()
}

// checkBody is how much of a body a check reads, so that its connection can be
// kept.
const checkBody = 64 << 10

func (g *Group) checkHTTP(ctx context.Context, s *server) error {
	h := &g.cfg.Health
	u, err := url.ParseRequestURI(h.Path)
	if err != nil {
		return err
	}
	r := &http.Request{Method: http.MethodGet, URL: u, RequestURI: h.Path, Host: h.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"User-Agent": {"millrace-health"}}, Body: http.NoBody}
	if r.Host == "" {
		r.Host = s.entry.host()
	}
	x := &exchange{r: r.WithContext(ctx), target: gateway.Target{PathInfo: u.Path, ContentLength: -1}}
	resp, err := s.backend.roundTrip(ctx, x)
	if err != nil {
		return err
	}
	_, err = io.CopyN(io.Discard, resp.Body, checkBody)
	if closing := resp.Body.Close(); err == nil || errors.Is(err, io.EOF) {
		err = closing
	}
	good := resp.Status >= 200 && resp.Status < 400
	if h.Status != nil {
		good = h.Status(resp.Status)
	}
	if !good {
		return fmt.Errorf("status %d", resp.Status)
	}
	return err
}

// clearLocked is what a check that began at began tells of s: err; or nothing
// at all, where it was late. A server whose processes are all busy answers
// checks as late as requests. If it has answered one since checks began to
// fail, it is well; while it has as many of ours as it may have, it gets
// nothing more anyway, and they will show how it is.
func (g *Group) clearLocked(s *server, began time.Time, err error) (result error, clear bool) {
	h := &s.health
	if h.row == 0 || h.passed {
		h.began = began
	}
	if err == nil || !late(err) {
		h.unclear = time.Time{}
		return err, true
	}
	if h.unclear.IsZero() {
		h.unclear = began
	}
	switch {
	case s.answered.After(h.began), s.answered.After(h.unclear):
		h.unclear = time.Time{}
		return nil, true
	case s.full() && !h.sick && time.Since(h.unclear) < cmp.Or(g.cfg.Timeout, gateway.DefaultTimeout):
		return nil, false
	}
	return err, true
}

// checked notes the result of a check that began at began.
func (g *Group) checked(s *server, began time.Time, err error) {
	now := time.Now()
	h := &s.health
	g.mu.Lock()
	h.checked = now
	var clear bool
	if err, clear = g.clearLocked(s, began, err); !clear {
		g.mu.Unlock()
		return
	}
	if passed := err == nil; passed == h.passed && h.row > 0 {
		h.row++
	} else {
		h.passed, h.row = passed, 1
	}
	var well, sick bool
	switch {
	case err != nil:
		h.last = err.Error()
		if sick = !h.sick && h.row >= g.cfg.Health.Fails; sick {
			h.sick = true
		}
	case h.sick && h.row >= g.cfg.Health.Passes:
		well, h.sick = true, false
		s.passive.until = time.Time{}
		g.slowLocked(s, now)
	}
	if well || sick {
		g.stale = true
		g.serveLocked()
	}
	g.mu.Unlock()
	switch {
	case well:
		g.log.Info("a back end passes its checks, and is used again", "server", s.address)
	case sick:
		g.log.Warn("a back end fails its checks, and is not used", "server", s.address, "error", err)
	}
}

// late reports whether a check failed for its time alone.
func late(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, gateway.ErrTimeout) || timedOut(err)
}

func timedOut(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
