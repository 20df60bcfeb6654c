package pool

// What the keeper counts before it decides (scale.go) how many workers there
// should be.

import (
	"slices"
	"time"
)

const (
	longBusy = 5 * time.Millisecond   // a request that has run so long needs a worker of its own
	hiccup   = 30 * time.Millisecond  // and where requests are much shorter than longBusy: it may be the machine that is busy
	lingers  = 100 * time.Millisecond // a close() that has run so long needs a worker too

	rise  = 5  // of the smoothed demand, in ticks: long requests do not wait for it
	decay = 20 // the same, when it falls
)

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
