package main

// The gateway: millrace beside the front servers that people put before
// php-fpm and before an HTTP server. Each front has a back end of its own,
// since the connections that one keeps would hold the other's children.

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// gatewayRow is one kind of back end and the fronts that are compared on it.
type gatewayRow struct {
	title  string
	path   string
	back   func(ctx context.Context, s *settings) (*backEnd, error)
	fronts []gatewayFront
	goals  func(samples map[string][]sample)
}

func gatewayRows() map[string]gatewayRow {
	return map[string]gatewayRow{
		"gateway-fastcgi": {title: "FastCGI: hello of php-fpm with 2 children", path: "hello.php", back: startPHP, fronts: fastcgiFronts, goals: fastcgiGoals},
		"gateway-http":    {title: "HTTP: hello of an nginx behind", path: "", back: startHello, fronts: httpFronts, goals: httpGoals},
	}
}

// gateway loads every front in interleaved rounds.
func gateway(row gatewayRow) func(context.Context, *settings) error {
	return func(ctx context.Context, s *settings) error {
		results := make([]result, len(row.fronts))
		pairs := make([]*pair, len(row.fronts))
		defer func() {
			for _, p := range pairs {
				p.stop()
			}
		}()
		var broken []error
		drop := func(i int, err error) {
			results[i].missing, results[i].samples = "broken, see below", nil
			broken = append(broken, err)
			pairs[i].stop()
			pairs[i] = nil
		}
		for i, front := range row.fronts {
			results[i].name = front.name
			var err error
			if pairs[i], err = row.start(ctx, s, front); err == nil {
				_, err = load(ctx, pairs[i].front.url, s.connections, s.warmUp)
			}
			var missing *missingError
			switch {
			case errors.As(err, &missing):
				results[i].missing = err.Error()
			case err != nil:
				drop(i, err)
			}
		}
		for range s.rounds {
			for i, p := range pairs {
				if p == nil {
					continue
				}
				one, err := p.measure(ctx, s)
				switch {
				case ctx.Err() != nil:
					return ctx.Err()
				case err != nil:
					drop(i, err)
				default:
					results[i].samples = append(results[i].samples, one)
				}
			}
		}
		printGateway(row, s.connections, results)
		return errors.Join(broken...)
	}
}

// pair is a front and what is behind it.
type pair struct {
	front *stack
	back  *backEnd
}

func (row gatewayRow) start(ctx context.Context, s *settings, front gatewayFront) (*pair, error) {
	back, err := row.back(ctx, s)
	if err != nil {
		return nil, err
	}
	st, err := front.start(ctx, s, back, row.path)
	if err != nil {
		back.stop()
		return nil, err
	}
	return &pair{st, back}, nil
}

// stop ends all processes; p may be nil.
func (p *pair) stop() {
	if p != nil {
		p.front.stop()
		p.back.stop()
	}
}

// cost is what all processes of the front took, and those of the back end.
func (p *pair) cost() (cost, error) {
	front, err := p.front.cost()
	back, err2 := p.back.cost()
	return cost{front.front + front.worker, back.front + back.worker}, errors.Join(err, err2)
}

// measure is one load: front is all that the front's processes took for a
// request, worker what the back end's did.
func (p *pair) measure(ctx context.Context, s *settings) (sample, error) {
	fail := func(err error) (sample, error) {
		return sample{}, fmt.Errorf("%s is broken: %w\n%s", p.front.name, err, p.front.log())
	}
	if err := p.front.check(ctx); err != nil {
		return fail(err)
	}
	before, err := p.cost()
	if err != nil {
		return sample{}, err
	}
	r, err := load(ctx, p.front.url, s.connections, s.duration)
	if err != nil {
		return sample{}, err
	}
	after, err := p.cost()
	if err != nil {
		return sample{}, err
	}
	if err := errors.Join(r.whole(), p.front.check(ctx)); err != nil {
		return fail(err)
	}
	return sample{
		report: r,
		front:  (after.front - before.front) / time.Duration(r.requests),
		worker: (after.worker - before.worker) / time.Duration(r.requests),
	}, nil
}

func printGateway(row gatewayRow, connections int, results []result) {
	fmt.Printf("\n### %s, %d connections\n\n", row.title, connections)
	fmt.Println("| front | requests/s (min – max) | p50 | p99 | CPU a request, front | back end | × nginx |")
	fmt.Println("|---|---|---|---|---|---|---|")
	samples := map[string][]sample{}
	for _, r := range results {
		samples[r.name] = r.samples
	}
	for _, r := range results {
		if r.missing != "" {
			fmt.Printf("| %s | %s | | | | | |\n", r.name, r.missing)
			continue
		}
		ratio := "–"
		if len(samples["nginx"]) > 0 {
			ratio = fmt.Sprintf("%.2f", ratioOf(r.samples, samples["nginx"]))
		}
		fmt.Printf("| %s | %s | %s | %s | %s | %s | %s |\n", r.name, rates(r.samples),
			show(median(r.samples, func(s sample) time.Duration { return s.p50 })),
			show(median(r.samples, func(s sample) time.Duration { return s.p99 })),
			show(median(r.samples, frontOfSample)),
			show(median(r.samples, func(s sample) time.Duration { return s.worker })), ratio)
	}
	row.goals(samples)
}

func frontOfSample(s sample) time.Duration { return s.front }

// fastcgiGoals compares with nginx as it is configured by most, and with the
// front of Caddy.
func fastcgiGoals(samples map[string][]sample) {
	ours := samples["millrace"]
	if nginx := samples["nginx"]; len(ours) > 0 && len(nginx) > 0 {
		got := ratioOf(ours, nginx)
		goal(got >= 1.2, "%.2f × nginx; at least 1.20", got)
	}
	if kept := samples["nginx, keepalive"]; len(ours) > 0 && len(kept) > 0 {
		got := ratioOf(ours, kept)
		goal(got >= 1.2, "%.2f × nginx with keepalive; at least 1.20", got)
	}
	if caddy := samples["Caddy"]; len(ours) > 0 && len(caddy) > 0 {
		got := float64(median(ours, frontOfSample)) / float64(median(caddy, frontOfSample))
		goal(got <= 0.5, "%.2f of the CPU that Caddy's front takes for a request; at most 0.50", got)
	}
}

func httpGoals(samples map[string][]sample) {
	if ours, nginx := samples["millrace"], samples["nginx"]; len(ours) > 0 && len(nginx) > 0 {
		got := ratioOf(ours, nginx)
		goal(got >= 1, "%.2f × nginx; at least 1", got)
	}
}
