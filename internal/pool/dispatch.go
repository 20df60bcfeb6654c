package pool

// Dispatch: which channel runs which call. Everything here is under Pool.mu.
//
// An idle channel comes first. When none is idle, a channel may hold further
// requests that it has not read yet, up to a depth that keeps their wait
// short: the mean service time times the depth stays below patience. What a
// channel holds unread is still in the kernel, so it can be taken back: when
// the request that runs turns out slow, streams, or dies with its worker, the
// ones behind it go to the front of the queue, and to whoever is free.

import (
	"runtime"
	"slices"
	"sync/atomic"
	"time"
)

const (
	// maxDepth is how many requests a channel may hold, the running one
	// included.
	maxDepth = 16
	// patience is how long a request may keep those behind it waiting.
	patience = 1500 * time.Microsecond
	// sampleCap bounds what one service time can do to the mean.
	sampleCap = 100 * time.Millisecond
	// smoothing is the weight of one sample in the mean, as a divisor.
	smoothing = 64
	// mostlyPrompt is the share of requests within patience above which a
	// channel may hold a second one whatever the mean.
	mostlyPrompt = 0.9
	// leaveLook is what a look at one call, mostly out of the processor's
	// cache, may be spread over: 50 ns of it, a hundredth of a processor.
	leaveLook = 5 * time.Microsecond
)

// now is a monotonic clock that is cheap to compare.
func (p *Pool) now() time.Duration { return time.Since(p.born) }

// submit hands a call to a channel or to the queue; false when the queue is
// full or the pool cannot serve, with c.err saying which.
func (p *Pool) submit(c *call) bool {
	p.mu.Lock()
	if err := p.closedLocked(); err != nil {
		p.mu.Unlock()
		c.err = err
		return false
	}
	if p.queue.len == 0 {
		if ch := p.pickLocked(); ch != nil {
			p.stats.accepted++
			p.lendLocked(ch, c)
			if len(p.flushing) > 0 {
				p.yieldLocked()
			}
			p.unlock()
			return true
		}
	}
	if p.queue.len >= p.cfg.Queue {
		p.mu.Unlock()
		return false
	}
	p.stats.accepted++
	p.queue.pushBack(c)
	due := p.queue.len == 1 || p.cfg.perRequest()
	p.mu.Unlock()
	if due {
		p.kickKeeper() // more workers may be due; it keeps an eye on a queue that stays
	}
	return true
}

// full reports whether a request would be refused now.
func (p *Pool) full() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queue.len >= p.cfg.Queue
}

// pickLocked returns the channel for the next request, nil if all have enough.
func (p *Pool) pickLocked() *channel {
	for len(p.idle) > 0 {
		ch := p.idle[len(p.idle)-1] // the last used: warm caches, and the surplus stays idle
		if ch.idleLocked() {
			return ch
		}
		p.idle = p.idle[:len(p.idle)-1]
		ch.listed = false
	}
	depth := p.depthLocked()
	if depth < 2 {
		return nil
	}
	var best *channel
	now := p.now()
	for _, ch := range p.channels {
		n := len(ch.held)
		if n >= depth || n == 0 || !ch.lendableLocked() || ch.full || ch.link != nil || now-ch.headSince > patience {
			continue
		}
		if best == nil || n < len(best.held) {
			best = ch
		}
	}
	return best
}

// depthLocked returns how many requests a channel may hold.
func (p *Pool) depthLocked() int {
	if p.stats.meanService <= 0 || p.cfg.Program != nil || p.cfg.perRequest() {
		return 1
	}
	limit := maxDepth
	if p.cfg.Depth > 0 {
		limit = min(limit, p.cfg.Depth)
	}
	depth := int(patience / p.stats.meanService)
	if p.stats.prompt > mostlyPrompt {
		// The mean may be of a few long requests: what waits behind one is
		// taken back. A worker that finds its next request there at once does
		// not wait for the front to wake.
		depth = max(depth, 2)
	}
	return min(limit, depth)
}

// lendLocked gives a call to a channel.
func (p *Pool) lendLocked(ch *channel, c *call) {
	if (ch.link != nil) != (c.program != nil) {
		c.fail(errOtherKind)
		return
	}
	if ch.link != nil {
		p.lendProgramLocked(ch, c)
		return
	}
	ch.seq++
	c.seq, c.channel, c.state = ch.seq, ch, callLent
	setSeq(c.frame, c.seq)
	ch.held = append(ch.held, c)
	if len(ch.held) == 1 {
		ch.headSince = p.now()
		p.runningLocked(ch.headSince, 1)
	}
	p.armLocked() // it may be long in coming to this one
	ch.unsent = append(ch.unsent, c)
	if !ch.writing {
		ch.writing = true
		p.flushing = append(p.flushing, ch)
	}
}

// dispatchLocked gives queued calls to whoever can take them.
func (p *Pool) dispatchLocked() {
	for p.queue.len > 0 {
		ch := p.pickLocked()
		if ch == nil {
			return
		}
		c := p.queue.popFront()
		if c.client.Err() != nil {
			c.fail(errClientLeft)
			continue
		}
		p.lendLocked(ch, c)
	}
}

// idleListLocked puts a channel on the list of idle ones.
func (p *Pool) idleListLocked(ch *channel) {
	if !ch.listed && ch.idleLocked() {
		ch.listed = true
		p.idle = append(p.idle, ch)
	}
}

// requeueLocked puts calls that were never started back to the front of the
// queue, in their order.
func (p *Pool) requeueLocked(cs []*call) {
	for i := len(cs) - 1; i >= 0; i-- {
		c := cs[i]
		c.channel, c.counted = nil, false
		if c.abandoned {
			c.release()
			continue
		}
		p.queue.pushFront(c)
	}
}

// takeBackLocked reads the packets back that the channel's worker has not
// read, and queues their calls again. The worker may read one in between two
// of ours, so what comes back need not be one run of held.
func (p *Pool) takeBackLocked(ch *channel) {
	if ch.link != nil {
		return // what it holds runs
	}
	var prefix [packetHead]byte
	var back [maxDepth]*call
	n := 0
	for n < len(back) {
		size, ok := readBack(ch.readEnd, prefix[:])
		if !ok {
			break
		}
		i := slices.IndexFunc(ch.held, func(c *call) bool { return size >= packetHead && c.seq == packetSeq(prefix[:]) })
		if i < 0 {
			continue // the stand-in's of a request that timed out
		}
		back[n] = ch.held[i]
		n++
		ch.held = slices.Delete(ch.held, i, i+1)
	}
	if n == 0 {
		return
	}
	p.stats.takenBack += uint64(n)
	p.requeueLocked(back[:n])
	if len(ch.held) == 0 {
		p.runningLocked(p.now(), -1)
		p.idleListLocked(ch)
		if ch.state == channelDraining {
			p.drainedLocked(ch) // no answer comes that would
		}
	}
}

// tookLocked notes what a request took.
func (s *stats) tookLocked(service time.Duration) {
	sample := max(min(service, sampleCap), 1)
	if s.meanService == 0 {
		s.meanService = sample
	}
	s.meanService = max(s.meanService+(sample-s.meanService)/smoothing, 1)
	within := 0.0
	if service <= patience {
		within = 1
	}
	s.prompt += (within - s.prompt) / smoothing
}

// answeredLocked takes the first call from a channel whose answer is
// complete, and gives the channel more.
func (p *Pool) answeredLocked(ch *channel) {
	now := p.now()
	service := now - ch.headSince
	p.ranLocked(ch, now)
	p.stats.answered++
	ch.served++
	if !ch.streaming {
		p.stats.tookLocked(service)
	}
	ch.ran = ch.held[0].id
	ch.held = slices.Delete(ch.held, 0, 1)
	ch.streaming, ch.full = false, false
	ch.headSince = now
	if len(ch.held) == 0 {
		p.runningLocked(now, -1)
	}
	proc := ch.process
	proc.served++
	if proc.served == settled {
		ch.host.settledLocked()
	}
	if proc.limit > 0 && proc.served >= proc.limit {
		p.retireLocked(proc, "requests")
	}
	if ch.state == channelDraining {
		p.drainedLocked(ch)
		return
	}
	if ch.host.cfg.perRequest() {
		p.drainLocked(ch)
		return
	}
	p.idleListLocked(ch)
	// A channel that still holds half of what it may is not filled up one by
	// one: several packets a system call, and the worker has no wait.
	if p.queue.len > 0 && 2*len(ch.held) <= p.depthLocked() {
		p.dispatchLocked()
	}
}

// runningLocked counts the channels that run a request, and the time that all
// of them together have run.
func (p *Pool) runningLocked(now time.Duration, change int) {
	p.stats.busyTime += time.Duration(p.stats.running) * (now - p.stats.busySince)
	p.stats.busySince = now
	p.stats.running += change
	p.stats.maxRunning = max(p.stats.maxRunning, p.stats.running)
}

// yieldLocked lets others queue their packets for the same system call.
func (p *Pool) yieldLocked() {
	p.mu.Unlock()
	runtime.Gosched()
	p.mu.Lock()
}

// unlock sends what dispatch has assigned, and unlocks.
func (p *Pool) unlock() {
	for len(p.flushing) > 0 {
		ch := p.flushing[len(p.flushing)-1]
		p.flushing = p.flushing[:len(p.flushing)-1]
		p.flushLocked(ch)
	}
	p.mu.Unlock()
}

// flushLocked sends the channel's unsent packets. It lets the lock go while
// it is in the system call, and never waits for the worker.
func (p *Pool) flushLocked(ch *channel) {
	for len(ch.unsent) > 0 && ch.state != channelDead {
		batch := ch.unsent
		ch.unsent, ch.spare = ch.spare[:0], nil
		ch.sender.prepare(batch)
		p.mu.Unlock()
		n, err := ch.sender.send(ch.packets, len(batch))
		p.mu.Lock()
		if err != nil {
			// The socket is full, or the channel is closing: what it did not
			// take is somebody else's.
			ch.full = true
			p.unsentLocked(ch, batch[n:])
		}
		clear(batch)
		ch.spare = batch[:0]
	}
	ch.writing = false
	switch ch.state {
	case channelDraining:
		p.drainedLocked(ch) // unless it holds something still
	case channelDead:
		p.buryLocked(ch)
	}
}

// unsentLocked takes calls that were not sent, and any behind them, back from
// a channel.
func (p *Pool) unsentLocked(ch *channel, cs []*call) {
	if len(cs) == 0 {
		return
	}
	for i, c := range ch.held {
		if c == cs[0] {
			p.requeueLocked(ch.held[i:])
			clear(ch.held[i:])
			ch.held = ch.held[:i]
			break
		}
	}
	clear(ch.unsent)
	ch.unsent = ch.unsent[:0]
	if len(ch.held) == 0 {
		p.runningLocked(p.now(), -1)
		p.idleListLocked(ch)
	}
}

// leaveLocked ends the calls whose clients have left. One that waits is never
// run; the answer to one that runs is discarded, and its channel, which still
// has it, gives it back. It looks at every call, and may be asked often: with
// 10,000 that wait, a look each millisecond took an eighth of the front's time.
// So the more there are, the longer it lets them be.
func (p *Pool) leaveLocked(now time.Duration) {
	if now-p.leftAt < max(queueTick, time.Duration(p.queue.len)*leaveLook) {
		return
	}
	p.leftAt = now
	for c := p.queue.first; c != nil; {
		next := c.next
		if c.client.Err() != nil {
			p.queue.remove(c)
			c.fail(errClientLeft)
		}
		c = next
	}
	for _, ch := range p.channels {
		for i, c := range ch.held {
			if c.state != callLent || c.abandoned || c.client.Err() == nil {
				continue
			}
			if i == 0 {
				atomic.StoreUint64(&ch.words.cancelled, c.seq)
			}
			c.abandoned = true
			c.done <- struct{}{}
		}
	}
}
