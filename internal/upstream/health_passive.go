package upstream

// Passive health: what requests tell of the servers that they were sent to.

import (
	"context"
	"errors"
	"io"
	"time"

	"millrace/gateway"
)

// passive is what requests have told of a server.
type passive struct {
	until   time.Time // passed over until then, and until a request was answered; zero: it is not
	refused bool      // the last failure was to connect: nothing was sent

	recent []time.Time // of the last MaxFails failures
	at     int         // of recent, where the next goes
}

// due reports whether a request may find out if the server is back. One that
// cannot be repeated should not; but where there are only such, one must.
func (p *passive) due(now time.Time, repeatable bool) bool {
	if now.Before(p.until) {
		return false
	}
	return repeatable || p.refused || now.Sub(p.until) >= patience
}

// patience is how long a server that is to be tried again waits for a request
// that can be repeated.
const patience = 5 * time.Second

// blames reports whether an error is the server's: not the client's that left,
// nor the request's that cannot be sent to anyone; and not a response that
// breaks off, which is more often about what was asked for.
func blames(err error) bool {
	var cut *cutError
	var stream streamError
	if errors.As(err, &cut) || errors.As(err, &stream) && stream.Code == streamCancel {
		return false
	}
	for _, other := range [...]error{
		context.Canceled, gateway.ErrOverloaded, gateway.ErrBody, gateway.ErrTooLarge, gateway.ErrUnsupported, gateway.ErrForbidden, gateway.ErrDuplicateContentType,
		io.ErrClosedPipe, // nobody reads the response any more
	} {
		if errors.Is(err, other) {
			return false
		}
	}
	return true
}

// streamError is an error of net/http's HTTP/2 for one request, which errors.As
// fills in. A server that cancels a request says that nobody waits for it any
// more, as those of gRPC do when its deadline is over.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (e streamError) Error() string { return "stream error" }

const streamCancel = 0x8 // CANCEL (RFC 9113, section 7)

// failedLocked notes a failure, and reports whether the server is passed over
// from now on. The only one of a group never is: who would be asked instead?
func (g *Group) failedLocked(s *server, err error, now time.Time) bool {
	p := &s.passive
	s.health.last = err.Error()
	p.refused = errors.Is(err, gateway.ErrUnreachable)
	if g.cfg.MaxFails <= 0 || len(g.servers) == 1 {
		return false
	}
	if !p.until.IsZero() { // it was tried again, or for want of any other
		p.until = now.Add(g.cfg.FailTimeout)
		return false
	}
	if p.recent == nil {
		p.recent = make([]time.Time, g.cfg.MaxFails)
	}
	p.recent[p.at] = now
	p.at = (p.at + 1) % len(p.recent)
	if oldest := p.recent[p.at]; oldest.IsZero() || now.Sub(oldest) > g.cfg.FailTimeout {
		return false
	}
	p.until, g.stale = now.Add(g.cfg.FailTimeout), true
	clear(p.recent)
	return true
}

// reached says that a server has begun to answer.
func (g *Group) reached(s *server) {
	g.mu.Lock()
	again := !s.passive.until.IsZero()
	if again {
		s.passive.until, g.stale = time.Time{}, true
		g.slowLocked(s, time.Now())
		g.serveLocked()
	}
	g.mu.Unlock()
	if again {
		g.log.Info("a back end answers again", "server", s.address)
	}
}
