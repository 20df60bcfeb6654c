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
	if p.queue.len > 0 || p.stats.running > p.calm {
		p.kickKeeper() // more workers may be due
	}
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
	if ch.state == channelDraining {
		return // its way in is closed: it ends
	}
	ch.seq++
	if _, err := sendWith(ch.packets, pingPacket(ch.seq)); err == nil {
		ch.ping = ch.seq
		ch.lingering = true
	}
}
