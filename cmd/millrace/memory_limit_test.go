package main

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestMemoryLimit(t *testing.T) {
	const mb = 1 << 20
	for name, tt := range map[string]struct {
		found footprint
		want  int64
	}{
		"little lives":    {footprint{live: 4 * mb, around: 8 * mb}, leastLimit},
		"objects":         {footprint{live: 60 * mb, around: 8 * mb}, 128 * mb},
		"mostly stacks":   {footprint{live: 20 * mb, around: 100 * mb}, 140 * mb},
		"nothing at all":  {footprint{}, leastLimit},
		"just the limit":  {footprint{live: 8 * mb, around: 8 * mb}, leastLimit},
		"a little beyond": {footprint{live: 9 * mb, around: 8 * mb}, 26 * mb},
	} {
		if got := tt.found.limit(); got != tt.want {
			t.Errorf("%s: the limit is %d, not %d", name, got, tt.want)
		}
	}
}

// TestMemoryLimitFollows: a limit that stays where it was while much more
// lives has the collector run all the time.
func TestMemoryLimitFollows(t *testing.T) {
	before, percent := debug.SetMemoryLimit(-1), debug.SetGCPercent(garbageToLive)
	defer func() {
		debug.SetMemoryLimit(before)
		debug.SetGCPercent(percent)
	}()
	l := new(memoryLimit)
	l.set(leastLimit)
	l.follow()
	lives := make([]byte, 100<<20)
	collectUntil(t, func(limit int64) bool { return limit >= 200<<20 })
	runtime.KeepAlive(lives)
	collectUntil(t, func(limit int64) bool { return limit < 100<<20 })
}

// collectUntil collects garbage until the runtime's limit is as it should be.
func collectUntil(t *testing.T, is func(limit int64) bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for limit := debug.SetMemoryLimit(-1); !is(limit); limit = debug.SetMemoryLimit(-1) {
		if time.Now().After(deadline) {
			t.Fatalf("the limit is %d", limit)
		}
		runtime.GC()
	}
}
