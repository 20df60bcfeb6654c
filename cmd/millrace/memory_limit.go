package main

// This file: how much garbage is let lie.

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	garbageToLive = 1000     // GOGC: percent
	leastLimit    = 24 << 20 // bytes
)

// tuneMemory trades memory for speed while little lives, and stops that where
// memory counts. A busy server's 5 MB of live heap are outgrown by garbage many
// times a second: at GOGC=400 the collector took 4% of a hello's time, at 1000
// half of that. Without the soft limit 1,000 connections took 127 MB; with it
// the collector works harder from there on (24 MiB or 64: it takes less than
// 2% of a hello's time in either case). It refuses no memory.
//
// A limit that does not move is a trap: where what lives comes near it, the
// collector never rests. With 10,000 connections that waited for an answer it
// took three quarters of the front's time. So the limit follows what lives.
func tuneMemory() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetGCPercent(garbageToLive)
	l := new(memoryLimit)
	l.set(leastLimit)
	l.follow()
}

// memoryLimit is the soft limit of the runtime's memory. After each
// collection it is set to what leaves room for as much garbage as there is
// that lives, and never below leastLimit.
type memoryLimit struct {
	now int64 // bytes
}

// footprint is what a limit is made of, in bytes.
type footprint struct {
	live   uint64 // objects that the last collection found in use
	around uint64 // what the limit counts beside objects: stacks, the collector's books, gaps
}

// limit is twice what lives, and what is around it.
func (f footprint) limit() int64 {
	return max(leastLimit, int64(2*f.live+f.around))
}

// follow asks to be called at the end of every collection.
func (l *memoryLimit) follow() {
	runtime.SetFinalizer(&collected{l}, func(c *collected) {
		c.limit.adapt(readFootprint())
		c.limit.follow()
	})
}

// collected is garbage that tells of its collection.
type collected struct{ limit *memoryLimit }

// adapt sets the limit. Each setting stops all goroutines for some
// microseconds, so one that is a little too high is let be.
func (l *memoryLimit) adapt(f footprint) {
	if limit := f.limit(); limit > l.now || limit < l.now-l.now/8 {
		l.set(limit)
	}
}

func (l *memoryLimit) set(limit int64) {
	l.now = limit
	debug.SetMemoryLimit(limit)
}

func readFootprint() footprint {
	s := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(s)
	v := func(i int) uint64 { return s[i].Value.Uint64() }
	return footprint{live: v(0), around: v(1) - v(2) - v(3) - v(4)}
}
