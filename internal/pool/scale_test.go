package pool

import "testing"

func TestWanted(t *testing.T) {
	b := bounds{minSpare: 2, maxSpare: 5, maxChildren: 10}
	for _, tt := range []struct {
		name string
		c    census
		b    bounds
		want int
	}{
		{"at rest", census{serving: 2, idle: 2}, b, 2},
		{"some load", census{serving: 4, demand: 2.5}, b, 5},
		{"a load in the noise", census{serving: 4, demand: 2.1}, b, 4},
		{"long requests", census{serving: 2, longBusy: 2}, b, 4},
		{"long requests, and some wait", census{serving: 4, longBusy: 4, queued: 3}, b, 9},
		{"short requests wait", census{serving: 4, longBusy: 1, queued: 3, demand: 1}, b, 3},
		{"more than there may be", census{serving: 10, longBusy: 10, queued: 500}, b, 10},
		{"a fixed number", census{serving: 3, longBusy: 3, queued: 9}, bounds{3, 3, 3}, 3},
		{"never none", census{}, bounds{0, 0, 5}, 1},
	} {
		if got := wanted(tt.c, tt.b); got != tt.want {
			t.Errorf("%s: wanted(%+v) = %d, want %d", tt.name, tt.c, got, tt.want)
		}
	}
}

func TestDecide(t *testing.T) {
	b := bounds{minSpare: 2, maxSpare: 3, maxChildren: 10}
	for _, tt := range []struct {
		name string
		c    census
		want int
		s    steps
	}{
		{"as wanted", census{serving: 4, idle: 2}, 4, steps{}},
		{"grow", census{serving: 2}, 6, steps{fork: 4}},
		{"grow, some on their way", census{serving: 2, starting: 3}, 6, steps{fork: 1}},
		{"surplus within max_spare", census{serving: 5, idle: 3}, 2, steps{}},
		{"surplus", census{serving: 9, idle: 7}, 4, steps{stop: 1}},
		{"roll: the first replacement", census{leaving: 4}, 4, steps{fork: 1}},
		{"roll: wait for it", census{starting: 1, leaving: 4}, 4, steps{}},
		{"roll: it is ready", census{serving: 1, leaving: 4}, 4, steps{release: 1}},
		{"roll: the next", census{serving: 1, leaving: 3}, 4, steps{fork: 1}},
		{"roll: the last", census{serving: 4, leaving: 1}, 4, steps{release: 1}},
		{"roll: the replacements are due themselves", census{leaving: 5}, 4, steps{release: 1}},
		{"roll: fewer are wanted now", census{serving: 2, leaving: 4}, 2, steps{release: 4}},
	} {
		if got := decide(tt.c, tt.want, b); got != tt.s {
			t.Errorf("%s: decide(%+v, %d) = %+v, want %+v", tt.name, tt.c, tt.want, got, tt.s)
		}
	}
}

// TestRoll plays a whole reload: there is never a moment with fewer workers
// than wanted, nor with more than one above.
func TestRoll(t *testing.T) {
	b := bounds{minSpare: 5, maxSpare: 5, maxChildren: 5}
	c := census{leaving: 5}
	for range 100 {
		s := decide(c, 5, b)
		c.starting += s.fork
		c.leaving -= s.release
		if n := c.serving + c.leaving; n < 5 {
			t.Fatalf("%d workers serve: %+v", n, c)
		}
		if n := c.serving + c.leaving + c.starting; n > 6 {
			t.Fatalf("%d workers: %+v", n, c)
		}
		c.serving += c.starting
		c.starting = 0
		if c.leaving == 0 && c.serving == 5 {
			return
		}
	}
	t.Errorf("the roll does not end: %+v", c)
}
