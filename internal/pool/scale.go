package pool

// How many workers there should be: pure functions of what is counted. A
// worker is a channel: a process, or a thread of one.

import "math"

// How workers come and go.
const (
	Dynamic  = "dynamic"  // MinSpare to MaxSpare idle ones
	Static   = "static"   // MaxChildren, always
	OnDemand = "ondemand" // for requests that wait; idle ones go after IdleTimeout
)

// maxRate bounds the steps: so many workers at a time.
const maxRate = 32

// census is what the keeper counts before it decides. A worker that is to be
// replaced (recycled, or of an earlier generation) counts as leaving only.
type census struct {
	starting int
	serving  int
	idle     int     // of serving
	expired  int     // of idle: for longer than idle_timeout
	leaving  int     // serves until a replacement is ready
	busy     int     // of serving and leaving: runs a request
	longBusy int     // of busy: its request has run for a while
	fresh    int     // of busy: its first request, and not for long yet
	queued   int     // in the queue, or behind a request that runs
	demand   float64 // workers that ran a request at one time, smoothed

	processes int // that are not dead, nor killed
	out       int // of processes: none of its channels starts or serves
	open      int // workers that the present processes have room for
}

// bounds are an app's own numbers.
type bounds struct {
	scaling                         string // "" is Dynamic
	perRequest                      bool   // method cgi: a worker answers one request
	minSpare, maxSpare, maxChildren int    // workers
	each                            int    // workers of a process, at most; 0 is one
}

// mayBeNone reports whether an app at rest has no worker.
func (b bounds) mayBeNone() bool { return b.perRequest || b.scaling == OnDemand }

// wanted returns the number of workers that the load needs.
func wanted(c census, b bounds) int {
	switch {
	case b.perRequest:
		return min(c.busy+c.queued, b.maxChildren)
	case b.scaling == Static:
		return b.maxChildren
	case b.scaling == OnDemand:
		return min(max(c.busy, c.waiting()), b.maxChildren)
	}
	// As many as run requests, and min_spare more.
	need := int(math.Ceil(c.demand - 0.2)) // a fifth of a worker is in the noise
	need = max(need, c.longBusy, c.waiting())
	return max(min(need+b.minSpare, b.maxChildren), min(b.minSpare, b.maxChildren), 1)
}

// waiting returns how many workers there would have to be so that nobody
// waits, 0 while those who wait will soon be served. When every worker is busy
// with something long, each request that waits needs a worker of its own. One
// that runs its first request is no sign that requests are short.
func (c census) waiting() int {
	have := c.serving + c.leaving
	if c.queued == 0 || have > 0 && c.longBusy == 0 || c.longBusy+c.fresh < have {
		return 0
	}
	return c.longBusy + c.fresh + c.queued
}

// pace is how many workers the next step may start or stop: it doubles from
// step to step, and begins anew when the need is met.
type pace struct{ fork, stop int }

// due says which steps it is time for.
type due struct{ fork, stop bool }

// steps are what the keeper does next: fork so many, let so many of the
// leaving go, stop so many idle ones.
type steps struct{ fork, release, stop int }

// decide brings the census nearer to want. A replacement is ready before what
// it replaces goes, and there is at most one worker more than wanted, and one
// process more than configured: a reload on a small machine rolls.
func decide(c census, want int, b bounds, p pace, due due) (steps, pace) {
	var s steps
	live := c.starting + c.serving
	missing := max(want-live, 0)
	switch {
	case b.perRequest:
		s.fork = min(missing, max(b.maxChildren-c.processes, 0))
	case missing > 0 && due.fork:
		s.fork = min(missing, p.fork, maxRate-c.starting, want+1-live-c.leaving, room(c, b))
		s.fork = max(s.fork, 0)
	}
	switch {
	case s.fork > 0:
		p.fork = min(2*p.fork, maxRate)
	case missing == 0 && c.queued == 0:
		p.fork = 1
	}
	if c.leaving > 0 {
		s.release = min(max(c.serving+c.leaving-want, 0), c.leaving)
	}
	surplus := 0
	switch {
	case c.queued > 0:
	case b.mayBeNone():
		s.stop = c.expired // each has had its time
	case b.scaling == Static:
		surplus = min(live-want, c.idle)
	default:
		surplus = min(live-want, c.idle-b.maxSpare)
	}
	switch {
	case surplus <= 0:
		p.stop = 1
	case due.stop:
		s.stop = min(surplus, p.stop)
		p.stop = min(2*p.stop, maxRate)
	}
	return s, p
}

// room returns how many workers can be started with at most one process more
// than configured. Beyond that it waits for processes that are about to end;
// if there is none of these, it waits for nothing.
func room(c census, b bounds) int {
	each := max(b.each, 1)
	processes := (b.maxChildren+each-1)/each + 1 - c.processes
	if processes < 1 && c.out == 0 {
		processes = 1
	}
	return c.open + max(processes, 0)*each
}
