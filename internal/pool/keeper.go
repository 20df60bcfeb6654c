package pool

// The keeper: one goroutine that owns the hosts and decides how many workers
// each has. Each time around it looks after the generations (generations.go),
// counts (census.go), decides (scale.go), and starts workers or lets some go
// (surplus.go).

import (
	"context"
	"errors"
	"time"

	"millrace/internal/supervise"
)

const (
	keeperTick = 100 * time.Millisecond
	busyTick   = 10 * time.Millisecond // while something changes
	queueTick  = 5 * time.Millisecond  // while something waits
	stopEvery  = time.Second           // between two steps down
)

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
