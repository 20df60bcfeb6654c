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
	fmt.Printf("\n### %d connections beside %d slow clients (php-fpm with 2 children)\n\n", s.connections, gatewaySlowClients)
	fmt.Println("| front | slow clients | of them begun | requests/s (min – max) | p50 | p99 | CPU a request, front | back end |")
	fmt.Println("|---|---|---|---|---|---|---|---|")
	ratio := 0.0
	for _, front := range fastcgiFronts {
		if !slices.Contains(slowFronts, front.name) {
			continue
		}
		alone, beside, begun, err := slowFront(ctx, s, front)
		var missing *missingError
		switch {
		case errors.As(err, &missing):
			fmt.Printf("| %s | %v | | | | | | |\n", front.name, err)
		case err != nil && front.name == slowFronts[0]:
			return err
		case err != nil:
			fmt.Printf("| %s | %d | %d | %s | | | | |\n", front.name, gatewaySlowClients, begun, firstLine(err))
		default:
			printSlow(front.name, "0", "", alone)
			printSlow(front.name, fmt.Sprint(gatewaySlowClients), fmt.Sprint(begun), beside)
			if front.name == slowFronts[0] {
				ratio = ratioOf(beside, alone)
			}
		}
	}
	goal(ratio >= 0.9, "beside slow clients millrace answers %.2f × the rate without; at least 0.90", ratio)
	return nil
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

func printSlow(name, clients, begun string, samples []sample) {
	fmt.Printf("| %s | %s | %s | %s | %s | %s | %s | %s |\n", name, clients, begun, rates(samples),
		show(median(samples, func(s sample) time.Duration { return s.p50 })),
		show(median(samples, func(s sample) time.Duration { return s.p99 })),
		show(median(samples, frontOfSample)),
		show(median(samples, func(s sample) time.Duration { return s.worker })))
}

// slowFront measures one front, in turns without and with slow clients. begun
// is the fewest of them that got as far as their first byte.
func slowFront(ctx context.Context, s *settings, front gatewayFront) (alone, beside []sample, begun int, err error) {
	p, err := gatewayRows()["gateway-fastcgi"].start(ctx, s, front)
	if err != nil {
		return nil, nil, 0, err
	}
	defer p.stop()
	if _, err := load(ctx, p.front.url, s.connections, s.warmUp); err != nil {
		return nil, nil, 0, err
	}
	begun = gatewaySlowClients
	for range s.rounds {
		one, err := p.measure(ctx, s)
		if err != nil {
			return nil, nil, begun, err
		}
		alone = append(alone, one)
		one, n, err := besideCrawlers(ctx, s, p)
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
func besideCrawlers(ctx context.Context, s *settings, p *pair) (one sample, begun int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	address, _, _ := strings.Cut(strings.TrimPrefix(p.front.url, "http://"), "/")
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
	one, err = p.measure(ctx, s)
	cancel()
	wg.Wait()
	close(failures)
	return one, begun, errors.Join(err, <-failures)
}
