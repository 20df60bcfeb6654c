package pool

// How many workers there should be: pure functions of what is counted.

import "math"

// census is what the keeper counts before it decides. A worker that is to be
// replaced (recycled, or of an earlier generation) counts as leaving only.
type census struct {
	starting int
	serving  int
	idle     int // of serving
	longBusy int // of serving and leaving: its request has run for a while
	leaving  int // serves until a replacement is ready
	queued   int
	demand   float64 // workers that ran a request at one time, smoothed
}

// bounds are an app's own numbers.
type bounds struct{ minSpare, maxSpare, maxChildren int }

// wanted returns the number of workers that the load needs: as many as run
// requests, and min_spare more. When requests wait and every worker is busy
// with something long, each of them needs a worker of its own.
func wanted(c census, b bounds) int {
	need := int(math.Ceil(c.demand - 0.2)) // a fifth of a worker is in the noise
	need = max(need, c.longBusy)
	if c.queued > 0 && c.longBusy >= c.serving+c.leaving {
		need = max(need, c.longBusy+c.queued)
	}
	return max(min(need+b.minSpare, b.maxChildren), min(b.minSpare, b.maxChildren), 1)
}

// steps are what the keeper does next: fork so many, let so many of the
// leaving go, stop so many idle ones.
type steps struct{ fork, release, stop int }

// decide brings the census nearer to want. A replacement is ready before what
// it replaces goes, and there is at most one worker more than wanted: a
// reload on a small machine rolls.
func decide(c census, want int, b bounds) steps {
	var s steps
	live := c.starting + c.serving
	if live < want {
		s.fork = min(want-live, max(want+1-live-c.leaving, 0))
	}
	if c.leaving > 0 {
		s.release = min(max(c.serving+c.leaving-want, 0), c.leaving)
	}
	if live > want && c.idle > b.maxSpare {
		s.stop = 1
	}
	return s
}
