package main

// How it is shown: Markdown tables and the goals.

import (
	"cmp"
	"fmt"
	"slices"
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

func printComparison(title string, results []result) {
	fmt.Printf("\n### %s\n\n", title)
	fmt.Println("| stack | requests/s (min – max) | p50 | p99 | CPU a request, front | worker | × " + baseline + " |")
	fmt.Println("|---|---|---|---|---|---|---|")
	var base []sample
	for _, r := range results {
		if r.name == baseline {
			base = r.samples
		}
	}
	for _, r := range results {
		if r.missing != "" {
			fmt.Printf("| %s | %s | | | | | |\n", r.name, r.missing)
			continue
		}
		ratio := "–"
		if len(base) > 0 {
			ratio = fmt.Sprintf("%.2f", ratioOf(r.samples, base))
		}
		fmt.Printf("| %s | %s | %s | %s | %s | %s | %s |\n", r.name, rates(r.samples),
			show(median(r.samples, func(s sample) time.Duration { return s.p50 })),
			show(median(r.samples, func(s sample) time.Duration { return s.p99 })),
			show(median(r.samples, func(s sample) time.Duration { return s.front })),
			show(median(r.samples, func(s sample) time.Duration { return s.worker })),
			ratio)
	}
	if ours := results[0]; len(ours.samples) > 0 && len(base) > 0 {
		got := ratioOf(ours.samples, base)
		goal(got >= 1.3, "%.2f × %s; at least 1.30", got, baseline)
	}
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
	byRate := func(a, b sample) int { return cmp.Compare(a.rate, b.rate) }
	low, high := slices.MinFunc(samples, byRate), slices.MaxFunc(samples, byRate)
	return fmt.Sprintf("%.0f (%.0f – %.0f)", median(samples, rateOf), low.rate, high.rate)
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

func printKept(few, kept result, m memory) {
	fmt.Print("\n### millrace, many kept connections (WSGI hello)\n\n")
	fmt.Println("| load | requests/s (min – max) | p50 | p99 | master RSS | PSS | peak |")
	fmt.Println("|---|---|---|---|---|---|---|")
	for _, r := range []result{few, kept} {
		held := " | | "
		if r.name == kept.name {
			held = fmt.Sprintf("%d MB | %d MB | %d MB", m.rss/1e6, m.pss/1e6, m.peak/1e6)
		}
		fmt.Printf("| %s | %s | %s | %s | %s |\n", r.name, rates(r.samples),
			show(median(r.samples, func(s sample) time.Duration { return s.p50 })),
			show(median(r.samples, func(s sample) time.Duration { return s.p99 })), held)
	}
	got := ratioOf(kept.samples, few.samples)
	goal(got >= 0.8, "%.2f of the rate at %s; at least 0.80", got, few.name)
	goal(m.peak < 100e6, "the master's memory peaked at %d MB; under 100", m.peak/1e6)
}

func printOverload(queue, connections, workers int, r report, refused refusals) {
	fmt.Printf("\n### millrace, queue full (%d workers that wait 50 ms, queue of %d, %d connections)\n\n", workers, queue, connections)
	fmt.Println("| answers/s | of them 503 | 503 in the front, p50 | p99 |")
	fmt.Println("|---|---|---|---|")
	fmt.Printf("| %.0f | %d of %d | %.3f ms | %.3f ms |\n", r.rate, r.refused, r.requests, refused.P50, refused.P99)
	goal(refused.P50 < 0.5, "a 503 takes %.3f ms at the median; under 0.5", refused.P50)
}

// goal says whether a figure is what it should be.
func goal(met bool, format string, args ...any) {
	word := "missed"
	if met {
		word = "met"
	}
	fmt.Printf("\nGoal %s: %s.\n", word, fmt.Sprintf(format, args...))
}
