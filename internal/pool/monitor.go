package pool

// The monitor: what only the passing of time shows. It runs every patience
// while some channel holds a request that is not started, or has a close()
// that does not return; otherwise it sleeps. Time-outs are looked at
// by the keeper, every keeperTick.

import (
	"sync/atomic"
	"time"
)

// armLocked has the monitor look at the channels in a while.
func (p *Pool) armLocked() {
	if !p.armed {
		p.armed = true
		p.timer.Reset(patience)
	}
}

// check is the monitor's look.
func (p *Pool) check() {
	p.mu.Lock()
	p.armed = false
	now := p.now()
	again := false
	for _, ch := range p.channels {
		if ch.state == channelDead || ch.state == channelStarting || ch.givenUp {
			continue
		}
		if ch.lingering {
			if ch.closing() {
				again = true
			} else {
				ch.lingering = false
				p.idleListLocked(ch)
			}
		}
		if len(ch.held) == 0 || ch.streaming {
			continue
		}
		head := ch.held[0]
		old := now-ch.headSince > patience
		switch {
		case head.seq <= atomic.LoadUint64(&ch.words.started):
			if len(ch.held) > 1 {
				if old {
					p.takeBackLocked(ch)
				}
				again = true
			}
		case ch.closing():
			// The worker is still in close() of the request before.
			if old {
				p.takeBackLocked(ch)
				ch.lingering = len(ch.held) == 0
			}
			again = true
		case now-ch.headSince > stall:
			// The worker is idle and does not read: it is stopped, swapped
			// out, or the machine is very busy.
			p.stalledLocked(ch)
			again = true
		default:
			again = true
		}
	}
	p.dispatchLocked()
	if again {
		p.armLocked()
	}
	p.unlock()
}

// stall is how long an idle worker may leave a request unread before others
// get it.
const stall = 20 * time.Millisecond

// stallKill is how long a worker may have read a request without starting it,
// which takes it a microsecond.
const stallKill = time.Second

// stalledLocked takes everything back from a channel whose worker does not
// read, and lends it nothing until it has read a ping.
func (p *Pool) stalledLocked(ch *channel) {
	if ch.writing || ch.packets < 0 {
		return // the packets may be on their way
	}
	p.takeBackLocked(ch)
	if len(ch.held) > 0 {
		// It was stopped between reading a packet and starting the request.
		// Once it is dead, that was never started, and runs elsewhere. A
		// thread may only be waiting for a sibling that has the interpreter.
		if p.now()-ch.headSince > stallKill && len(ch.process.channels) == 1 {
			p.giveUpLocked(ch, "it read a request and did not start it")
		}
		return
	}
	ch.seq++
	if _, err := sendWith(ch.packets, pingPacket(ch.seq)); err == nil {
		ch.ping = ch.seq
		ch.lingering = true
	}
}

// expireLocked ends what has run for too long: its channel is given up, and
// its client gets a 504 at once.
func (p *Pool) expireLocked(now time.Duration) {
	for _, proc := range p.processes {
		if len(proc.channels) == 0 && now > proc.leaveBy && proc.killed == "" {
			proc.kill("it did not end within stop_timeout")
		}
	}
	for _, ch := range p.channels {
		if ch.state == channelDead || ch.givenUp {
			continue
		}
		pid, doomed := ch.process.pid.Load(), ch.process.doomed != ""
		if ch.state == channelDraining && now > ch.drainBy {
			p.giveUpLocked(ch, "it did not end within stop_timeout")
			continue
		}
		if limit := ch.host.cfg.StartupTimeout; ch.state == channelStarting && now-ch.since > limit {
			if !doomed { // else it is the next of the same process
				p.log.Error("worker was not ready within startup_timeout; it is killed", "app", p.name, "pid", pid, "limit", limit)
			}
			p.giveUpLocked(ch, "it was not ready within startup_timeout")
			continue
		}
		timeout := ch.host.cfg.RequestTimeout
		if timeout <= 0 || len(ch.held) == 0 && !ch.lingering {
			continue
		}
		since := ch.headSince
		if ch.streaming {
			if ch.blocked.Load() {
				continue // it waits for a slow client
			}
			since = time.Duration(ch.progress.Load())
		}
		if now-since <= timeout {
			continue
		}
		if len(ch.held) > 0 {
			p.takeBackLocked(ch)
		}
		switch {
		case len(ch.held) == 0:
			p.stats.timeouts++
			p.log.Error("worker gave no sign for request_timeout; it is killed", "app", p.name, "pid", pid, "limit", timeout)
		case ch.held[0].seq > atomic.LoadUint64(&ch.words.started):
			// A sibling keeps the interpreter from this thread. Once the
			// process is dead the request was never started, and runs
			// elsewhere.
			p.log.Error("worker did not start a request within request_timeout; it is killed", "app", p.name, "pid", pid, "limit", timeout)
		default:
			p.stats.timeouts++
			c := ch.held[0]
			p.log.Error("request ran longer than request_timeout; its worker is killed",
				"app", p.name, "pid", pid, "request", ch.requestID(c.seq), "limit", timeout, "method", c.method, "uri", c.uri)
			ch.failFirstLocked(errTimeout)
		}
		p.giveUpLocked(ch, "its request ran longer than request_timeout")
	}
}

// failFirstLocked ends the call that runs without an answer of the app. Its
// handler has it from then on, so a stand-in takes its place on the channel.
func (ch *channel) failFirstLocked(err error) {
	c := ch.held[0]
	switch {
	case c.abandoned:
	case c.pipe != nil:
		c.pipe.CloseWrite(err)
	default:
		ch.held[0] = &call{state: callLent, abandoned: true, seq: c.seq, channel: ch, method: c.method, uri: c.uri, done: make(chan struct{}, 1)}
		c.fail(err)
	}
}
