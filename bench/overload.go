package main

// More than the capacity, and a long view among short ones.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	overloadTimes = 5
	overloadWait  = 5 * time.Millisecond // of the view
	overloadQueue = 100                  // of each stack: uWSGI's own default

	goodShare    = 0.95 // of the capacity
	refusalLimit = 0.3  // ms
)

// refusals is what millrace says of 503s of a full queue.
type refusals struct {
	Count uint64  `json:"count"`
	P50   float64 `json:"p50_ms"`
	P99   float64 `json:"p99_ms"`
}

// overloaded is what one stack did.
type overloaded struct {
	name           string
	missing        string
	capacity, good []float64 // a second, in each round
	answers        []time.Duration
	refused        []time.Duration
	failed         int
	inFront        refusals // millrace's own word
}

// overload sends 5 times what the workers can do.
func overload(ctx context.Context, s *settings) error {
	j := job{app: "hello:waits", keys: fmt.Sprintf("queue = %d", overloadQueue), wait: overloadQueue}
	var all []overloaded
	var running []*stack
	defer func() {
		for _, st := range running {
			if st != nil {
				st.stop()
			}
		}
	}()
	for _, p := range peersNamed(s, "millrace", baseline) {
		st, err := p.start(ctx, s, j)
		one := overloaded{name: p.name}
		var missing *missingError
		switch {
		case errors.As(err, &missing):
			one.missing = err.Error()
		case err != nil:
			return err
		}
		running, all = append(running, st), append(all, one)
	}
	for round := range s.rounds {
		for i, st := range running {
			if st == nil {
				continue
			}
			if err := all[i].round(ctx, s, st, uint64(round)); err != nil {
				return fmt.Errorf("%s: %w\n%s", st.name, err, st.log())
			}
		}
	}
	var err error
	if all[0].inFront, err = refusalsOf(ctx, s, running[0]); err != nil {
		return err
	}
	s.out.add(overloadSection(s, all))
	return nil
}

// round measures the capacity, then sends more than that.
func (o *overloaded) round(ctx context.Context, s *settings, st *stack, seed uint64) error {
	r, err := load(ctx, st.ask, 8*s.workers, s.duration)
	if err := errors.Join(err, r.whole()); err != nil {
		return err
	}
	o.capacity = append(o.capacity, r.rate)
	offered := overloadTimes * float64(s.workers) / overloadWait.Seconds()
	good := 0
	for _, one := range openLoad(ctx, strings.TrimSuffix(st.ask.url, "/"), arrivals(seed, offered, 0, s.duration)) {
		switch {
		case one.err != nil:
			o.failed++
		case one.status == http.StatusOK:
			o.answers = append(o.answers, one.took)
			if one.ended <= s.duration {
				good++
			}
		default:
			o.refused = append(o.refused, one.took)
		}
	}
	o.good = append(o.good, float64(good)/s.duration.Seconds())
	return ctx.Err()
}

func (o *overloaded) share() float64 {
	var shares []float64
	for i := range o.good {
		shares = append(shares, o.good[i]/o.capacity[i])
	}
	return median(shares, func(f float64) float64 { return f })
}

func overloadSection(s *settings, all []overloaded) *section {
	offered := overloadTimes * float64(s.workers) / overloadWait.Seconds()
	title := fmt.Sprintf("Overload: %.0f requests/s, %d × what %d workers can do with a view that waits %v", offered, overloadTimes, s.workers, overloadWait)
	sec := &section{
		title: title,
		note:  fmt.Sprintf("Requests come at random times, whether others were answered or not; each stack has a queue of %d. The capacity is measured by a load that waits for its answers, before each round.", overloadQueue),
		head:  []string{"stack", "capacity, answers/s", "good answers/s", "of the capacity", "p50 of good answers", "p99", "refused", "p50 of refusals, seen by the client", "p99", "without an answer"},
		chart: &chart{title: "Good answers at 5 × the capacity", unit: "answers/s"},
	}
	itself := func(f float64) float64 { return f }
	for i, o := range all {
		if o.missing != "" {
			sec.row(o.name, o.missing)
			sec.chart.bars = append(sec.chart.bars, bar{label: o.name, note: "missing"})
			continue
		}
		sec.row(o.name, figure(median(o.capacity, itself)), figure(median(o.good, itself)), fmt.Sprintf("%.2f", o.share()),
			show(percentile(o.answers, 0.5)), show(percentile(o.answers, 0.99)), fmt.Sprint(len(o.refused)),
			show(percentile(o.refused, 0.5)), show(percentile(o.refused, 0.99)), fmt.Sprint(o.failed))
		sec.chart.bars = append(sec.chart.bars, bar{label: o.name, value: median(o.good, itself), ours: i == 0})
	}
	ours := all[0]
	sec.wanted("overload-rate", ours.share() >= goodShare, "%.2f ×", ours.share())
	sec.wanted("overload-refusal", ours.inFront.P50 < refusalLimit, "%.3f ms (p99 %.3f ms)", ours.inFront.P50, ours.inFront.P99)
	return sec
}

// refusalsOf asks millrace how long its 503s took from the parsed head to the
// first write.
func refusalsOf(ctx context.Context, s *settings, st *stack) (refusals, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	control := filepath.Join(st.front[0].cmd.Dir, "control.sock")
	text, err := exec.CommandContext(ctx, s.millrace, "status", "--json", "--control", control).Output()
	if err != nil {
		return refusals{}, fmt.Errorf("millrace status: %w", err)
	}
	var status struct {
		Apps []struct {
			Refused refusals `json:"refused"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(text, &status); err != nil {
		return refusals{}, fmt.Errorf("millrace status: %w", err)
	}
	if len(status.Apps) != 1 || status.Apps[0].Refused.Count == 0 {
		return refusals{}, fmt.Errorf("millrace refused nothing, says its status: %s", text)
	}
	return status.Apps[0].Refused, nil
}

// mixedRate is how many short views come in a second: with 1 ms each, a third
// of what is left to them by the long one.
const mixedRate = 300.0

// mixed has one view of 200 ms run at all times among views of 1 ms.
func mixed(ctx context.Context, s *settings) error {
	j := job{app: "hello:views"}
	with := *s
	with.workers = max(2, s.workers)
	peers := peersNamed(s, "millrace", baseline, "granian", "nginx + gunicorn")
	short := make([][]time.Duration, len(peers))
	running, missed, err := startAll(ctx, &with, j, peers)
	defer stopAll(running)
	if err != nil {
		return err
	}
	for round := range s.rounds {
		for i, st := range running {
			if st == nil {
				continue
			}
			base := strings.TrimSuffix(st.ask.url, "/")
			one, err := besideLong(ctx, base, arrivals(uint64(round), mixedRate, 0, 2*s.duration))
			if err != nil {
				return fmt.Errorf("%s: %w\n%s", st.name, err, st.log())
			}
			short[i] = append(short[i], one...)
		}
	}
	sec := &section{
		title: fmt.Sprintf("A view of 200 ms at all times among %.0f views of 1 ms a second (%d workers)", mixedRate, with.workers),
		note:  "One client asks for the long view again and again. The workers of granian and gunicorn have threads, which run other views while one sleeps; those of millrace and uWSGI run one view at a time.",
		head:  []string{"stack", "short views", "p50", "p90", "p99", "the longest"},
		chart: &chart{title: "p99 of views of 1 ms beside one of 200 ms", unit: "ms"},
	}
	for i, p := range peers {
		if missed[i] != "" {
			sec.row(p.name, missed[i])
			continue
		}
		all := short[i]
		sec.row(p.name, fmt.Sprint(len(all)), show(percentile(all, 0.5)), show(percentile(all, 0.9)), show(percentile(all, 0.99)), show(percentile(all, 1)))
		sec.chart.bars = append(sec.chart.bars, bar{label: p.name, value: percentile(all, 0.99).Seconds() * 1e3, ours: i == 0})
	}
	if len(short[1]) > 0 {
		ours, theirs := percentile(short[0], 0.99), percentile(short[1], 0.99)
		sec.wanted("mixed", ours <= theirs, "%s against %s", show(ours), show(theirs))
	}
	s.out.add(sec)
	return nil
}

// besideLong returns the latencies of short views while the long one runs.
func besideLong(ctx context.Context, base string, all []arrival) ([]time.Duration, error) {
	long, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var failed error
	wg.Go(func() {
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		for long.Err() == nil {
			if status, err := get(long, client, base+"/long"); long.Err() == nil && (err != nil || status != http.StatusOK) {
				failed = fmt.Errorf("the long view is answered with %d: %w", status, err)
				return
			}
		}
	})
	outcomes := openLoad(ctx, base, all)
	stop()
	wg.Wait()
	var took []time.Duration
	for _, one := range outcomes {
		if err := one.whole(); err != nil {
			return nil, err
		}
		took = append(took, one.took)
	}
	return took, errors.Join(failed, ctx.Err())
}
