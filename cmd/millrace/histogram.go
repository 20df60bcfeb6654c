package main

// This file counts times: a histogram of bounded memory and stated precision.

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// histogram counts durations from 1 ns to over an hour in buckets that are at
// most 1/128 (0.8%) as wide as what they hold: 128 to each power of two, 37 KB
// in all. It is safe for concurrent use, and adding takes no lock.
type histogram struct {
	counts [buckets]atomic.Int64
	max    atomic.Int64
}

const (
	subBits  = 7
	sub      = 1 << subBits
	maxBits  = 42 // of the largest duration that has a bucket of its own: 73 minutes
	buckets  = (maxBits - subBits + 1) * sub
	accuracy = 1.0 / sub
)

// bucketOf is the index of a duration's bucket.
func bucketOf(d time.Duration) int {
	v := uint64(max(d, 0))
	if v < sub {
		return int(v)
	}
	shift := bits.Len64(v) - subBits - 1
	return min((shift+1)*sub+int(v>>shift)-sub, buckets-1)
}

// upperOf is the largest duration of a bucket.
func upperOf(i int) time.Duration {
	if i < sub {
		return time.Duration(i)
	}
	shift := i/sub - 1
	return time.Duration(uint64(i%sub+sub+1)<<shift - 1)
}

// add counts one.
func (h *histogram) add(d time.Duration) {
	h.counts[bucketOf(d)].Add(1)
	for {
		have := h.max.Load()
		if int64(d) <= have || h.max.CompareAndSwap(have, int64(d)) {
			return
		}
	}
}

// distribution is a histogram at one moment.
type distribution struct {
	counts [buckets]int64
	total  int64
	max    time.Duration
}

func (h *histogram) snapshot() *distribution {
	d := &distribution{max: time.Duration(h.max.Load())}
	for i := range h.counts {
		d.counts[i] = h.counts[i].Load()
		d.total += d.counts[i]
	}
	return d
}

// minus is what came since an earlier moment; its max is that of the bucket.
func (d *distribution) minus(earlier *distribution) *distribution {
	since := &distribution{}
	for i := range d.counts {
		since.counts[i] = d.counts[i] - earlier.counts[i]
		if since.total += since.counts[i]; since.counts[i] > 0 {
			since.max = min(upperOf(i), d.max)
		}
	}
	return since
}

// quantile is the duration that the share q (0 to 1) of all does not exceed,
// at most 1/128 too large and never too small; 0 if there are none.
func (d *distribution) quantile(q float64) time.Duration {
	if d.total == 0 {
		return 0
	}
	rank := int64(q * float64(d.total))
	if float64(rank) < q*float64(d.total) {
		rank++
	}
	rank = min(max(rank, 1), d.total)
	for i, n := range d.counts {
		if rank -= n; rank <= 0 {
			return min(upperOf(i), d.max)
		}
	}
	return d.max
}

// mean is the mean, to half a bucket's width.
func (d *distribution) mean() time.Duration {
	if d.total == 0 {
		return 0
	}
	sum := 0.0
	for i, n := range d.counts {
		if n > 0 {
			lower := time.Duration(0)
			if i > 0 {
				lower = upperOf(i-1) + 1
			}
			sum += float64(n) * (float64(lower) + float64(min(upperOf(i), d.max))) / 2
		}
	}
	return time.Duration(sum / float64(d.total))
}
