package server

// How long the end of an app is waited for.

import (
	"sync"
	"time"
)

// endGrace is what apps have beyond their own times to stop: a process that is
// killed takes a moment to go, on a busy machine a long one.
const endGrace = 10 * time.Second

// endApps stops apps and what lives beside them, and waits until all have
// ended. One that has not when the requests' time, its own and the grace are
// over is named in the log and left: it must not keep what ends around it.
func (s *Server) endApps(apps map[string]*running, shutdown time.Duration) {
	var group sync.WaitGroup
	for name, r := range apps {
		r.cancel()
		group.Go(func() {
			patience := shutdown + r.stopTimeout() + s.grace
			if !endsIn(patience, r.end) {
				s.log.Error("an app has not ended in its time; it is left behind", "app", name, "waited", patience)
			}
		})
	}
	group.Wait()
}

// stopTimeout is the time that the app, and what lives beside it, has to end.
func (r *running) stopTimeout() time.Duration {
	most := r.cfg.StopTimeout
	r.beside.mu.Lock()
	defer r.beside.mu.Unlock()
	for _, p := range r.beside.wanted.Programs {
		most = max(most, p.StopTimeout)
	}
	return most
}

// end stops an app and what lives beside it, and waits for that.
func (r *running) end() {
	r.cancel()
	r.beside.set.Stop()
	<-r.done
}

// endsIn reports whether f returns in the given time; later it is left alone.
func endsIn(d time.Duration, f func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// awaitDrained waits until no request is in a tree that was left. When the
// server stops, those that do not look at their end are not waited for.
func (s *Server) awaitDrained(t *tree, shutdown time.Duration) {
	select {
	case <-t.drained:
		return
	case <-s.stop:
	}
	if patience := shutdown + s.grace; !endsIn(patience, func() { <-t.drained }) {
		s.log.Error("requests of an earlier configuration have not ended; they are left behind", "waited", patience)
	}
}
