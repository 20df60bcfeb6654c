package pool

// How generations come and go: a new one is started, becomes the current one
// when a worker of it is ready, and the one before it ends with its last
// process. All of it is the keeper's.

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"
)

// reload asks the keeper for a new generation.
type reload struct {
	cfg   Config
	reply chan error // buffered
}

// startNext starts a host that is to be the next generation.
func (p *Pool) startNext(cfg Config, preload bool, reply chan error) {
	k := &p.keeper
	k.generations++
	h, err := p.startHost(cfg, preload && !cfg.perRequest(), k.generations)
	k.nextReply = reply
	if err != nil {
		p.nextFailed(err)
		return
	}
	k.next, k.retryAt = h, time.Time{}
}

// abandonNext gives the next generation up.
func (p *Pool) abandonNext(err error) {
	k := &p.keeper
	if k.next != nil {
		p.retire(k.next)
		k.next = nil
	}
	if k.nextReply != nil {
		k.nextReply <- err
		k.nextReply = nil
	}
}

// retire puts a host among those whose workers go.
func (p *Pool) retire(h *host) {
	p.keeper.old = append(p.keeper.old, h)
	if !h.ready {
		_ = h.proc.Kill() // it is importing, and would not hear
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, ch := range p.channels {
		if ch.host == h && ch.state == channelStarting {
			ch.process.kill("its generation is given up")
		}
	}
}

// nextFailed handles a generation that cannot serve. The current one, if
// there is one, serves on; without one the app is failing, and is tried again.
func (p *Pool) nextFailed(err error) {
	k := &p.keeper
	reply := k.nextReply
	k.nextReply = nil
	p.abandonNext(nil)
	p.logTraceback(err)
	if reply != nil {
		reply <- err
	}
	if k.current != nil {
		p.log.Error("the new generation cannot serve; the old one serves on", "app", p.name, "error", firstLine(err))
		return
	}
	delay := k.retry.Next()
	k.retryAt = time.Now().Add(delay)
	p.log.Error("the app cannot serve; it is tried again", "app", p.name, "error", firstLine(err), "after", delay.Round(time.Millisecond))
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, ch := range p.channels {
		if ch.state == channelServing {
			return // of a host that died: its workers serve on
		}
	}
	p.failure = err.Error()
	for c := p.queue.popFront(); c != nil; c = p.queue.popFront() {
		c.fail(errFailing)
	}
}

// logTraceback logs the traceback of a failed import; one that is the same as
// the last is not repeated.
func (p *Pool) logTraceback(err error) {
	var imp *ImportError
	if !errors.As(err, &imp) {
		return
	}
	if imp.Traceback == p.keeper.traceback {
		p.log.Error("the same traceback as before", "app", p.name)
		return
	}
	p.keeper.traceback = imp.Traceback
	for line := range strings.Lines(imp.Traceback) {
		p.log.Error(strings.TrimRight(line, "\n"), "app", p.name)
	}
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return strings.TrimSuffix(line, ":")
}

// hostEvent handles what a host says.
func (p *Pool) hostEvent(e hostEvent) {
	k, h := &p.keeper, e.host
	switch e.kind {
	case "ready":
		h.ready, h.about = true, e.about
	case "failed":
		if h == k.next {
			p.nextFailed(e.failed)
		}
	case "unsafe":
		for _, why := range e.why {
			p.log.Warn("the import leaves what a fork must not share", "app", p.name, "what", why)
		}
		switch {
		case h != k.next:
		case h.cfg.RequirePreload:
			p.nextFailed(&UnsafeError{App: p.name, Why: e.why})
		default:
			p.log.Warn("the app is imported by each worker instead; preload = false says so from the start", "app", p.name)
			reply := k.nextReply
			k.nextReply = nil
			p.abandonNext(nil)
			p.startNext(h.cfg, false, reply)
		}
	case "broken":
		if h == k.next && !h.served {
			p.nextFailed(e.failed)
		} else {
			p.logTraceback(e.failed)
		}
	case "exited":
		switch {
		case h == k.next:
			p.nextFailed(fmt.Errorf("the host of app %s ended before it served: %s", p.name, e.text))
		case h == k.current:
			p.log.Error("the host died; its workers serve until a new one is ready", "app", p.name, "pid", h.proc.PID(), "how", e.text)
			k.current = nil
			k.old = append(k.old, h)
			if k.next == nil {
				p.startNext(h.cfg, h.preload, nil)
			}
		}
		h.exited = true
	}
}

// broken handles a worker that says it cannot start.
func (p *Pool) broken(ch *channel, traceback string) {
	err := &ImportError{App: p.name, Traceback: traceback}
	p.tell(hostEvent{host: ch.host, kind: "broken", failed: err})
}

// reloadPending starts the generation that is asked for, once the one before
// the present one is gone: a machine that has room for two hosts may not have
// it for three. Where nobody serves, and in development, it does not wait.
func (p *Pool) reloadPending() {
	k := &p.keeper
	r := k.pending
	if r == nil || len(k.old) > 0 && k.current != nil && !r.cfg.Development {
		return
	}
	k.pending = nil
	k.retry.Reset()
	p.abandonNext(nil) // one that was started meanwhile
	p.startNext(r.cfg, r.cfg.Preload, r.reply)
}

// tendNext brings the next generation to its first ready worker, and makes it
// the current one then.
func (p *Pool) tendNext() {
	k := &p.keeper
	h := k.next
	if h == nil {
		return
	}
	if !h.served && time.Since(h.started) > h.cfg.StartupTimeout {
		p.nextFailed(h.notReady())
		return
	}
	if !h.ready {
		return
	}
	if h.cfg.perRequest() {
		p.promote(h) // nothing is imported before a request
		return
	}
	p.mu.Lock()
	have := 0
	for _, ch := range p.channels {
		if ch.host != h || ch.state == channelDead {
			continue
		}
		have++
		h.served = h.served || ch.state == channelServing
	}
	h.served = h.served || h.wasReady // one that has ended by now, too
	failed := h.failed
	p.mu.Unlock()
	switch {
	case h.served:
		p.promote(h)
	case have == 0 && h.forked:
		p.nextFailed(cmp.Or(failed, fmt.Errorf("the first worker of app %s died before it was ready", p.name)))
	case have == 0:
		if _, err := p.fork(h); err != nil {
			p.nextFailed(err)
			return
		}
		h.forked = true
	}
}

// promote makes the next generation the current one.
func (p *Pool) promote(h *host) {
	k := &p.keeper
	if k.current != nil {
		k.old = append(k.old, k.current)
	}
	k.current, k.next, k.traceback = h, nil, ""
	k.retry.Reset()
	p.config.Store(&h.cfg)
	p.mu.Lock()
	p.cfg = &h.cfg
	p.failure = ""
	p.generation, p.generationSince, p.host, p.about = h.generation, time.Now(), h, h.about
	p.mu.Unlock()
	p.log.Info("generation serves", "app", p.name, "generation", h.generation, "preloaded", h.about.Preloaded)
	if k.nextReply != nil {
		k.nextReply <- nil
		k.nextReply = nil
	}
	p.readyOnce.Do(func() { close(p.ready) })
}

// closeOld ends the hosts whose last process is gone.
func (p *Pool) closeOld() {
	k := &p.keeper
	p.mu.Lock()
	used := map[*host]bool{}
	for _, ch := range p.channels {
		used[ch.host] = true
	}
	for _, proc := range p.processes {
		used[proc.host] = true // it may be at its exit handlers
	}
	for _, h := range k.old {
		used[h] = used[h] || h.awaitsLocked()
	}
	p.mu.Unlock()
	kept := k.old[:0]
	for _, h := range k.old {
		if used[h] {
			kept = append(kept, h)
			continue
		}
		h.leave()
		if !h.exited {
			kept = append(kept, h) // until its exit is told
		}
	}
	clear(k.old[len(kept):])
	k.old = kept
}
