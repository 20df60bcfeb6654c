package pool

// The keeper: one goroutine that owns the hosts and decides how many workers
// each has.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"millrace/internal/supervise"
)

const (
	keeperTick = 100 * time.Millisecond
	busyTick   = 10 * time.Millisecond  // while something changes
	queueTick  = 5 * time.Millisecond   // while something waits
	longBusy   = 5 * time.Millisecond   // a request that has run so long needs a worker of its own
	hiccup     = 30 * time.Millisecond  // and where requests are much shorter than longBusy: it may be the machine that is busy
	lingers    = 100 * time.Millisecond // a close() that has run so long needs a worker too
	stopEvery  = time.Second            // between two steps down
	rise       = 5                      // of the smoothed demand, in ticks: long requests do not wait for it
	decay      = 20                     // the same, when it falls
)

// reload asks the keeper for a new generation.
type reload struct {
	cfg   Config
	reply chan error // buffered
}

// keeper is the keeper's own state.
type keeper struct {
	generations int
	current     *host // its workers are wanted
	next        *host // to be current once a worker of it is ready
	nextReply   chan error
	old         []*host // their workers go
	handing     bool    // the current one is offered to another pool: nothing is forked
	given       *host   // is another pool's; its workers follow
	pending     *reload // to be next once old is gone
	retryAt     time.Time
	retry       supervise.Backoff
	looked      time.Time // at the processes' memory
	demand      float64
	measured    time.Duration // when demand was
	busyTime    time.Duration // stats.busyTime then
	stopped     time.Time     // when surplus workers were
	forked      time.Time     // when workers were, but for a generation's first
	pace        pace
	traceback   string // the last that was logged
}

// keep runs until ctx is done and everything has stopped.
func (p *Pool) keep(ctx context.Context) {
	defer close(p.done)
	k := &p.keeper
	k.pace = pace{1, 1}
	k.retry = supervise.Backoff{First: 200 * time.Millisecond, Limit: 15 * time.Second, Factor: 2}
	if p.adoptFrom == nil || !p.adopt(ctx) {
		p.startNext(*p.cfg, p.cfg.Preload, nil)
	}
	tick := time.NewTimer(keeperTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			p.stop(tick)
			return
		case f := <-p.tasks:
			f()
		case r := <-p.reloads:
			if k.handing || k.given != nil {
				r.reply <- errHandingOver
				continue
			}
			later := errors.New("a later reload took its place")
			p.abandonNext(later)
			if k.pending != nil {
				k.pending.reply <- later
			}
			k.pending = &r
		case e := <-p.events:
			p.hostEvent(e)
		case <-p.kick:
		case <-tick.C:
		}
		tick.Reset(p.tend())
	}
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

// tend brings everything nearer to what it should be, and returns when to
// look again.
func (p *Pool) tend() time.Duration {
	k := &p.keeper
	if k.next == nil && k.current == nil && !k.retryAt.IsZero() && time.Now().After(k.retryAt) {
		cfg := *p.config.Load()
		p.startNext(cfg, cfg.Preload, nil)
	}
	p.reloadPending()
	p.tendNext()
	p.tendGiven()
	p.lookAtMemory()

	p.mu.Lock()
	now := p.now()
	limit := p.expireLocked(now)
	p.leaveLocked(now)
	c := p.censusLocked(now)
	b := p.boundsLocked()
	p.fullLocked(c, b)
	want := wanted(c, b)
	var s steps
	if k.current != nil && !k.handing {
		// The next step up comes when the last one's workers are ready, or soon.
		s, k.pace = decide(c, want, b, k.pace, due{
			fork: c.starting == 0 || time.Since(k.forked) >= busyTick,
			stop: time.Since(k.stopped) >= stopEvery,
		})
		p.substituteLocked(c, want, b, &s)
	}
	p.releaseLocked(s.release)
	if s.stop > 0 {
		k.stopped = time.Now()
		p.stopIdleLocked(s.stop)
	}
	p.calm = c.serving + c.leaving - b.minSpare
	waiting := p.queue.len > 0 || c.busy > p.calm && want < b.maxChildren
	if h := k.current; h != nil {
		s.fork = h.pacedLocked(s.fork, c.starting)
	}
	p.unlock()

	if h := k.current; h != nil && s.fork > 0 && time.Now().After(h.forkAfter) {
		k.forked = time.Now()
		for range s.fork {
			ch, err := p.fork(h)
			if err != nil {
				p.log.Error("cannot start a worker", "app", p.name, "error", err)
				h.forkAfter = time.Now().Add(time.Second)
				break
			}
			if h.stands {
				h.stands, h.substitute = false, ch
			}
		}
	}
	p.closeOld()
	switch {
	case waiting:
		return min(queueTick, limit)
	case c.starting > 0 || c.leaving > 0 || want > c.starting+c.serving || k.next != nil || k.pending != nil:
		return min(busyTick, limit)
	}
	return min(keeperTick, limit)
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

// fork starts one worker.
func (p *Pool) fork(h *host) (*channel, error) {
	ch, err := h.newChannel()
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.stats.started++
	p.mu.Unlock()
	if ch.link == nil {
		go ch.read()
	}
	return ch, nil
}

// broken handles a worker that says it cannot start.
func (p *Pool) broken(ch *channel, traceback string) {
	err := &ImportError{App: p.name, Traceback: traceback}
	p.tell(hostEvent{host: ch.host, kind: "broken", failed: err})
}

// censusLocked counts.
func (p *Pool) censusLocked(now time.Duration) census {
	k := &p.keeper
	c := census{queued: p.queue.len}
	long := longBusy
	if p.stats.meanService > 0 && p.stats.meanService < longBusy/2 {
		long = hiccup
	}
	for _, ch := range p.channels {
		switch {
		case ch.state == channelStarting && ch.host == k.current:
			c.starting++
			continue
		case ch.state != channelServing || ch.host == k.next: // the next one's first is seen to by tendNext
			continue
		case k.leaves(ch):
			c.leaving++
		default:
			c.serving++
			if ch.idleLocked() && !ch.closing() {
				c.idle++
				if now-ch.headSince > p.cfg.IdleTimeout {
					c.expired++
				}
			}
		}
		held := len(ch.held) > 0
		if !held && (!ch.lingering || now-ch.headSince < lingers) || ch.givenUp {
			continue
		}
		c.busy++
		c.queued += max(len(ch.held)-1, 0)
		if !held || ch.streaming || now-ch.headSince > long {
			c.longBusy++
		} else if ch.served == 0 {
			c.fresh++
		}
	}
	p.countProcessesLocked(&c)
	if k.current != nil {
		channels, processes := k.current.awayLocked()
		c.starting += channels
		c.processes += processes
	}
	if passed := now - k.measured; passed >= keeperTick {
		p.runningLocked(now, 0)
		busy := float64(p.stats.busyTime-k.busyTime) / float64(passed)
		if busy > k.demand {
			k.demand += (busy - k.demand) / rise
		} else {
			k.demand += (busy - k.demand) / decay
		}
		k.measured, k.busyTime = now, p.stats.busyTime
	}
	c.demand = k.demand
	return c
}

// countProcessesLocked counts processes, and what room they have.
func (p *Pool) countProcessesLocked(c *census) {
	for _, proc := range p.processes {
		if proc.killed != "" {
			continue
		}
		c.processes++
		if !slices.ContainsFunc(proc.channels, func(ch *channel) bool {
			return ch.state == channelStarting || ch.state == channelServing
		}) {
			c.out++
		}
		c.open += proc.roomFor(p.keeper.current)
	}
}

// leaves reports whether a channel is to be replaced: its process is, or it is
// of an old generation. The next generation's is neither.
func (k *keeper) leaves(ch *channel) bool {
	return ch.process.retiring || ch.host != k.current && ch.host != k.next
}

func (p *Pool) boundsLocked() bounds {
	return bounds{
		scaling: p.cfg.Scaling, perRequest: p.cfg.perRequest(), each: p.cfg.perProcess(),
		minSpare: p.cfg.MinSpare, maxSpare: p.cfg.MaxSpare, maxChildren: p.cfg.MaxChildren,
	}
}

// releaseLocked lets n of the workers go that are to be replaced: of threads,
// those of the process that has the fewest, so that whole processes go; idle
// ones first.
func (p *Pool) releaseLocked(n int) {
	for ; n > 0; n-- {
		var best *channel
		for _, ch := range p.channels {
			if ch.state == channelServing && p.keeper.leaves(ch) && (best == nil || ch.goesBeforeLocked(best)) {
				best = ch
			}
		}
		if best == nil {
			return
		}
		if proc := best.process; proc.retiring && proc.doomed == "" {
			p.stats.recycled++
		}
		p.drainLocked(best)
	}
}

// goesBeforeLocked reports whether a worker goes before another.
func (ch *channel) goesBeforeLocked(other *channel) bool {
	if a, b := ch.process.takingLocked(), other.process.takingLocked(); a != b {
		return a < b
	}
	return ch.idleLocked() && !other.idleLocked()
}

// stopIdleLocked drains n idle workers: those that were used longest ago; of
// threads, of the process that has the fewest, so that whole processes go.
func (p *Pool) stopIdleLocked(n int) {
	for ; n > 0; n-- {
		var best *channel
		for _, ch := range p.idle {
			if ch.idleLocked() && ch.host == p.keeper.current && !ch.process.retiring &&
				(best == nil || ch.process.takingLocked() < best.process.takingLocked()) {
				best = ch
			}
		}
		if best == nil {
			return
		}
		p.drainLocked(best)
	}
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

// stop ends the pool: what runs may end, then every process goes.
func (p *Pool) stop(tick *time.Timer) {
	k := &p.keeper
	deadline := time.Now().Add(p.config.Load().StopTimeout)
	p.mu.Lock()
	p.stopping = true
	p.mu.Unlock()
	p.abandonNext(errStopped)
	if k.pending != nil {
		k.pending.reply <- errStopped
		k.pending = nil
	}
	for {
		p.mu.Lock()
		now := p.now()
		p.expireLocked(now)
		p.leaveLocked(now)
		late := time.Now().After(deadline)
		if late {
			for c := p.queue.popFront(); c != nil; c = p.queue.popFront() {
				c.fail(errStopped)
			}
		}
		if p.queue.len == 0 {
			for _, ch := range p.channels {
				p.drainLocked(ch)
				if late && ch.state != channelDead {
					ch.process.kill("it did not end within stop_timeout")
				}
			}
		}
		left := len(p.channels) + len(p.processes)
		p.unlock()
		if left == 0 || late {
			if k.current != nil {
				k.old = append(k.old, k.current)
				k.current = nil
			}
			for _, h := range k.old {
				h.leave()
			}
			p.closeOld()
			if left == 0 && len(k.old) == 0 {
				return
			}
			if time.Now().After(deadline.Add(5 * time.Second)) {
				for _, h := range k.old {
					_ = h.proc.Kill()
				}
			}
		}
		tick.Reset(busyTick)
		select {
		case e := <-p.events:
			p.hostEvent(e)
		case r := <-p.reloads:
			r.reply <- errStopped
		case f := <-p.tasks:
			f()
		case <-p.kick:
		case <-tick.C:
		}
	}
}

// jitter spreads a limit by a tenth either way, so that workers started
// together are not recycled together.
func jitter(limit int) int {
	spread := limit / 10
	return max(1, limit-spread+rand.IntN(2*spread+1))
}
