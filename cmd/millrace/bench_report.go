package main

// This file is what bench says: a line each second, and the result.

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// benchResult is the result; its names are those of --json.
type benchResult struct {
	URL         string           `json:"url"`
	Protocol    string           `json:"protocol"`
	Connections int              `json:"connections"`
	Mode        string           `json:"mode"` // "kept", "fresh" or "shared"
	Shared      int              `json:"requests_per_connection,omitempty"`
	Opened      int64            `json:"connections_opened"`
	Seconds     float64          `json:"seconds"`
	Interrupted bool             `json:"interrupted,omitempty"`
	Requests    int64            `json:"requests"` // with a whole response
	Rate        float64          `json:"requests_per_second"`
	RateAsked   float64          `json:"rate_asked,omitempty"`
	Missed      int64            `json:"due_and_not_sent"`
	Bytes       int64            `json:"body_bytes"`
	MBPerSecond float64          `json:"body_mb_per_second"`
	Statuses    map[int]int64    `json:"statuses"`
	Errors      map[string]int64 `json:"errors"`
	First       []string         `json:"first_errors,omitempty"` // one of each kind
	Latency     latency          `json:"latency_ms"`
}

// latency is in milliseconds.
type latency struct {
	Mean     float64 `json:"mean"`
	P50      float64 `json:"p50"`
	P90      float64 `json:"p90"`
	P99      float64 `json:"p99"`
	P999     float64 `json:"p99_9"`
	Max      float64 `json:"max"`
	Accuracy float64 `json:"accuracy"` // a part of the value, by which it may be too large
}

// result sums a run up.
func (l *load) result(elapsed time.Duration) *benchResult {
	d := l.stats.latency.snapshot()
	ms := func(d time.Duration) float64 { return float64(d) / 1e6 }
	r := &benchResult{
		URL: l.e.given, Protocol: l.e.protocol.String(),
		Connections: l.connections, Mode: "kept", Opened: l.dialled.Load(),
		Seconds:  elapsed.Seconds(),
		Requests: d.total, Rate: float64(d.total) / elapsed.Seconds(), RateAsked: l.rate, Missed: l.missed(elapsed),
		Bytes: l.stats.bytes.Load(), MBPerSecond: float64(l.stats.bytes.Load()) / 1e6 / elapsed.Seconds(),
		Statuses: map[int]int64{}, Errors: map[string]int64{},
		Latency: latency{ms(d.mean()), ms(d.quantile(0.5)), ms(d.quantile(0.9)), ms(d.quantile(0.99)), ms(d.quantile(0.999)), ms(d.max), accuracy},
	}
	switch {
	case l.mpx > 1:
		r.Mode, r.Shared = "shared", l.mpx
		r.Opened = max(r.Opened-int64(l.connections), 0) // as many asked whether requests may share the others
	case l.fresh || !l.e.protocol.keeps():
		r.Mode = "fresh"
	}
	for status := range l.stats.statuses {
		if n := l.stats.statuses[status].Load(); n > 0 {
			r.Statuses[status] = n
		}
	}
	l.stats.mu.Lock()
	defer l.stats.mu.Unlock()
	for kind := range failures {
		r.Errors[kind.String()] = l.stats.failed[kind].Load()
		if err := l.stats.first[kind]; err != nil && kind != failUnfinished {
			r.First = append(r.First, fmt.Sprintf("%v: %v", kind, err))
		}
	}
	return r
}

// print writes a result for people.
func (r *benchResult) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(w, name+"\t"+format+"\n", args...) }
	row("requests", "%d in %.2f s: %.0f/s, bodies of %.2f MB/s", r.Requests, r.Seconds, r.Rate, r.MBPerSecond)
	if r.RateAsked > 0 {
		late := "all were sent"
		if r.Missed > 0 {
			late = fmt.Sprintf("%d were due and not sent: -c is too small for it, or the back end too slow", r.Missed)
		}
		row("rate", "%.6g/s asked; %s", r.RateAsked, late)
	}
	opened := fmt.Sprintf("%d opened", r.Opened)
	switch r.Mode {
	case "shared":
		row("connections", "%d kept, each shared by %d requests; %s", r.Connections, r.Shared, opened)
	case "fresh":
		row("connections", "%d at a time, a new one for each request; %s", r.Connections, opened)
	default:
		row("connections", "%d kept; %s", r.Connections, opened)
	}
	row("statuses", "%s", joinCounts(r.Statuses))
	row("errors", "%s", r.errorText())
	l := &r.Latency
	row("latency", "mean %s, 50%% %s, 90%% %s, 99%% %s, 99.9%% %s, max %s", ms(l.Mean), ms(l.P50), ms(l.P90), ms(l.P99), ms(l.P999), ms(l.Max))
	if err := w.Flush(); err != nil {
		return err
	}
	for _, first := range r.First {
		if _, err := fmt.Fprintln(out, visible("first of "+first)); err != nil {
			return err
		}
	}
	return nil
}

// errorText counts the errors by kind.
func (r *benchResult) errorText() string {
	var parts []string
	for kind := range failures {
		if n := r.Errors[kind.String()]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, errorWords[kind]))
		}
	}
	var refused int64
	for status, n := range r.Statuses {
		if status >= 400 {
			refused += n
		}
	}
	if refused > 0 {
		parts = append(parts, fmt.Sprintf("%d with a status of 400 and above", refused))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

var errorWords = [failures]string{
	failConnect:    "could not connect",
	failTimeout:    "timed out",
	failCut:        "cut short",
	failUnfinished: "unfinished at the end",
	failOther:      "other",
}

// joinCounts is "200: 17, 404: 1".
func joinCounts(counts map[int]int64) string {
	var parts []string
	for status := range 1000 {
		if n := counts[status]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d: %d", status, n))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// ms is a time of so many milliseconds, to three figures.
func ms(v float64) string {
	switch {
	case v >= 1e4:
		return fmt.Sprintf("%.1f s", v/1e3)
	case v >= 100:
		return fmt.Sprintf("%.0f ms", v)
	case v >= 10:
		return fmt.Sprintf("%.1f ms", v)
	case v >= 1:
		return fmt.Sprintf("%.2f ms", v)
	}
	return fmt.Sprintf("%.0f µs", v*1e3)
}

// progress writes a line at each tick until ctx is done.
func (l *load) progress(ctx context.Context, w io.Writer, ticks <-chan time.Time) {
	before, from := l.stats.latency.snapshot(), time.Now()
	started := from
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticks:
			have := l.stats.latency.snapshot()
			since := have.minus(before)
			var failed int64
			for kind := range failures {
				failed += l.stats.failed[kind].Load()
			}
			fmt.Fprintf(w, "%4.0f s  %8.0f/s  50%% %s, 99%% %s  %d done, %d failed\n", now.Sub(started).Seconds(), float64(since.total)/now.Sub(from).Seconds(),
				ms(float64(since.quantile(0.5))/1e6), ms(float64(since.quantile(0.99))/1e6), have.total, failed)
			before, from = have, now
		}
	}
}
