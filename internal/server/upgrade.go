package server

// One server after another, in another process, at the same addresses: the one
// before gives the workers of its apps to the next, which serves with them;
// then it accepts no more, answers what it has, and ends.

import (
	"context"
	"errors"
	"os"
	"sync"
)

// handOff is an upgrade from the side of the server that goes.
type handOff struct {
	ctx    context.Context
	cancel context.CancelFunc
	given  sync.WaitGroup // apps that give their workers
}

// giver is an app that can give its workers to a pool in another process.
type giver interface {
	// HandOver gives what is not needed any more over to, which it closes. It
	// returns when all is given, or ctx is done.
	HandOver(ctx context.Context, to *os.File) error

	// Drained says that no request comes any more.
	Drained()
}

// Upgrade has the next program take this one's place. It returns when that
// serves.
func (s *Server) Upgrade(ctx context.Context) error {
	if s.opt.Upgrade == nil {
		return &Error{
			Problem: "cannot upgrade: this millrace runs without a keeper",
			Fix:     "stop it and start the new one; serve, without --reload, can upgrade",
		}
	}
	select { // a reload that is under way ends first, and the next one waits
	case s.reloading <- struct{}{}:
	case <-s.stop:
		return s.ending()
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.reloading }()
	return s.opt.Upgrade(ctx)
}

// ending is why a server that ends does nothing new.
func (s *Server) ending() error {
	if s.retiring.Load() {
		return &Error{Problem: "an upgrade has put another millrace in this one's place", Fix: "ask again: it has read the configuration anew"}
	}
	return errStopping
}

// controlled is a server as its control socket has it.
type controlled struct{ *Server }

// Stop has whoever started the server know that it is to end for good.
func (c controlled) Stop() <-chan struct{} {
	if c.opt.Stopping != nil {
		c.opt.Stopping()
	}
	return c.Server.Stop()
}

// HandOver begins to give the workers of apps to a server that is to take this
// one's place. The files are the server's.
func (s *Server) HandOver(to map[string]*os.File) {
	h := &handOff{}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hand = h
	for name, f := range to {
		var g giver
		if r := s.apps[name]; r != nil {
			g, _ = r.app.(giver)
		}
		if g == nil {
			f.Close() // its workers start anew there
			continue
		}
		h.given.Go(func() {
			if err := g.HandOver(h.ctx, f); err != nil && !errors.Is(err, context.Canceled) {
				s.log.Warn("the workers of an app are not handed over; the next program starts its own", "app", name, "error", err)
			}
		})
	}
}

// Resume ends a HandOver: the other server has failed, and this one serves on.
func (s *Server) Resume() {
	s.mu.Lock()
	h := s.hand
	s.hand = nil
	s.mu.Unlock()
	if h != nil {
		h.cancel()
	}
}

// Retire is Stop for a server whose addresses another one serves by now: they
// stay open.
func (s *Server) Retire() {
	s.retiring.Store(true)
	s.Stop()
}

// handOffRest gives what is left, once no request comes any more.
func (s *Server) handOffRest(ctx context.Context) {
	s.mu.Lock()
	h, apps := s.hand, s.apps
	s.mu.Unlock()
	if h == nil {
		return
	}
	for _, r := range apps {
		if g, ok := r.app.(giver); ok {
			g.Drained()
		}
	}
	given := make(chan struct{})
	go func() { h.given.Wait(); close(given) }()
	select {
	case <-given:
	case <-ctx.Done():
	}
	h.cancel()
	if !endsIn(s.grace, func() { <-given }) {
		s.log.Error("the handover of workers has not ended; it is left behind")
	}
}
