package main

// The gateway: millrace beside the front servers that people put before
// php-fpm and before an HTTP server. Each front has a back end of its own,
// since the connections that one keeps would hold the other's children.

import (
	"context"
	"errors"
	"fmt"
)

// gatewayRow is one kind of back end and the fronts that are compared on it.
type gatewayRow struct {
	name   string
	title  string
	path   string
	back   func(ctx context.Context, s *settings) (*backEnd, error)
	fronts []gatewayFront
	goals  func(sec *section, samples map[string][]sample)
}

var gatewayRows = []gatewayRow{
	{name: "gateway-fastcgi", title: "FastCGI: hello of php-fpm with 2 children", path: "hello.php", back: startPHP, fronts: fastcgiFronts, goals: fastcgiGoals},
	{name: "gateway-http", title: "HTTP: hello of an nginx behind", path: "", back: startHello, fronts: httpFronts, goals: httpGoals},
}

// gateway loads every front in interleaved rounds.
func gateway(row gatewayRow) func(context.Context, *settings) error {
	return func(ctx context.Context, s *settings) error {
		var entrants []entrant
		for _, front := range row.fronts {
			entrants = append(entrants, entrant{front.name, func(ctx context.Context, s *settings) (loaded, error) {
				p, err := row.start(ctx, s, front)
				if err != nil {
					return nil, err
				}
				return p, nil
			}})
		}
		results, err := interleave(ctx, s, entrants, nil)
		if results == nil {
			return err
		}
		s.out.add(gatewaySection(row, s.connections, results))
		return err
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

func (p *pair) request() ask { return p.front.ask }
func (p *pair) log() string  { return p.front.log() }

func (p *pair) stop() {
	p.front.stop()
	p.back.stop()
}

// cost is what all processes of the front took, and those of the back end.
func (p *pair) cost() (cost, error) {
	front, err := p.front.cost()
	back, err2 := p.back.cost()
	return cost{front.front + front.worker, back.front + back.worker}, errors.Join(err, err2)
}

func (p *pair) held() (held, error) {
	front, err := p.front.held()
	back, err2 := p.back.held()
	return held{front: front.front + front.worker, worker: back.front + back.worker}, errors.Join(err, err2)
}

func gatewaySection(row gatewayRow, connections int, results []result) *section {
	title := fmt.Sprintf("%s, %d connections", row.title, connections)
	sec := &section{title: title, chart: rateChart(title, results), head: []string{
		"front", "requests/s (min – max)", "p50", "p99", "CPU a request, front", "back end", "PSS, front", "× nginx",
	}}
	samples := bySample(results)
	for _, r := range results {
		if r.missing != "" {
			sec.row(r.name, r.missing)
			continue
		}
		sec.row(r.name, rates(r.samples), showOf(r.samples, p50Of), showOf(r.samples, p99Of), showOf(r.samples, frontOfSample),
			showOf(r.samples, workerOf), megabytes(r.samples, func(s sample) int64 { return s.held.front }), ratioText(r.samples, samples["nginx"]))
	}
	row.goals(sec, samples)
	return sec
}

// fastcgiGoals compares with nginx as it is configured by most, and with the
// front of Caddy.
func fastcgiGoals(sec *section, samples map[string][]sample) {
	ours := samples["millrace"]
	if nginx := samples["nginx"]; len(ours) > 0 && len(nginx) > 0 {
		got := ratioOf(ours, nginx)
		sec.goal(got >= 1.2, "%.2f × nginx; at least 1.20", got)
	}
	if kept := samples["nginx, keepalive"]; len(ours) > 0 && len(kept) > 0 {
		got := ratioOf(ours, kept)
		sec.goal(got >= 1.2, "%.2f × nginx with keepalive; at least 1.20", got)
	}
	if caddy := samples["Caddy"]; len(ours) > 0 && len(caddy) > 0 {
		got := float64(median(ours, frontOfSample)) / float64(median(caddy, frontOfSample))
		sec.goal(got <= 0.5, "%.2f of the CPU that Caddy's front takes for a request; at most 0.50", got)
	}
}

func httpGoals(sec *section, samples map[string][]sample) {
	if ours, nginx := samples["millrace"], samples["nginx"]; len(ours) > 0 && len(nginx) > 0 {
		got := ratioOf(ours, nginx)
		sec.goal(got >= 1, "%.2f × nginx; at least 1", got)
	}
}
