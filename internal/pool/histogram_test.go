package pool

import (
	"testing"
	"time"
)

func TestHistogram(t *testing.T) {
	var h histogram
	if s := h.snapshot(); s.Count != 0 || s.P99 != 0 || len(s.Buckets) != histogramBuckets+1 {
		t.Errorf("empty: %+v", s)
	}
	for _, tt := range []struct {
		d      time.Duration
		bucket int
	}{
		{-time.Second, 0},
		{0, 0},
		{62500 * time.Nanosecond, 0},
		{62501 * time.Nanosecond, 1},
		{125 * time.Microsecond, 1},
		{125*time.Microsecond + 1, 2},
		{time.Millisecond, 4},
		{time.Second, 14},
		{131072 * time.Millisecond, 21},
		{131072*time.Millisecond + 1, 22},
		{1 << 62, 22},
	} {
		var h histogram
		h.record(tt.d)
		if h.counts[tt.bucket] != 1 {
			t.Errorf("%s: not in bucket %d: %v", tt.d, tt.bucket, h.counts)
		}
	}
	for range 90 {
		h.record(time.Millisecond)
	}
	for range 9 {
		h.record(100 * time.Millisecond)
	}
	h.record(time.Hour)
	s := h.snapshot()
	if s.Count != 100 || s.P50 != 1 || s.P90 != 1 || s.P99 != 128 || s.Sum < 3600.98 || s.Sum > 3601 {
		t.Errorf("%+v", s)
	}
	if last := s.Buckets[histogramBuckets]; last != (Bucket{0, 1}) {
		t.Errorf("the last bucket: %+v", last)
	}
	if b := s.Buckets[4]; b != (Bucket{0.001, 90}) {
		t.Errorf("up to 1 ms: %+v", b)
	}
	h.record(time.Hour)
	h.record(time.Hour)
	if s := h.snapshot(); s.P99 != 131072 {
		t.Errorf("beyond all bounds: p99 %v", s.P99)
	}
}

func BenchmarkHistogram(b *testing.B) {
	var h histogram
	d := time.Duration(0)
	b.ReportAllocs()
	for b.Loop() {
		h.record(d)
		d += 977
	}
}
