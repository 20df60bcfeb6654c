package pool

// Workers that die right after their start, again and again: before they were
// ready, or on one of their first requests. Without a pause between them, a
// view that crashes the interpreter would have us fork as fast as its requests
// come.

import "time"

const (
	// settled is how many requests a process answers until it counts as one
	// that works.
	settled = 10
	// freeCrashes is how many deaths in a row are nothing but bad luck.
	freeCrashes = 5
	// crashDelayMax is the longest pause where workers do become ready: a
	// healthy request may be waiting for one of them.
	crashDelayMax = time.Second
	// startDelayMax is the same where none does.
	startDelayMax = 10 * time.Second
	// tellStarts is after how many failed starts in a row it is said.
	tellStarts = 3
)

// crashes are a host's, under Pool.mu.
type crashes struct {
	startFailures int           // processes that ended before they served, in a row
	early         int           // that died before they had settled, in a row
	lastFailure   time.Duration // Pool.now of the last of either
	paced         time.Duration // Pool.now when the last was started for which others had to wait
	how           string        // the last died
	told          bool
}

// delay is the pause before the next worker.
func (c *crashes) delay() time.Duration {
	return max(startDelay(c.startFailures), crashDelay(c.early))
}

// startDelay is the wait before the next worker when so many in a row have died
// before they were ready.
func startDelay(failures int) time.Duration {
	if failures == 0 {
		return 0
	}
	return min(50*time.Millisecond<<min(failures, 10), startDelayMax)
}

// crashDelay is the same for workers that died on one of their first requests.
func crashDelay(early int) time.Duration {
	if early <= freeCrashes {
		return 0
	}
	return min(50*time.Millisecond<<min(early-freeCrashes, 10), crashDelayMax)
}

// startFailedLocked counts a process that ended before it served, once.
func (p *Pool) startFailedLocked(ch *channel) {
	if ch.ready || ch.process.failed {
		return
	}
	ch.process.failed = true
	h := ch.host
	h.startFailures++
	h.crashedLocked(ch.process)
}

// diedEarlyLocked counts a process that served and died by itself. What has
// one process for each request has no loop: a request is the cause of each.
func (p *Pool) diedEarlyLocked(proc *process) {
	if proc.failed || proc.killed != "" || !proc.servesLocked() || proc.served >= settled || proc.host.cfg.perRequest() {
		return
	}
	proc.host.early++
	proc.host.crashedLocked(proc)
}

// crashedLocked takes the time, and tells once when there is a loop.
func (h *host) crashedLocked(proc *process) {
	p := h.pool
	h.lastFailure, h.how = p.now(), proc.howItDied()
	if h.told || h.early <= freeCrashes && h.startFailures < tellStarts {
		return
	}
	h.told = true
	what, most := "workers die on one of their first requests, again and again; the next ones wait before they start", crashDelayMax
	if h.startFailures >= tellStarts {
		what, most = "workers die before they are ready, again and again; the next ones wait before they start", startDelayMax
	}
	p.log.Error(what, "app", p.name, "deaths", max(h.early, h.startFailures), "how", h.how, "delay", h.delay(), "at_most", most)
}

// settledLocked ends a loop: a process has answered enough.
func (h *host) settledLocked() {
	h.early = 0
	if h.told && h.startFailures == 0 {
		h.told = false
		h.pool.log.Info("workers live again", "app", h.pool.name)
	}
}

// pacedLocked is how many of the workers that are wanted may start now: while
// there is a loop one at a time, after its pause.
func (h *host) pacedLocked(fork, starting int) int {
	delay, now := h.delay(), h.pool.now()
	switch {
	case delay == 0 || fork == 0:
		return fork
	case starting > 0 || now-max(h.lastFailure, h.paced) < delay:
		return 0
	}
	h.paced = now
	return 1
}
