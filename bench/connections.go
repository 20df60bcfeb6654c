package main

// How rate and memory change as connections grow, and as workers do.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// connectionCounts are loaded in this order, on stacks that are new in each
// round: what a larger number leaves behind is not counted to a smaller one.
var connectionCounts = []int{1, 16, 64, 256, 1000, 10000}

// connectionKeys let all of the connections' requests wait: a closed load has
// as many under way as it has connections.
const connectionKeys = "queue = 16384"

const (
	manyTime   = 6 * time.Second // of a load with 10,000 connections: to open them takes a part of it
	frontLimit = 60e6            // bytes of millrace's front with 1,000 connections
	keptShare  = 0.8             // of the rate at 64 connections that 10,000 must reach
)

func connections(ctx context.Context, s *settings) error {
	j := job{app: "hello:application", keys: connectionKeys, wait: backlog()}
	peers := peersNamed(s, "millrace", baseline, "granian")
	found := map[int][]result{}
	for _, n := range connectionCounts {
		for _, p := range peers {
			found[n] = append(found[n], result{name: p.name})
		}
	}
	roomy := *s
	roomy.room = 16384
	var broken error
	for range s.rounds {
		err := connectionRound(ctx, &roomy, peers, j, found)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		broken = errors.Join(broken, err)
	}
	s.out.add(connectionSection(found))
	return broken
}

// connectionRound loads each stack with each number of connections once. What
// a peer can't do is its row's; what millrace can't is an error.
func connectionRound(ctx context.Context, s *settings, peers []peer, j job, found map[int][]result) error {
	running := make([]loaded, len(peers))
	defer func() {
		for _, l := range running {
			if l != nil {
				l.stop()
			}
		}
	}()
	var broken error
	for i, p := range peers {
		l, err := p.entrant(j).start(ctx, s)
		if err == nil {
			running[i] = l
			_, err = load(ctx, l.request(), s.connections, s.warmUp)
		}
		if err == nil {
			continue
		}
		for _, n := range connectionCounts {
			found[n][i].missing = firstLine(err.Error())
		}
		var missing *missingError
		if !errors.As(err, &missing) {
			broken = errors.Join(broken, err)
		}
	}
	for _, n := range connectionCounts {
		with := *s
		with.connections = n
		if n >= 10000 {
			with.duration = max(s.duration, manyTime)
		}
		for i, l := range running {
			if l == nil {
				continue
			}
			one, err := measure(ctx, &with, peers[i].name, l)
			if err != nil {
				found[n][i].missing = strings.TrimPrefix(firstLine(err.Error()), peers[i].name+" is broken: ")
				if i == 0 {
					broken = errors.Join(broken, err)
				}
				continue
			}
			found[n][i].samples = append(found[n][i].samples, one)
		}
	}
	return broken
}

func connectionSection(found map[int][]result) *section {
	sec := &section{
		title: "WSGI hello as connections grow",
		note:  "Each connection sends again as soon as it has its answer. PSS is that of the front's processes under the load; granian's workers are its front.",
		head:  []string{"connections", "stack", "requests/s (min – max)", "p50", "p99", "CPU a request", "PSS, front", "PSS, workers", "millrace ÷ it"},
		chart: &chart{title: "WSGI hello as connections grow", unit: "requests/s"},
	}
	for _, n := range connectionCounts {
		for i, r := range found[n] {
			count := figure(float64(n))
			one := rateBar(result{r.name, "", r.samples}, i == 0)
			one.group = count + " connections"
			if n == 1 {
				one.group = "1 connection"
			}
			if len(r.samples) == 0 {
				one.note = "no whole round"
			}
			sec.chart.bars = append(sec.chart.bars, one)
			if len(r.samples) == 0 {
				sec.row(count, r.name, r.missing)
				continue
			}
			rate := rates(r.samples)
			if r.missing != "" { // in some rounds
				rate += ", but " + r.missing
			}
			front := megabytes(r.samples, func(s sample) int64 { return s.held.front })
			if median(r.samples, func(s sample) int64 { return s.held.front }) == 0 {
				front = "–"
			}
			sec.row(count, r.name, rate, showOf(r.samples, p50Of), showOf(r.samples, p99Of), showOf(r.samples, cpuOf),
				front, megabytes(r.samples, func(s sample) int64 { return s.held.worker }), ratioText(found[n][0].samples, r.samples))
		}
	}
	few, many, kept := found[64][0], found[10000][0], found[1000][0]
	if len(few.samples) > 0 && (len(many.samples) > 0 || many.missing != "") {
		got := 0.0
		if len(many.samples) > 0 {
			got = ratioOf(many.samples, few.samples)
		}
		sec.wanted("connections-rate", got >= keptShare && many.missing == "", "%.2f ×", got)
	}
	if len(kept.samples) > 0 {
		worst := slices.MaxFunc(kept.samples, func(a, b sample) int { return cmp.Compare(a.held.front, b.held.front) }).held
		sec.wanted("connections-memory", float64(worst.front) < frontLimit, "%d MB at most, PSS; the keeper's %d MB are counted, too", worst.front/1e6, worst.root/1e6)
	}
	return sec
}

// backlog is the longest queue of a listening socket that the kernel gives.
func backlog() int {
	text, err := os.ReadFile("/proc/sys/net/core/somaxconn")
	if err != nil {
		return 128
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 128
	}
	return min(n, 16384)
}

// workerCounts are the sizes of the pools that are compared.
var workerCounts = []int{1, 2, 4, 8, 16, 32, 64}

// uwsgiCounts are those that nginx + uWSGI is started with, too.
var uwsgiCounts = []int{1, 8, 64}

// workers shows what dispatch costs as the pool grows.
func workers(ctx context.Context, s *settings) error {
	j := job{app: "hello:application"}
	var entrants []entrant
	add := func(p peer, n int) {
		entrants = append(entrants, entrant{fmt.Sprintf("%s, %d", p.name, n), func(ctx context.Context, s *settings) (loaded, error) {
			with := *s
			with.workers = n
			return p.entrant(j).start(ctx, &with)
		}})
	}
	ours, theirs := peersNamed(s, "millrace")[0], peersNamed(s, baseline)[0]
	for _, n := range workerCounts {
		add(ours, n)
	}
	for _, n := range uwsgiCounts {
		add(theirs, n)
	}
	results, err := interleave(ctx, s, entrants, nil)
	if results == nil {
		return err
	}
	sec := comparison("WSGI hello as workers grow", results)
	sec.note = "The last column compares with one worker of millrace."
	sec.head[0], sec.head[len(sec.head)-1] = "stack, workers", "one worker ÷ it"
	for i := range sec.chart.bars {
		sec.chart.bars[i].ours = i < len(workerCounts)
	}
	s.out.add(sec)
	return err
}
