package pool

// How many workers there are under load: real ones.

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"testing"
	"time"
)

// crowd is a number of clients that can change, each with one request after
// the other.
type crowd struct {
	t      *testing.T
	url    string
	client *http.Client
	wg     sync.WaitGroup
	leave  []context.CancelFunc
}

func newCrowd(t *testing.T, server *httptest.Server, path string) *crowd {
	c := &crowd{t: t, url: server.URL + path, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 300}}}
	t.Cleanup(func() {
		c.set(0)
		c.wg.Wait()
		c.client.CloseIdleConnections()
	})
	return c
}

// set makes it n clients. Those who go end their requests first.
func (c *crowd) set(n int) {
	for len(c.leave) > n {
		last := len(c.leave) - 1
		c.leave[last]()
		c.leave = c.leave[:last]
	}
	for len(c.leave) < n {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		c.leave = append(c.leave, cancel)
		c.wg.Go(func() {
			for ctx.Err() == nil {
				resp, err := c.client.Get(c.url)
				if err != nil {
					c.t.Errorf("GET %s: %v", c.url, err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					c.t.Errorf("GET %s: %d", c.url, resp.StatusCode)
				}
			}
		})
	}
}

// count returns how many workers start or serve, and how many serve.
func (p *Pool) count() (all, serving int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, ch := range p.channels {
		switch ch.state {
		case channelServing:
			serving++
			all++
		case channelStarting:
			all++
		}
	}
	return all, serving
}

// history is the numbers of workers that a pool had, each noted when it
// changed.
type history struct {
	mu     sync.Mutex
	counts []int
	stop   chan struct{}
	done   chan struct{}
}

func watch(p *Pool) *history {
	h := &history{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(h.done)
		beat := time.NewTicker(time.Millisecond)
		defer beat.Stop()
		for {
			all, _ := p.count()
			h.mu.Lock()
			if n := len(h.counts); n == 0 || h.counts[n-1] != all {
				h.counts = append(h.counts, all)
			}
			h.mu.Unlock()
			select {
			case <-h.stop:
				return
			case <-beat.C:
			}
		}
	}()
	return h
}

// end returns the counts.
func (h *history) end() []int {
	close(h.stop)
	<-h.done
	return h.counts
}

// turns counts the changes of direction, each by more than so many workers.
func turns(counts []int, most int) (n int) {
	rises, from := true, counts[0] // from is the highest since it rises, the lowest since it falls
	for _, count := range counts {
		switch {
		case rises == (count > from):
			from = count
		case max(count-from, from-count) > most:
			rises, from = !rises, count
			n++
		}
	}
	return n
}

// reach waits until so many workers serve, and returns how long that took.
func reach(t testing.TB, p *Pool, want int, limit time.Duration) time.Duration {
	t.Helper()
	start := time.Now()
	beat := time.NewTicker(time.Millisecond)
	defer beat.Stop()
	for {
		_, serving := p.count()
		if serving >= want {
			return time.Since(start)
		}
		if time.Since(start) > limit {
			t.Fatalf("%d workers serve after %s, want %d", serving, limit, want)
		}
		<-beat.C
	}
}

const (
	stepMinSpare    = 5
	stepMaxSpare    = 10
	stepMaxChildren = 215
)

// quiet says that the machine does nothing else (make measure): what is said
// of speed in numbers of seconds is held to then. On any other one it is held
// to what the machine does for the like of it at the time.
func quiet() bool { return os.Getenv("MILLRACE_QUIET") != "" }

// forked returns the least time that a pool of n workers took, of a few, from
// its first worker to its last: what n forks take here and now.
func forked(t *testing.T, cfg Config, n int) time.Duration {
	best := time.Hour
	for range 3 {
		t.Run(fmt.Sprintf("%d at the start", n), func(t *testing.T) {
			cfg := cfg
			cfg.fixed(n)
			p, _ := startPool(t, cfg)
			<-p.Ready()
			best = min(best, reach(t, p, n, time.Minute))
		})
	}
	return best
}

// TestSteppedLoad: as slow requests come and go there are as many workers as
// they need and min_spare more, soon; never fewer than min_spare nor more than
// max_children; and their number rises and falls once with the load.
func TestSteppedLoad(t *testing.T) {
	const rounds = 3
	cfg := testConfig(t, "misbehaving:application")
	cfg.MinSpare, cfg.MaxSpare, cfg.MaxChildren = stepMinSpare, stepMaxSpare, stepMaxChildren
	logged(&cfg)
	took := map[int][]time.Duration{} // for each number of requests, by round
	missing := map[int]int{}
	for round := range rounds {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			steppedRound(t, cfg, round == rounds-1, took, missing)
		})
	}
	for _, n := range []int{5, 60, 200} {
		slices.Sort(took[n])
		limit := 50*time.Millisecond + time.Duration(missing[n])*5*time.Millisecond
		if took[n][0] > limit && !quiet() {
			limit = max(limit, 10*forked(t, cfg, missing[n]))
		}
		t.Logf("%3d slow requests, %3d workers missing: %v, at most %v", n, missing[n], took[n], limit)
		if len(took[n]) != rounds || took[n][0] > limit {
			t.Errorf("%d missing workers took %v, want at most %s", missing[n], took[n], limit)
		}
	}
}

// steppedRound goes up the steps, and down again too if fall says so.
func steppedRound(t *testing.T, cfg Config, fall bool, took map[int][]time.Duration, missing map[int]int) {
	p, server := startPool(t, cfg)
	p.waitAtRest(t, stepMinSpare)
	clients := newCrowd(t, server, "/sleep?0.7")
	h := watch(p)
	for _, n := range []int{5, 60, 200} {
		_, have := p.count()
		missing[n] = n + stepMinSpare - have
		clients.set(n)
		took[n] = append(took[n], reach(t, p, n+stepMinSpare, time.Minute))
	}
	shrinks := func(most int) {
		t.Helper()
		eventuallyWithin(t, time.Minute, func() error {
			if all, _ := p.count(); all > most {
				return fmt.Errorf("%d workers, want at most %d", all, most)
			}
			return nil
		})
	}
	if fall {
		clients.set(5)
		shrinks(150)
		clients.set(0)
		clients.wg.Wait()
		shrinks(stepMaxSpare)
	}
	counts := h.end()
	if low, high := slices.Min(counts), slices.Max(counts); low < stepMinSpare || high > 200+stepMinSpare {
		t.Errorf("%d to %d workers; want %d to %d", low, high, stepMinSpare, 200+stepMinSpare)
	}
	swing := 50 // of clients whom a busy machine keeps from their next requests
	if quiet() {
		swing = 0
	}
	if n := turns(counts, swing); fall && n != 1 || !fall && n > 0 {
		t.Errorf("the number of workers changed its direction %d times: %v", n, counts)
	}
}

// TestShortRequests: a load that two workers can carry does not grow the pool,
// though most of its requests wait behind others.
func TestShortRequests(t *testing.T) {
	const minSpare, maxSpare, burst = 2, 4, 16
	cfg := testConfig(t, "misbehaving:application")
	cfg.MinSpare, cfg.MaxSpare, cfg.MaxChildren = minSpare, maxSpare, 40
	logged(&cfg)
	p, server := startPool(t, cfg)
	p.waitAtRest(t, minSpare)
	h := watch(p)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: burst}}
	defer client.CloseIdleConnections()
	var wg sync.WaitGroup
	start := time.Now()
	beat := time.NewTicker(2 * burst * time.Millisecond)
	defer beat.Stop()
	var sent int
	for ; time.Since(start) < 3*time.Second; <-beat.C {
		for range burst {
			sent++
			wg.Go(func() {
				resp, err := client.Get(server.URL + "/sleep?0.001")
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			})
		}
	}
	took := time.Since(start)
	wg.Wait()
	counts := h.end()
	s := p.Status()
	long := uint64(0) // requests that a busy machine has made long
	for _, b := range s.ServiceTime.Buckets {
		if b.UpTo == 0 || b.UpTo > hiccup.Seconds()/2 {
			long += b.Count
		}
	}
	load := float64(sent) / took.Seconds() * s.ServiceTime.Sum / float64(s.ServiceTime.Count)
	t.Logf("%d requests in bursts of %d, a load of %.1f workers, %d of them long; %d waited at most; workers: %v", sent, burst, load, long, s.QueueSeen, counts)
	if s.QueueSeen == 0 {
		t.Error("no request waited")
	}
	if most := slices.Max(counts); most > 2+minSpare+int(long)*burst {
		t.Errorf("%d workers, want at most %d", most, 2+minSpare)
	}
}

// TestSlowAfterShort: what a slow request needs does not come later because
// those before it were short.
func TestSlowAfterShort(t *testing.T) {
	const minSpare, slow, rounds = 2, 20, 3
	cfg := testConfig(t, "misbehaving:application")
	cfg.MinSpare, cfg.MaxSpare, cfg.MaxChildren = minSpare, 4, 40
	logged(&cfg)
	least := func(mean time.Duration) time.Duration { // by the mean of those before
		best := time.Hour
		for round := range rounds {
			t.Run(fmt.Sprint(mean, round), func(t *testing.T) {
				p, server := startPool(t, cfg)
				p.waitAtRest(t, minSpare)
				p.mu.Lock()
				p.stats.meanService = mean
				p.mu.Unlock()
				newCrowd(t, server, "/sleep?0.7").set(slow)
				best = min(best, reach(t, p, slow+minSpare, time.Minute))
			})
		}
		return best
	}
	took := least(300 * time.Microsecond)
	limit := 50*time.Millisecond + slow*5*time.Millisecond
	if took > limit && !quiet() {
		limit = max(limit, 10*least(0))
	}
	t.Logf("%d workers more for slow requests: %v, at most %v", slow, took, limit)
	if took > limit {
		t.Errorf("%d workers more took %v, want at most %s", slow, took, limit)
	}
}

// TestRollBounds: a reload under load takes one more host and one more process
// than configured at most, and no fewer workers serve meanwhile.
func TestRollBounds(t *testing.T) {
	for _, tt := range []struct{ processes, threads int }{{4, 0}, {2, 3}, {1, 4}} {
		t.Run(fmt.Sprintf("%d of %d", tt.processes, tt.threads), func(t *testing.T) {
			cfg := testConfig(t, "misbehaving:application")
			workers := tt.processes * max(tt.threads, 1)
			cfg.Threads = tt.threads
			cfg.fixed(workers)
			logged(&cfg)
			p, server := startPool(t, cfg)
			p.waitAtRest(t, workers)
			newCrowd(t, server, "/sleep?0.02").set(2 * workers)
			stop, done := make(chan struct{}), make(chan struct{})
			hosts, processes, fewest := 0, 0, workers
			go func() {
				defer close(done)
				beat := time.NewTicker(500 * time.Microsecond)
				defer beat.Stop()
				for {
					p.mu.Lock()
					seen := map[*host]bool{}
					for _, proc := range p.processes {
						seen[proc.host] = true
					}
					hosts, processes = max(hosts, len(seen)), max(processes, len(p.processes))
					p.mu.Unlock()
					_, serving := p.count()
					fewest = min(fewest, serving)
					select {
					case <-stop:
						return
					case <-beat.C:
					}
				}
			}()
			for range 5 {
				if err := p.Reload(context.Background(), cfg); err != nil {
					t.Fatal(err)
				}
			}
			close(stop)
			<-done
			if hosts != 2 || processes != tt.processes+1 {
				t.Errorf("%d hosts and %d processes at one time, want 2 and %d", hosts, processes, tt.processes+1)
			}
			if fewest < workers {
				t.Errorf("%d workers serve while it rolls, want %d", fewest, workers)
			}
		})
	}
}
