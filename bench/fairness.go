package main

// Fairness: what it costs a short request that a worker may hold several
// requests, and what it gives. The pool runs inside this process, once as it
// is and once with one request per worker; both get the same arrivals.

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"millrace/internal/pool"
	"millrace/internal/spool"
	"millrace/internal/supervise"
)

const (
	longShare = 0.05
	longTime  = 100 * time.Millisecond
	shortTime = 200 * time.Microsecond
)

// inProcess is a pool behind net/http in this process.
type inProcess struct {
	url  string
	stop func()
}

func startInProcess(ctx context.Context, s *settings, app string, workers, depth int) (*inProcess, error) {
	dir := filepath.Join(s.work, "apps")
	cfg := pool.Config{
		Name: "bench", Python: s.python, WSGI: app, Dir: dir, Preload: true,
		Host: pool.HostCommand("bench", s.python, dir, os.Environ(), supervise.Rights{}), Starter: supervise.Local{},
		MinSpare: workers, MaxSpare: workers, MaxChildren: workers, Depth: depth, Queue: 1024,
		RequestTimeout: time.Minute, StartupTimeout: time.Minute, StopTimeout: 10 * time.Second, MaxBody: 1 << 20,
		Spool: spool.New(s.work, 1<<30), Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	p := pool.New(cfg)
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = p.Run(ctx)
	}()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		cancel()
		return nil, err
	}
	server := &http.Server{Handler: p.Handler("")}
	go func() { _ = server.Serve(l) }()
	in := &inProcess{
		url: "http://" + l.Addr().String(),
		stop: func() {
			server.Close()
			cancel()
			<-ended
		},
	}
	select {
	case <-p.Ready():
	case <-time.After(30 * time.Second):
		in.stop()
		return nil, fmt.Errorf("the app %s does not start", app)
	}
	for p.Status().Idle < workers {
		runtime.Gosched()
	}
	return in, nil
}

// replay sends the arrivals at their times, and returns the latencies of the
// short ones.
func (in *inProcess) replay(ctx context.Context, all []arrival) ([]time.Duration, error) {
	var short []time.Duration
	for _, one := range openLoad(ctx, in.url, all) {
		if err := one.whole(); err != nil {
			return nil, err
		}
		if !one.long {
			short = append(short, one.took)
		}
	}
	return short, nil
}

// fairness prints one row for each number of workers.
func fairness(ctx context.Context, s *settings) error {
	sec := &section{
		title: fmt.Sprintf("Fairness (%.0f%% of requests wait %v, the others run %v; the same arrivals for both pools, half the capacity)", longShare*100, longTime, shortTime),
		head:  []string{"workers", "short p99, one request a worker", "as it is", "ratio", "short alone, one request a worker", "as it is", "ratio", "hello alone, one request a worker", "as it is", "ratio"},
	}
	for _, workers := range []int{2, 4} {
		one, err := startInProcess(ctx, s, "mixed:application", workers, 1)
		if err != nil {
			return err
		}
		deep, err := startInProcess(ctx, s, "mixed:application", workers, 0)
		if err != nil {
			one.stop()
			return err
		}
		row, err := compareFairness(ctx, s, one, deep, workers)
		one.stop()
		deep.stop()
		if err != nil {
			return err
		}
		row.add(sec, workers)
	}
	s.out.add(sec)
	return nil
}

// fairnessRow is what one number of workers gave.
type fairnessRow struct {
	oneP99, deepP99     time.Duration
	oneRate, deepRate   []sample // of short requests alone
	oneHello, deepHello []sample // of a hello
}

func compareFairness(ctx context.Context, s *settings, one, deep *inProcess, workers int) (fairnessRow, error) {
	var row fairnessRow
	mean := longShare*longTime.Seconds() + (1-longShare)*shortTime.Seconds()
	rate := float64(workers) / mean / 2
	var oneShort, deepShort []time.Duration
	for round := range s.rounds {
		if ctx.Err() != nil {
			return row, ctx.Err()
		}
		all := arrivals(uint64(round), rate, longShare, 2*s.duration)
		sides := []struct {
			in    *inProcess
			short *[]time.Duration
		}{{one, &oneShort}, {deep, &deepShort}}
		if round%2 == 1 {
			slices.Reverse(sides)
		}
		for _, side := range sides {
			short, err := side.in.replay(ctx, all)
			if err != nil {
				return row, err
			}
			*side.short = append(*side.short, short...)
		}
	}
	row.oneP99, row.deepP99 = percentile(oneShort, 0.99), percentile(deepShort, 0.99)
	for range s.rounds {
		for _, side := range []struct {
			url  string
			into *[]sample
		}{
			{one.url + "/short", &row.oneRate}, {deep.url + "/short", &row.deepRate},
			{one.url + "/hello", &row.oneHello}, {deep.url + "/hello", &row.deepHello},
		} {
			r, err := load(ctx, ask{url: side.url}, s.connections, s.duration)
			if err != nil {
				return row, err
			}
			*side.into = append(*side.into, sample{report: r})
		}
	}
	return row, nil
}

// add adds the row and its goals.
func (row fairnessRow) add(sec *section, workers int) {
	p99 := float64(row.deepP99) / float64(row.oneP99)
	rate, hello := ratioOf(row.deepRate, row.oneRate), ratioOf(row.deepHello, row.oneHello)
	two := func(f float64) string { return fmt.Sprintf("%.2f", f) }
	sec.row(fmt.Sprint(workers), show(row.oneP99), show(row.deepP99), two(p99),
		rates(row.oneRate), rates(row.deepRate), two(rate), rates(row.oneHello), rates(row.deepHello), two(hello))
	sec.goal(p99 <= 1.1, "%d workers: the short ones' p99 is %.2f × that of one request a worker; at most 1.10", workers, p99)
	sec.goal(rate >= 1.3, "%d workers: short requests alone run %.2f × as fast as with one request a worker; at least 1.30 (their %v of work are most of what two cores can do)", workers, rate, shortTime)
	sec.goal(hello >= 1.3, "%d workers: a hello alone runs %.2f × as fast as with one request a worker; at least 1.30", workers, hello)
}
