package pool

// Which workers go, when there are more than wanted or some are to be replaced.

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
