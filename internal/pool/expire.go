package pool

// The limits of time: of a request in its worker, of one in the queue, of a
// worker's start, end and life. The keeper looks at them at its ticks, and
// has the next one at the moment when the first of them is due.

import (
	"slices"
	"sync/atomic"
	"syscall"
	"time"
)

// soonest is the time until the first limit, of those that were looked at.
type soonest time.Duration

const notSoon = soonest(time.Hour)

// after notes that a limit comes in d; a limit that has passed was dealt with.
func (s *soonest) after(left time.Duration) {
	if left > 0 {
		*s = min(*s, soonest(left))
	}
}

// expireLocked ends what has taken too long, and returns the time until
// something else will have.
func (p *Pool) expireLocked(now time.Duration) time.Duration {
	next := notSoon
	p.expireQueueLocked(now, &next)
	for _, proc := range slices.Clone(p.processes) {
		switch {
		case len(proc.channels) > 0:
			if proc.host.gone && proc.killed != "" {
				proc.endReadingLocked() // nobody reports its death
			}
		case proc.host.gone:
			p.sweepLocked(proc, now)
		case now > proc.leaveBy && proc.killed == "":
			proc.kill("it did not end within stop_timeout")
		}
		if proc.doomed != "" {
			p.endDoomedLocked(proc)
			next.after(proc.endBy - now)
		}
		if proc.expires > 0 && now >= proc.expires {
			p.retireLocked(proc, "lifetime")
		}
	}
	for _, ch := range p.channels {
		if ch.state == channelDead || ch.givenUp {
			continue
		}
		if ch.state == channelDraining && now > ch.drainBy {
			ch.overdue = true
			p.giveUpLocked(ch, "it did not end within stop_timeout")
			continue
		}
		if limit := ch.host.cfg.StartupTimeout; ch.state == channelStarting && now-ch.since > limit {
			if ch.process.doomed == "" { // else it is the next of the same process
				p.log.Error("worker was not ready within startup_timeout; it is killed", "app", p.name, "pid", ch.process.pid.Load(), "limit", limit)
			}
			p.giveUpLocked(ch, "it was not ready within startup_timeout")
			continue
		}
		p.expireRequestLocked(ch, now, &next)
	}
	return time.Duration(next)
}

// expireQueueLocked refuses what has waited for queue_timeout.
func (p *Pool) expireQueueLocked(now time.Duration, next *soonest) {
	limit := p.cfg.QueueTimeout
	if limit <= 0 {
		return
	}
	for c := p.queue.first; c != nil; {
		following := c.next
		if waited := now - c.came; waited >= limit {
			p.queue.remove(c)
			p.stats.queueTimeouts++
			c.fail(errQueueTimeout)
		} else {
			next.after(limit - waited)
		}
		c = following
	}
}

// expireRequestLocked looks at the request that a channel runs.
func (p *Pool) expireRequestLocked(ch *channel, now time.Duration, next *soonest) {
	if len(ch.held) == 0 && !ch.lingering {
		return
	}
	since := ch.headSince
	if ch.streaming {
		if ch.blocked.Load() {
			return // it waits for a slow client
		}
		since = time.Duration(ch.progress.Load())
	}
	cfg := &ch.host.cfg
	if limit := cfg.RequestTimeout; limit > 0 {
		if now-since >= limit {
			p.timeOutLocked(ch, limit, now-since)
			return
		}
		next.after(limit - (now - since))
	}
	if limit := cfg.SlowRequest; limit > 0 && len(ch.held) > 0 && ch.slow != ch.held[0].seq {
		if now-since >= limit {
			p.slowLocked(ch, now-since)
			return
		}
		next.after(limit - (now - since))
	}
}

// slowLocked counts a slow request, and has its traceback logged.
func (p *Pool) slowLocked(ch *channel, ran time.Duration) {
	c := ch.held[0]
	if c.seq > atomic.LoadUint64(&ch.words.started) {
		return // it waits
	}
	ch.slow = c.seq
	p.stats.slow++
	ch.process.wantTraceLocked(wantedTrace{ch: ch, seq: c.seq, method: c.method, uri: c.uri, slow: true, ran: ran})
}

// timeOutLocked ends a request that has run for too long: its channel is given
// up, its client gets a 504 at once, and the worker ends after it has said
// what it was at.
func (p *Pool) timeOutLocked(ch *channel, limit, ran time.Duration) {
	pid := ch.process.pid.Load()
	if len(ch.held) > 0 {
		p.takeBackLocked(ch)
	}
	w := wantedTrace{ch: ch, ran: ran}
	switch {
	case len(ch.held) == 0:
		p.stats.timeouts++
		w.seq = atomic.LoadUint64(&ch.words.started) // in its close()
		p.log.Error("worker gave no sign for request_timeout; it is killed", "app", p.name, "pid", pid, "request", ch.nameLocked(w.seq), "limit", limit)
	case ch.held[0].seq > atomic.LoadUint64(&ch.words.started):
		// A sibling keeps the interpreter from this thread. Once the
		// process is dead the request was never started, and runs
		// elsewhere.
		p.log.Error("worker did not start a request within request_timeout; it is killed", "app", p.name, "pid", pid, "limit", limit)
	default:
		p.stats.timeouts++
		c := ch.held[0]
		w.seq, w.method, w.uri = c.seq, c.method, c.uri
		p.log.Error("request ran longer than request_timeout; its worker is killed",
			"app", p.name, "pid", pid, "request", c.requestID(), "limit", limit, "method", c.method, "uri", c.uri)
		ch.failFirstLocked(errTimeout)
	}
	if ch.process.program == nil {
		ch.process.wantTraceLocked(w)
	}
	ch.process.retireForLocked("timeout")
	p.giveUpLocked(ch, "its request ran longer than request_timeout")
}

// failFirstLocked ends the call that runs without an answer of the app. Its
// handler has it from then on, so a stand-in takes its place on the channel.
func (ch *channel) failFirstLocked(err error) {
	c := ch.held[0]
	ch.pool.ranLocked(ch, ch.pool.now())
	switch {
	case c.abandoned:
	case c.pipe != nil:
		c.pipe.CloseWrite(err)
	default:
		ch.held[0] = &call{state: callLent, abandoned: true, seq: c.seq, channel: ch, id: c.id, method: c.method, uri: c.uri, peer: c.peer, came: c.came, counted: true, done: make(chan struct{}, 1)}
		c.fail(err)
	}
}

// endLateLocked ends the requests of a batch that are over their limit, once
// the traceback has shown where they were: a mark and a SIGTERM, so that what
// cleans up in the worker runs. The SIGKILL follows; see endDoomedLocked.
func (proc *process) endLateLocked(batch []wantedTrace) {
	late, marked := false, false
	for _, w := range batch {
		if w.slow {
			continue
		}
		late = true
		if w.seq != 0 && w.ch.state != channelDead && w.ch.process == proc {
			atomic.StoreUint64(&w.ch.words.ended, w.seq)
			marked = true
		}
	}
	if !late {
		return
	}
	proc.endBy = 0
	if marked && proc.died == "" && proc.killed == "" {
		_ = proc.host.send(map[string]any{"do": "kill", "process": proc.number, "signal": int(syscall.SIGTERM)})
		proc.endBy = proc.host.pool.now() + termGrace
	}
	proc.host.pool.kickKeeper()
}
