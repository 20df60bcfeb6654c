package pool

import (
	"testing"
	"time"
)

// TestDepth: how many requests a channel may hold, by what its requests take.
func TestDepth(t *testing.T) {
	for name, tt := range map[string]struct {
		mean   time.Duration
		prompt float64
		most   int
		want   int
	}{
		"nothing is known":             {0, 0, 0, 1},
		"a hello":                      {20 * time.Microsecond, 1, 0, maxDepth},
		"a template":                   {300 * time.Microsecond, 1, 0, 5},
		"most of a patience":           {time.Millisecond, 1, 0, 2},
		"all of them long":             {50 * time.Millisecond, 0, 0, 0},
		"a few long among short ones":  {3 * time.Millisecond, 0.97, 0, 2},
		"a good part of them long":     {3 * time.Millisecond, 0.8, 0, 0},
		"one at a time, as configured": {time.Millisecond, 1, 1, 1},
	} {
		p := &Pool{cfg: new(Config)}
		p.cfg.Depth = tt.most
		p.stats.meanService, p.stats.prompt = tt.mean, tt.prompt
		if got := p.depthLocked(); got != tt.want {
			t.Errorf("%s: %d, not %d", name, got, tt.want)
		}
	}
}

// TestPrompt: the share of prompt requests follows what there is.
func TestPrompt(t *testing.T) {
	var s stats
	for range 10 * smoothing {
		s.tookLocked(time.Millisecond)
	}
	if s.prompt < 0.99 {
		t.Errorf("all are prompt, and the share is %v", s.prompt)
	}
	for range 10 * smoothing {
		s.tookLocked(2 * patience)
	}
	if s.prompt > 0.01 {
		t.Errorf("none is prompt, and the share is %v", s.prompt)
	}
	if want := 2 * patience; s.meanService < want-want/50 || s.meanService > want {
		t.Errorf("the mean is %v, not %v", s.meanService, want)
	}
}
