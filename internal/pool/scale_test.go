package pool

import "testing"

func TestWanted(t *testing.T) {
	b := bounds{minSpare: 2, maxSpare: 5, maxChildren: 10}
	static, onDemand, cgi := b, b, b
	static.scaling, onDemand.scaling, cgi.perRequest = Static, OnDemand, true
	for _, tt := range []struct {
		name string
		c    census
		b    bounds
		want int
	}{
		{"at rest", census{serving: 2, idle: 2}, b, 2},
		{"some load", census{serving: 4, demand: 2.5}, b, 5},
		{"a load in the noise", census{serving: 4, demand: 2.1}, b, 4},
		{"long requests", census{serving: 2, busy: 2, longBusy: 2}, b, 4},
		{"long requests, and some wait", census{serving: 4, busy: 4, longBusy: 4, queued: 3}, b, 9},
		{"those of new workers are taken for long", census{serving: 4, busy: 4, longBusy: 3, fresh: 1, queued: 3}, b, 9},
		{"new workers alone say nothing", census{serving: 4, busy: 4, fresh: 4, queued: 3, demand: 1}, b, 3},
		{"short requests wait", census{serving: 4, busy: 4, longBusy: 1, queued: 3, demand: 1}, b, 3},
		{"requests wait, and nobody serves", census{queued: 3}, b, 5},
		{"more than there may be", census{serving: 10, busy: 10, longBusy: 10, queued: 500}, b, 10},
		{"a fixed number", census{serving: 3, busy: 3, longBusy: 3, queued: 9}, bounds{minSpare: 3, maxSpare: 3, maxChildren: 3}, 3},
		{"never none", census{}, bounds{maxChildren: 5}, 1},

		{"static, at rest", census{serving: 4, idle: 4}, static, 10},
		{"static, loaded", census{serving: 10, busy: 10, longBusy: 10, queued: 7}, static, 10},

		{"on demand, at rest", census{}, onDemand, 0},
		{"on demand, the first", census{queued: 1}, onDemand, 1},
		{"on demand, several", census{queued: 4}, onDemand, 4},
		{"on demand, more than there may be", census{queued: 40}, onDemand, 10},
		{"on demand, the first is ready", census{serving: 1, busy: 1, fresh: 1, queued: 3}, onDemand, 1},
		{"on demand, and its request is long", census{serving: 1, busy: 1, longBusy: 1, queued: 3}, onDemand, 4},
		{"on demand, without spares", census{serving: 4, busy: 3, longBusy: 3, idle: 1, demand: 3.9}, onDemand, 3},

		{"cgi, at rest", census{}, cgi, 0},
		{"cgi, a process each", census{serving: 3, busy: 3, queued: 2}, cgi, 5},
		{"cgi, more than there may be", census{serving: 3, busy: 3, queued: 20}, cgi, 10},
	} {
		if got := wanted(tt.c, tt.b); got != tt.want {
			t.Errorf("%s: wanted(%+v) = %d, want %d", tt.name, tt.c, got, tt.want)
		}
	}
}

func TestDecide(t *testing.T) {
	b := bounds{minSpare: 2, maxSpare: 3, maxChildren: 10}
	static, onDemand, cgi, threads := b, b, b, b
	static.scaling, onDemand.scaling, cgi.perRequest = Static, OnDemand, true
	threads.maxChildren, threads.each = 16, 8
	any, ready := pace{32, 32}, due{true, true}
	for _, tt := range []struct {
		name  string
		c     census
		want  int
		b     bounds
		p     pace
		due   due
		s     steps
		after pace
	}{
		{"as wanted", census{serving: 4, idle: 2}, 4, b, pace{8, 8}, ready, steps{}, pace{1, 1}},
		{"grow by one", census{serving: 2, processes: 2}, 9, b, pace{1, 1}, ready, steps{fork: 1}, pace{2, 1}},
		{"then by two", census{serving: 3, processes: 3}, 9, b, pace{2, 1}, ready, steps{fork: 2}, pace{4, 1}},
		{"no more than is needed", census{serving: 5, processes: 5}, 8, b, pace{4, 1}, ready, steps{fork: 3}, pace{8, 1}},
		{"some are on their way", census{serving: 2, starting: 3, processes: 5}, 6, b, pace{4, 1}, ready, steps{fork: 1}, pace{8, 1}},
		{"enough are on their way", census{serving: 2, starting: 4, processes: 6}, 6, b, pace{8, 1}, ready, steps{}, pace{1, 1}},
		{"not yet", census{serving: 2, starting: 1, processes: 3}, 6, b, pace{2, 1}, due{}, steps{}, pace{2, 1}},
		{"some wait still", census{serving: 5, queued: 3, processes: 5}, 5, b, pace{4, 1}, ready, steps{}, pace{4, 1}},
		{"the largest step", census{serving: 40, processes: 40}, 190, bounds{maxChildren: 200}, any, ready, steps{fork: 32}, pace{32, 1}},
		{"no more at once", census{serving: 40, starting: 30, processes: 70}, 190, bounds{maxChildren: 200}, any, ready, steps{fork: 2}, pace{32, 1}},

		{"surplus within max_spare", census{serving: 5, idle: 3}, 2, b, any, ready, steps{}, pace{1, 1}},
		{"surplus", census{serving: 9, idle: 7}, 4, b, pace{1, 1}, ready, steps{stop: 1}, pace{1, 2}},
		{"surplus, a second later", census{serving: 8, idle: 6}, 4, b, pace{1, 2}, ready, steps{stop: 2}, pace{1, 4}},
		{"no less than max_spare", census{serving: 6, idle: 4}, 2, b, pace{1, 4}, ready, steps{stop: 1}, pace{1, 8}},
		{"surplus, not yet", census{serving: 9, idle: 7}, 4, b, pace{1, 2}, due{fork: true}, steps{}, pace{1, 2}},
		{"none goes while some wait", census{serving: 9, idle: 7, queued: 1}, 4, b, pace{1, 2}, ready, steps{}, pace{1, 1}},
		{"static keeps idle ones", census{serving: 10, idle: 10}, 10, static, any, ready, steps{}, pace{1, 1}},
		{"static, fewer since a reload", census{serving: 12, idle: 10}, 10, static, any, ready, steps{stop: 2}, pace{1, 32}},
		{"on demand, within idle_timeout", census{serving: 5, idle: 5}, 0, onDemand, any, ready, steps{}, pace{1, 1}},
		{"on demand, beyond it", census{serving: 5, idle: 5, expired: 3}, 0, onDemand, any, due{}, steps{stop: 3}, pace{1, 1}},

		{"cgi, all at once", census{queued: 7}, 7, cgi, pace{1, 1}, due{}, steps{fork: 7}, pace{2, 1}},
		{"cgi, some at their exit", census{serving: 3, processes: 8, queued: 7}, 10, cgi, any, due{}, steps{fork: 2}, pace{32, 1}},
		{"cgi, and all at their exit", census{processes: 10, out: 10, queued: 7}, 7, cgi, any, due{}, steps{}, pace{32, 1}},

		{"roll: the first replacement", census{leaving: 4, processes: 4}, 4, b, any, ready, steps{fork: 1}, pace{32, 1}},
		{"roll: wait for it", census{starting: 1, leaving: 4, processes: 5}, 4, b, any, ready, steps{}, pace{32, 1}},
		{"roll: it is ready", census{serving: 1, leaving: 4, processes: 5}, 4, b, any, ready, steps{release: 1}, pace{32, 1}},
		{"roll: the next", census{serving: 1, leaving: 3, processes: 4}, 4, b, any, ready, steps{fork: 1}, pace{32, 1}},
		{"roll: the last", census{serving: 4, leaving: 1, processes: 5}, 4, b, any, ready, steps{release: 1}, pace{1, 1}},
		{"roll: the replacements are due themselves", census{leaving: 5, processes: 5}, 4, b, any, ready, steps{release: 1}, pace{32, 1}},
		{"roll: fewer are wanted now", census{serving: 2, leaving: 4, processes: 6}, 2, b, any, ready, steps{release: 4}, pace{1, 1}},
		{"roll: one that was let go is busy still", census{serving: 2, leaving: 8, processes: 11, out: 1}, 10, b, any, ready, steps{}, pace{32, 1}},
		{"roll: all are full, and none is about to end", census{serving: 2, leaving: 8, processes: 11}, 10, b, any, ready, steps{fork: 1}, pace{32, 1}},
		{"threads: one process more", census{leaving: 16, processes: 2}, 16, threads, any, ready, steps{fork: 1}, pace{32, 1}},
		{"threads: those of that process", census{serving: 3, leaving: 13, processes: 3, open: 5}, 16, threads, any, ready, steps{fork: 1}, pace{32, 1}},
		{"threads: not a second one", census{serving: 8, leaving: 8, processes: 3, out: 1}, 16, threads, any, ready, steps{}, pace{32, 1}},
		{"threads: once one is gone", census{serving: 8, leaving: 8, processes: 2}, 16, threads, any, ready, steps{fork: 1}, pace{32, 1}},
	} {
		got, after := decide(tt.c, tt.want, tt.b, tt.p, tt.due)
		if got != tt.s || after != tt.after {
			t.Errorf("%s: decide(%+v, %d) = %+v, %+v, want %+v, %+v", tt.name, tt.c, tt.want, got, after, tt.s, tt.after)
		}
	}
}

// TestGrow plays a load that comes and stays: the steps double, nothing is
// started beyond the need, nor beyond max_children.
func TestGrow(t *testing.T) {
	for _, b := range []bounds{{minSpare: 2, maxSpare: 5, maxChildren: 300}, {minSpare: 2, maxSpare: 5, maxChildren: 120}} {
		c := census{serving: 2, idle: 2, processes: 2}
		p := pace{1, 1}
		var forked []int
		for range 20 {
			c.busy = min(c.serving, 200)
			c.longBusy, c.queued, c.idle = c.busy, 200-c.busy, c.serving-c.busy
			var s steps
			s, p = decide(c, wanted(c, b), b, p, due{true, true})
			c.serving += s.fork
			c.processes += s.fork
			if s.fork > 0 {
				forked = append(forked, s.fork)
			}
			if s.stop > 0 {
				t.Fatalf("%d go under load: %+v", s.stop, c)
			}
		}
		most := min(202, b.maxChildren)
		if c.serving != most {
			t.Errorf("%d workers for 200 long requests, want %d: %v", c.serving, most, forked)
		}
		for i, n := range forked {
			if want := min(1<<i, 32); n != want && i != len(forked)-1 || n > want {
				t.Errorf("steps of %v, want 1, 2, 4 … 32", forked)
				break
			}
		}
		if most == 202 && p.fork != 1 {
			t.Errorf("the need is met and the next step may be %d", p.fork)
		}
	}
}

// TestRoll plays a whole reload: there is never a moment with fewer workers
// than wanted, nor with more than one above.
func TestRoll(t *testing.T) {
	b := bounds{minSpare: 5, maxSpare: 5, maxChildren: 5}
	c := census{leaving: 5, processes: 5}
	p := pace{1, 1}
	for range 100 {
		var s steps
		s, p = decide(c, 5, b, p, due{true, true})
		c.starting += s.fork
		c.leaving -= s.release
		c.processes = c.serving + c.leaving + c.starting
		if n := c.serving + c.leaving; n < 5 {
			t.Fatalf("%d workers serve: %+v", n, c)
		}
		if c.processes > 6 {
			t.Fatalf("%d workers: %+v", c.processes, c)
		}
		c.serving += c.starting
		c.starting = 0
		if c.leaving == 0 && c.serving == 5 {
			return
		}
	}
	t.Errorf("the roll does not end: %+v", c)
}
