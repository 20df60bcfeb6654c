package main

// Fairness: what it costs a short request that a worker may hold several
// requests, and what it gives. The pool runs inside this process, once as it
// is and once with one request per worker; both get the same arrivals.

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
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
	url    string
	client *http.Client
	stop   func()
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
		url:    "http://" + l.Addr().String(),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000}},
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

// arrival is one request of an open load.
type arrival struct {
	after time.Duration // of the load's begin
	long  bool
}

// arrivals is a Poisson process at a rate, with a share of long requests.
func arrivals(seed uint64, rate float64, length time.Duration) []arrival {
	r := rand.New(rand.NewPCG(seed, 1))
	var all []arrival
	for at := time.Duration(0); ; {
		at += time.Duration(r.ExpFloat64() / rate * float64(time.Second))
		if at > length {
			return all
		}
		all = append(all, arrival{after: at, long: r.Float64() < longShare})
	}
}

// replay sends the arrivals at their times, whatever the answers do, and
// returns the latencies of the short ones.
func (in *inProcess) replay(all []arrival) ([]time.Duration, error) {
	var mu sync.Mutex
	var short []time.Duration
	var failed error
	var wg sync.WaitGroup
	begin := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for _, a := range all {
		timer.Reset(time.Until(begin.Add(a.after)))
		<-timer.C
		wg.Go(func() {
			path := "/short"
			if a.long {
				path = "/long"
			}
			sent := time.Now()
			err := in.get(path)
			took := time.Since(sent)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
			}
			if !a.long {
				short = append(short, took)
			}
		})
	}
	wg.Wait()
	return short, failed
}

func (in *inProcess) get(path string) error {
	resp, err := in.client.Get(in.url + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, resp.Status)
	}
	return nil
}

func percentile(all []time.Duration, share float64) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}

// fairness prints one row for each number of workers.
func fairness(ctx context.Context, s *settings) error {
	fmt.Printf("\n### Fairness (%.0f%% of requests wait %v, the others run %v; the same arrivals for both pools, half the capacity)\n\n", longShare*100, longTime, shortTime)
	fmt.Println("| workers | short p99, one request a worker | as it is | ratio | short alone, one request a worker | as it is | ratio | hello alone, one request a worker | as it is | ratio |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|---|")
	var goals []func()
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
		goals = append(goals, row.print(workers))
	}
	for _, show := range goals {
		show()
	}
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
		all := arrivals(uint64(round), rate, 2*s.duration)
		sides := []struct {
			in    *inProcess
			short *[]time.Duration
		}{{one, &oneShort}, {deep, &deepShort}}
		if round%2 == 1 {
			slices.Reverse(sides)
		}
		for _, side := range sides {
			short, err := side.in.replay(all)
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
			r, err := load(ctx, side.url, s.connections, s.duration)
			if err != nil {
				return row, err
			}
			*side.into = append(*side.into, sample{report: r})
		}
	}
	return row, nil
}

// print shows the row and returns what shows its goals, for after the table.
func (row fairnessRow) print(workers int) func() {
	p99 := float64(row.deepP99) / float64(row.oneP99)
	rate, hello := ratioOf(row.deepRate, row.oneRate), ratioOf(row.deepHello, row.oneHello)
	fmt.Printf("| %d | %s | %s | %.2f | %s | %s | %.2f | %s | %s | %.2f |\n", workers, show(row.oneP99), show(row.deepP99), p99,
		rates(row.oneRate), rates(row.deepRate), rate, rates(row.oneHello), rates(row.deepHello), hello)
	return func() {
		goal(p99 <= 1.1, "%d workers: the short ones' p99 is %.2f × that of one request a worker; at most 1.10", workers, p99)
		goal(rate >= 1.3, "%d workers: short requests alone run %.2f × as fast as with one request a worker; at least 1.30 (their %v of work are most of what two cores can do)", workers, rate, shortTime)
		goal(hello >= 1.3, "%d workers: a hello alone runs %.2f × as fast as with one request a worker; at least 1.30", workers, hello)
	}
}
