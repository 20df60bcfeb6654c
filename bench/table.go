package main

// How figures are shown, and the table of a comparison.

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// median of some figures; the mean of the middle two for an even number.
func median[T any, N ~float64 | ~int64](from []T, figure func(T) N) N {
	var all []N
	for _, one := range from {
		all = append(all, figure(one))
	}
	slices.Sort(all)
	n := len(all)
	return (all[(n-1)/2] + all[n/2]) / 2
}

func rateOf(s sample) float64 { return s.rate }

func cpuOf(s sample) time.Duration         { return s.front + s.worker }
func frontOfSample(s sample) time.Duration { return s.front }
func workerOf(s sample) time.Duration      { return s.worker }
func p50Of(s sample) time.Duration         { return s.p50 }
func p99Of(s sample) time.Duration         { return s.p99 }
func showOf(samples []sample, figure func(sample) time.Duration) string {
	return show(median(samples, figure))
}

// comparison is a section with a row for each stack, the first of which is
// millrace.
func comparison(title string, results []result) *section {
	sec := &section{title: title, chart: rateChart(title, results), head: []string{
		"stack", "requests/s (min – max)", "p50", "p99", "CPU a request, front", "worker", "in all", "PSS, front", "worker", "millrace ÷ it",
	}}
	ours := results[0].samples
	for _, r := range results {
		if r.missing != "" {
			sec.row(r.name, r.missing)
			continue
		}
		front, frontPSS := "–", "–" // the server has one half
		if median(r.samples, func(s sample) int64 { return s.held.front }) > 0 {
			front = showOf(r.samples, frontOfSample)
			frontPSS = megabytes(r.samples, func(s sample) int64 { return s.held.front })
		}
		sec.row(r.name, rates(r.samples), showOf(r.samples, p50Of), showOf(r.samples, p99Of),
			front, showOf(r.samples, workerOf), showOf(r.samples, cpuOf),
			frontPSS, megabytes(r.samples, func(s sample) int64 { return s.held.worker }), ratioText(ours, r.samples))
	}
	return sec
}

// ratioText is how often the one's rate is in the other's.
func ratioText(ours, theirs []sample) string {
	if len(ours) == 0 || len(theirs) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", ratioOf(ours, theirs))
}

func megabytes(samples []sample, figure func(sample) int64) string {
	return fmt.Sprintf("%.0f MB", float64(median(samples, figure))/1e6)
}

// shareOf is the median over the rounds of one's figure by another's in the
// same round.
func shareOf(ours, theirs []sample, figure func(sample) time.Duration) float64 {
	var shares []float64
	for i := range min(len(ours), len(theirs)) {
		shares = append(shares, float64(figure(ours[i]))/max(1, float64(figure(theirs[i]))))
	}
	return median(shares, func(f float64) float64 { return f })
}

// rateChart is of requests a second, with the spread of the rounds.
func rateChart(title string, results []result) *chart {
	c := &chart{title: title, unit: "requests/s"}
	for i, r := range results {
		c.bars = append(c.bars, rateBar(r, i == 0))
	}
	return c
}

func rateBar(r result, ours bool) bar {
	if r.missing != "" || len(r.samples) == 0 {
		note, _, _ := strings.Cut(r.missing, ":")
		return bar{label: r.name, note: note, ours: ours}
	}
	low, high := spread(r.samples)
	return bar{label: r.name, value: median(r.samples, rateOf), low: low, high: high, ours: ours}
}

// ratioOf is the median over the rounds of one stack's rate by another's in
// the same round.
func ratioOf(ours, theirs []sample) float64 {
	var ratios []float64
	for i := range min(len(ours), len(theirs)) {
		ratios = append(ratios, ours[i].rate/theirs[i].rate)
	}
	return median(ratios, func(r float64) float64 { return r })
}

func rates(samples []sample) string {
	low, high := spread(samples)
	if high < 100 {
		return fmt.Sprintf("%.1f (%.1f – %.1f)", median(samples, rateOf), low, high)
	}
	return fmt.Sprintf("%.0f (%.0f – %.0f)", median(samples, rateOf), low, high)
}

// spread is the lowest and the highest rate.
func spread(samples []sample) (low, high float64) {
	byRate := func(a, b sample) int { return cmp.Compare(a.rate, b.rate) }
	return slices.MinFunc(samples, byRate).rate, slices.MaxFunc(samples, byRate).rate
}

// show rounds to three figures or so.
func show(d time.Duration) string {
	switch {
	case d >= 10*time.Millisecond:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
	case d >= time.Millisecond:
		return fmt.Sprintf("%.2f ms", d.Seconds()*1e3)
	case d >= 100*time.Microsecond:
		return fmt.Sprintf("%.0f µs", d.Seconds()*1e6)
	}
	return fmt.Sprintf("%.1f µs", d.Seconds()*1e6)
}
