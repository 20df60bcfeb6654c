package pool

import (
	"math/bits"
	"time"
)

// A histogram's buckets double: 62.5 µs, 125 µs … 1 ms, 2 ms … 131 s, and one
// for what took longer.
const (
	histogramFirst   = 62500 * time.Nanosecond
	histogramBuckets = 22
)

// histogram counts durations. It is part of stats, under Pool.mu: to record
// one takes a division by a constant and two additions.
type histogram struct {
	counts [histogramBuckets + 1]uint64
	sum    time.Duration
}

func (h *histogram) record(d time.Duration) {
	d = max(d, 1)
	i := bits.Len64(uint64(d-1) / uint64(histogramFirst))
	h.counts[min(i, histogramBuckets)]++
	h.sum += d
}

// Histogram is how long something took, over all requests so far.
type Histogram struct {
	Count   uint64   `json:"count"`
	Sum     float64  `json:"sum_s"`
	P50     float64  `json:"p50_ms"` // the upper bound of the bucket that it falls in, and so at most twice too long; longer than all: the last bound
	P90     float64  `json:"p90_ms"`
	P99     float64  `json:"p99_ms"`
	Buckets []Bucket `json:"buckets"`
}

// Bucket counts those that took at most a time, and more than the bound before.
type Bucket struct {
	UpTo  float64 `json:"le_s"` // 0, of the last one: any time
	Count uint64  `json:"count"`
}

// snapshot is the histogram for people and programs.
func (h *histogram) snapshot() Histogram {
	s := Histogram{Sum: h.sum.Seconds(), Buckets: make([]Bucket, 0, len(h.counts))}
	for i, n := range h.counts {
		b := Bucket{Count: n}
		if i < histogramBuckets {
			b.UpTo = bound(i).Seconds()
		}
		s.Count += n
		s.Buckets = append(s.Buckets, b)
	}
	s.P50, s.P90, s.P99 = h.quantile(s.Count, 50), h.quantile(s.Count, 90), h.quantile(s.Count, 99)
	return s
}

// bound is the longest time that the bucket counts.
func bound(i int) time.Duration { return histogramFirst << i }

// quantile is the bound, in milliseconds, below which so many of a hundred are.
func (h *histogram) quantile(count uint64, percent uint64) float64 {
	if count == 0 {
		return 0
	}
	need := (count*percent + 99) / 100
	for i, n := range h.counts[:histogramBuckets] {
		if n >= need {
			return milliseconds(bound(i))
		}
		need -= n
	}
	return milliseconds(bound(histogramBuckets - 1))
}
