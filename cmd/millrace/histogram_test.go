package main

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestHistogramBuckets(t *testing.T) {
	// Each bucket begins where the one before it has ended, and is no wider
	// than the accuracy says.
	next := time.Duration(0)
	for i := range buckets {
		upper := upperOf(i)
		if upper < next {
			t.Fatalf("bucket %d ends at %d, before it begins at %d", i, upper, next)
		}
		if got := bucketOf(next); got != i {
			t.Fatalf("%d is in bucket %d, not %d", next, got, i)
		}
		if got := bucketOf(upper); got != i {
			t.Fatalf("%d is in bucket %d, not %d", upper, got, i)
		}
		if width := float64(upper - next); width > accuracy*float64(next) {
			t.Fatalf("bucket %d is from %d to %d", i, next, upper)
		}
		next = upper + 1
	}
	if next < time.Hour {
		t.Errorf("the last bucket ends at %v", next)
	}
	if got := bucketOf(100 * time.Hour); got != buckets-1 {
		t.Errorf("100 hours are in bucket %d", got)
	}
	if got := bucketOf(-1); got != 0 {
		t.Errorf("-1 is in bucket %d", got)
	}
}

func TestHistogramQuantiles(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var h histogram
	var all []time.Duration
	sum := 0.0
	for range 100_000 {
		d := time.Duration(random.ExpFloat64() * float64(3*time.Millisecond))
		h.add(d)
		all = append(all, d)
		sum += float64(d)
	}
	slices.Sort(all)
	d := h.snapshot()
	for _, q := range []float64{0, 0.5, 0.9, 0.99, 0.999, 1} {
		exact := all[min(max(int(q*float64(len(all)))-1, 0), len(all)-1)]
		if got := d.quantile(q); got < exact || float64(got) > float64(exact)*(1+accuracy)+1 {
			t.Errorf("%v: %v, exactly %v", q, got, exact)
		}
	}
	if got, exact := float64(d.mean()), sum/float64(len(all)); got < exact*(1-accuracy) || got > exact*(1+accuracy) {
		t.Errorf("mean %v, exactly %v", got, exact)
	}
	if d.max != all[len(all)-1] || d.quantile(1) != d.max || d.total != int64(len(all)) {
		t.Errorf("max %v, 100%% %v, exactly %v; %d of %d", d.max, d.quantile(1), all[len(all)-1], d.total, len(all))
	}
}

func TestHistogramSince(t *testing.T) {
	var h histogram
	h.add(time.Second)
	before := h.snapshot()
	h.add(time.Millisecond)
	h.add(3 * time.Millisecond)
	since := h.snapshot().minus(before)
	if since.total != 2 || since.quantile(0.5) < time.Millisecond || since.quantile(0.5) > 1010*time.Microsecond || since.max > 4*time.Millisecond {
		t.Errorf("%d, 50%% %v, max %v", since.total, since.quantile(0.5), since.max)
	}
	empty := before.minus(before)
	if empty.total != 0 || empty.quantile(0.5) != 0 || empty.mean() != 0 {
		t.Errorf("%d, %v, %v of nothing", empty.total, empty.quantile(0.5), empty.mean())
	}
}
