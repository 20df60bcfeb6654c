package main

// Slow clients: 200 of them, half sending a body and half taking a response a
// byte now and then, beside a fast one, on a pool of two workers.

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

const slowClients = 200

// crawler is a slow client: it writes a request's body a byte at a time, or
// reads an answer so.
type crawler struct {
	head string        // of the request
	up   bool          // the body is slow
	beat time.Duration // between two bytes

	begun func() // called after the first byte of its own; may be nil
}

// crawl is one slow client's life. It ends with ctx.
func (c crawler) crawl(ctx context.Context, address string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.(*net.TCPConn).SetReadBuffer(4096); err != nil { // so that the kernel does not take the answer in its place
		return err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if _, err := conn.Write([]byte(c.head)); err != nil {
		return err
	}
	beat := time.NewTicker(c.beat)
	defer beat.Stop()
	one := make([]byte, 1)
	for first := true; ; first = false {
		select {
		case <-ctx.Done():
			return nil
		case <-beat.C:
		}
		if c.up {
			_, err = conn.Write(one)
		} else {
			_, err = conn.Read(one)
		}
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("a slow client was cut: %w", err)
		}
		if first && c.begun != nil {
			c.begun()
		}
	}
}

// besideSlow loads the stack with one fast client while slow ones are there.
func besideSlow(ctx context.Context, s *settings, st *stack, address string) (sample, error) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	failures := make(chan error, slowClients)
	for i := range slowClients {
		wg.Go(func() {
			c := crawler{head: "GET /large HTTP/1.1\r\nHost: slow\r\n\r\n", beat: 100 * time.Millisecond}
			if i%2 == 0 {
				c.head, c.up = "POST /hello HTTP/1.1\r\nHost: slow\r\nContent-Length: 100000\r\n\r\n", true
			}
			if err := c.crawl(ctx, address); err != nil {
				failures <- err
			}
		})
	}
	one, err := measure(ctx, s, st.name, st)
	cancel()
	wg.Wait()
	close(failures)
	return one, errors.Join(err, <-failures)
}

// slow prints the fast client's latency without and with slow ones.
func slow(ctx context.Context, s *settings) error {
	two := *s
	two.workers, two.connections = 2, 1
	st, err := startMillrace(ctx, &two, job{app: "slow:application"})
	if err != nil {
		return err
	}
	defer st.stop()
	address := strings.TrimSuffix(strings.TrimPrefix(st.ask.url, "http://"), "/")
	if _, err := load(ctx, st.ask, 1, s.warmUp); err != nil {
		return err
	}
	alone, beside := result{name: "none"}, result{name: fmt.Sprint(slowClients)}
	for range s.rounds {
		one, err := measure(ctx, &two, st.name, st)
		if err != nil {
			return err
		}
		alone.samples = append(alone.samples, one)
		if one, err = besideSlow(ctx, &two, st, address); err != nil {
			return err
		}
		beside.samples = append(beside.samples, one)
	}
	sec := &section{title: "One fast client beside slow ones (2 workers, WSGI hello)", head: []string{"slow clients", "requests/s (min – max)", "p50", "p99"}}
	for _, r := range []result{alone, beside} {
		sec.row(r.name, rates(r.samples), showOf(r.samples, p50Of), showOf(r.samples, p99Of))
	}
	ratio := float64(median(beside.samples, p50Of)) / float64(median(alone.samples, p50Of))
	sec.goal(ratio <= 1.15, "the fast client's median latency is %.2f × that without slow clients; no more than noise, 1.15", ratio)
	s.out.add(sec)
	return nil
}
