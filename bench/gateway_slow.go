package main

// Slow clients of the gateway: a thousand, half sending a body and half taking
// a response a byte a second, beside a full load, on a php-fpm with two
// children.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	gatewaySlowClients = 1000

	// slowSettle is how long the slow clients have to get as far as their
	// first byte. Where each holds a child they never do.
	slowSettle = 15 * time.Second
)

// slowFronts are those of fastcgiFronts that are compared.
var slowFronts = []string{"millrace", "nginx", "Caddy"}

// gatewaySlow prints the rate of fast requests without and with slow clients.
func gatewaySlow(ctx context.Context, s *settings) error {
	sec := &section{title: fmt.Sprintf("%d connections beside %d slow clients (php-fpm with 2 children)", s.connections, gatewaySlowClients), head: []string{
		"front", "slow clients", "of them begun", "requests/s (min – max)", "p50", "p99", "CPU a request, front", "back end",
	}}
	for _, front := range fastcgiFronts {
		if !slices.Contains(slowFronts, front.name) {
			continue
		}
		alone, beside, begun, err := slowFront(ctx, s, front)
		var missing *missingError
		switch {
		case errors.As(err, &missing):
			sec.row(front.name, err.Error())
		case err != nil && front.name == slowFronts[0]:
			return err
		case err != nil:
			sec.row(front.name, fmt.Sprint(gatewaySlowClients), fmt.Sprint(begun), firstLine(err.Error()))
		default:
			rowSlow(sec, front.name, "0", "", alone)
			rowSlow(sec, front.name, fmt.Sprint(gatewaySlowClients), fmt.Sprint(begun), beside)
			if front.name == slowFronts[0] {
				ratio := ratioOf(beside, alone)
				sec.goal(ratio >= 0.9, "beside slow clients millrace answers %.2f × the rate without; at least 0.90", ratio)
			}
		}
	}
	s.out.add(sec)
	return nil
}

func rowSlow(sec *section, name, clients, begun string, samples []sample) {
	sec.row(name, clients, begun, rates(samples), showOf(samples, p50Of), showOf(samples, p99Of), showOf(samples, frontOfSample), showOf(samples, workerOf))
}

// slowFront measures one front, in turns without and with slow clients. begun
// is the fewest of them that got as far as their first byte.
func slowFront(ctx context.Context, s *settings, front gatewayFront) (alone, beside []sample, begun int, err error) {
	p, err := gatewayRows[0].start(ctx, s, front)
	if err != nil {
		return nil, nil, 0, err
	}
	defer p.stop()
	if _, err := load(ctx, p.front.ask, s.connections, s.warmUp); err != nil {
		return nil, nil, 0, err
	}
	begun = gatewaySlowClients
	for range s.rounds {
		one, err := measure(ctx, s, front.name, p)
		if err != nil {
			return nil, nil, begun, err
		}
		alone = append(alone, one)
		one, n, err := besideCrawlers(ctx, s, front.name, p)
		begun = min(begun, n)
		if err != nil {
			return nil, nil, begun, err
		}
		beside = append(beside, one)
	}
	return alone, beside, begun, nil
}

// besideCrawlers loads the front while slow clients are there, all of them if
// they get through.
func besideCrawlers(ctx context.Context, s *settings, name string, p *pair) (one sample, begun int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	address, _, _ := strings.Cut(strings.TrimPrefix(p.front.ask.url, "http://"), "/")
	var wg sync.WaitGroup
	failures := make(chan error, gatewaySlowClients)
	first := make(chan struct{}, gatewaySlowClients)
	for i := range gatewaySlowClients {
		wg.Go(func() {
			c := crawler{head: "GET /large.php HTTP/1.1\r\nHost: slow\r\n\r\n", beat: time.Second, begun: func() { first <- struct{}{} }}
			if i%2 == 0 {
				c.head, c.up = "POST /hello.php HTTP/1.1\r\nHost: slow\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100000\r\n\r\n", true
			}
			if err := c.crawl(ctx, address); err != nil {
				failures <- err
			}
		})
	}
	settled := time.NewTimer(slowSettle)
	defer settled.Stop()
	for waiting := true; waiting && begun < gatewaySlowClients; {
		select {
		case <-first:
			begun++
		case <-settled.C:
			waiting = false
		}
	}
	one, err = measure(ctx, s, name, p)
	cancel()
	wg.Wait()
	close(failures)
	return one, begun, errors.Join(err, <-failures)
}
