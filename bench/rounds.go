package main

// Interleaved rounds: all entrants of a scenario are up while each is loaded
// in turn, round after round.

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// sample is one round of one entrant.
type sample struct {
	report
	front, worker time.Duration // CPU for one request
	held          held          // near the load's end
}

// result is all rounds of one entrant.
type result struct {
	name    string
	missing string // why there are no samples
	samples []sample
}

// loaded is what is loaded: a stack, or a front with its back end.
type loaded interface {
	request() ask
	cost() (cost, error)
	held() (held, error)
	log() string
	stop()
}

// entrant is one row of a scenario.
type entrant struct {
	name  string
	start func(ctx context.Context, s *settings) (loaded, error)
}

// interleave starts the entrants, warms them up and loads each in each round.
// One that gives a wrong answer has no samples, and its error is returned
// beside the results. after runs at the end of each round; it may be nil.
func interleave(ctx context.Context, s *settings, entrants []entrant, after func() error) ([]result, error) {
	results := make([]result, len(entrants))
	running := make([]loaded, len(entrants))
	var broken []error
	drop := func(i int, err error) {
		results[i].missing, results[i].samples = "broken, see below", nil
		broken = append(broken, err)
		if running[i] != nil {
			running[i].stop()
			running[i] = nil
		}
	}
	defer func() {
		for _, l := range running {
			if l != nil {
				l.stop()
			}
		}
	}()
	for i, e := range entrants {
		results[i].name = e.name
		l, err := e.start(ctx, s)
		if err == nil {
			running[i] = l
			_, err = load(ctx, l.request(), s.connections, s.warmUp)
		}
		var missing *missingError
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.As(err, &missing):
			results[i].missing = err.Error()
		case err != nil:
			drop(i, err)
		}
	}
	for range s.rounds {
		for i, l := range running {
			if l == nil {
				continue
			}
			one, err := measure(ctx, s, entrants[i].name, l)
			switch {
			case ctx.Err() != nil:
				return nil, ctx.Err()
			case err != nil:
				drop(i, err)
			default:
				results[i].samples = append(results[i].samples, one)
			}
		}
		if after != nil {
			if err := after(); err != nil {
				return nil, err
			}
		}
	}
	return results, errors.Join(broken...)
}

// measure is one load with the CPU time that it took. A wrong answer before
// or after it, or an error under it, is an error.
func measure(ctx context.Context, s *settings, name string, l loaded) (sample, error) {
	fail := func(err error) (sample, error) {
		return sample{}, fmt.Errorf("%s is broken: %w\n%s", name, err, l.log())
	}
	a := l.request()
	if err := a.check(ctx); err != nil {
		return fail(err)
	}
	before, err := l.cost()
	if err != nil {
		return sample{}, err
	}
	var held held
	looked := make(chan error, 1)
	look := time.AfterFunc(s.duration*4/5, func() {
		var err error
		held, err = l.held()
		looked <- err
	})
	r, err := load(ctx, a, s.connections, s.duration)
	if look.Stop() {
		looked <- nil
	}
	if err := errors.Join(err, <-looked); err != nil {
		return sample{}, err
	}
	after, err := l.cost()
	if err != nil {
		return sample{}, err
	}
	if err := errors.Join(r.whole(), a.check(ctx)); err != nil {
		return fail(err)
	}
	return sample{
		report: r,
		front:  (after.front - before.front) / time.Duration(r.requests),
		worker: (after.worker - before.worker) / time.Duration(r.requests),
		held:   held,
	}, nil
}
