package main

// What is measured: each scenario starts its stacks, loads them, prints.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"
)

// sample is one round of one stack.
type sample struct {
	report
	front, worker time.Duration // CPU for one request
}

// result is all rounds of one stack.
type result struct {
	name    string
	missing string // why there are no samples
	samples []sample
}

// compare loads every stack with one app in interleaved rounds.
func compare(ctx context.Context, s *settings, title, app string) error {
	results := make([]result, len(peers))
	stacks := make([]*stack, len(peers))
	defer func() {
		for _, st := range stacks {
			if st != nil {
				st.stop()
			}
		}
	}()
	var broken []error
	for i, p := range peers {
		results[i].name = p.name
		st, err := p.start(ctx, s, app)
		var missing *missingError
		switch {
		case errors.As(err, &missing):
			results[i].missing = err.Error()
			continue
		case err != nil:
			results[i].missing = "broken, see below"
			broken = append(broken, err)
			continue
		}
		if _, err := load(ctx, st.url, s.connections, s.warmUp); err != nil {
			st.stop()
			return err
		}
		stacks[i] = st
	}
	for range s.rounds {
		for i, st := range stacks {
			if st == nil {
				continue
			}
			one, err := measure(ctx, s, st, s.connections)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				broken = append(broken, err)
				results[i] = result{name: st.name, missing: "broken, see below"}
				st.stop()
				stacks[i] = nil
				continue
			}
			results[i].samples = append(results[i].samples, one)
		}
	}
	printComparison(title, results)
	return errors.Join(broken...)
}

// measure is one load with the CPU time that it took. A wrong answer before
// or after it, or an error under it, is an error.
func measure(ctx context.Context, s *settings, st *stack, connections int) (sample, error) {
	fail := func(err error) (sample, error) {
		return sample{}, fmt.Errorf("%s is broken: %w\n%s", st.name, err, st.log())
	}
	if err := st.check(ctx); err != nil {
		return fail(err)
	}
	before, err := st.cost()
	if err != nil {
		return sample{}, err
	}
	r, err := load(ctx, st.url, connections, s.duration)
	if err != nil {
		return sample{}, err
	}
	after, err := st.cost()
	if err != nil {
		return sample{}, err
	}
	if err := errors.Join(r.whole(), st.check(ctx)); err != nil {
		return fail(err)
	}
	return sample{
		report: r,
		front:  (after.front - before.front) / time.Duration(r.requests),
		worker: (after.worker - before.worker) / time.Duration(r.requests),
	}, nil
}

// keptConnections compares millrace with itself on many connections.
func keptConnections(ctx context.Context, s *settings) error {
	const many = 1000
	st, err := startMillrace(ctx, s, "hello:application", "")
	if err != nil {
		return err
	}
	defer st.stop()
	if _, err := load(ctx, st.url, s.connections, s.warmUp); err != nil {
		return err
	}
	front, err := frontOf(st.front[0].cmd.Process.Pid)
	if err != nil {
		return err
	}
	few, kept := result{name: fmt.Sprint(s.connections, " connections")}, result{name: fmt.Sprint(many, " connections")}
	var worst memory
	for range s.rounds {
		one, err := measure(ctx, s, st, s.connections)
		if err != nil {
			return err
		}
		few.samples = append(few.samples, one)
		stop, done := make(chan struct{}), make(chan error, 1)
		go func() { done <- watchMemory(front, &worst, stop) }()
		one, err = measure(ctx, s, st, many)
		close(stop)
		if err := errors.Join(err, <-done); err != nil {
			return err
		}
		kept.samples = append(kept.samples, one)
	}
	printKept(few, kept, worst)
	return nil
}

// watchMemory keeps the most that a process held until stop is closed.
func watchMemory(pid int, worst *memory, stop <-chan struct{}) error {
	beat := time.NewTicker(200 * time.Millisecond)
	defer beat.Stop()
	for {
		m, err := memoryOf(pid)
		if err != nil {
			return err
		}
		worst.rss, worst.pss, worst.peak = max(worst.rss, m.rss), max(worst.pss, m.pss), max(worst.peak, m.peak)
		select {
		case <-stop:
			return nil
		case <-beat.C:
		}
	}
}

// refusals is what millrace says of 503s of a full queue.
type refusals struct {
	Count uint64  `json:"count"`
	P50   float64 `json:"p50_ms"`
	P99   float64 `json:"p99_ms"`
}

// overload fills the queue of an app that waits 50 ms, and reads how long a
// 503 took in the front.
func overload(ctx context.Context, s *settings) error {
	const queue, connections = 32, 128
	st, err := startMillrace(ctx, s, "hello:waits", fmt.Sprintf("queue = %d", queue))
	if err != nil {
		return err
	}
	defer st.stop()
	r, err := load(ctx, st.url, connections, s.duration)
	if err != nil {
		return err
	}
	if r.errors != "" {
		return fmt.Errorf("millrace is broken: socket errors: %s\n%s", r.errors, st.log())
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	control := filepath.Join(st.front[0].cmd.Dir, "control.sock")
	text, err := exec.CommandContext(ctx, s.millrace, "status", "--json", "--control", control).Output()
	if err != nil {
		return fmt.Errorf("millrace status: %w", err)
	}
	var status struct {
		Apps []struct {
			Name    string   `json:"name"`
			Refused refusals `json:"refused"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(text, &status); err != nil {
		return fmt.Errorf("millrace status: %w", err)
	}
	if len(status.Apps) != 1 || status.Apps[0].Refused.Count == 0 || r.refused == 0 {
		return fmt.Errorf("millrace refused nothing: wrk saw %d refusals of %d answers, status says %s", r.refused, r.requests, text)
	}
	printOverload(queue, connections, s.workers, r, status.Apps[0].Refused)
	return nil
}
