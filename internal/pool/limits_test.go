package pool

// Limits of workers and of the queue, retries, and crash loops.

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestRecyclingByLimit: under load, workers that are replaced for any of the
// limits lose no request.
func TestRecyclingByLimit(t *testing.T) {
	for _, tt := range []struct {
		reason string
		path   string
		limit  func(cfg *Config)
	}{
		{"requests", "/pid", func(cfg *Config) { cfg.MaxRequests = 50 }},
		{"memory", "/grow", func(cfg *Config) { cfg.MaxMemory = 64 << 20 }},
		{"lifetime", "/pid", func(cfg *Config) { cfg.MaxLifetime = 300 * time.Millisecond }},
	} {
		for _, threads := range []int{0, 2} {
			t.Run(fmt.Sprint(tt.reason, "/", threads), func(t *testing.T) {
				if tt.reason == "memory" && !limitsMemory {
					t.Skip("max_memory is for Linux")
				}
				cfg := testConfig(t, "late:application")
				cfg.fixed(2)
				cfg.Threads = threads
				cfg.StopTimeout = time.Minute // what drains must not need it
				tt.limit(&cfg)
				logged(&cfg)
				p, server := startPool(t, cfg)
				load := startLoad(t, server, tt.path, 8)
				eventually(t, func() error {
					if s := p.Status(); s.RecycledBy[tt.reason] < 8 {
						return fmt.Errorf("recycled by %v; want 8 times %s", s.RecycledBy, tt.reason)
					}
					return nil
				})
				if codes := load.stop(); len(codes) != 1 || codes[200] == 0 {
					t.Errorf("answers by status: %v, want 200 alone", codes)
				}
				s := p.Status()
				if len(s.RecycledBy) != 1 || s.Lost != 0 || s.Recycled < 8 {
					t.Errorf("recycled by %v, %d in all, %d requests lost; want %s alone, and none lost", s.RecycledBy, s.Recycled, s.Lost, tt.reason)
				}
			})
		}
	}
}

// TestMemoryBelowRest: a limit that every worker is over from the start is
// said, once, and the app works.
func TestMemoryBelowRest(t *testing.T) {
	if !limitsMemory {
		t.Skip("max_memory is for Linux")
	}
	cfg := testConfig(t, "late:application")
	cfg.MaxMemory = 1 << 20
	log := logged(&cfg)
	p, server := startPool(t, cfg)
	log.wait(t, "max_memory is less than a worker takes")
	first := pidOf(t, server)
	gone(t, first)
	pidOf(t, server)
	if n := strings.Count(log.String(), "max_memory is less"); n != 1 {
		t.Errorf("it was said %d times", n)
	}
	eventually(t, func() error { // its host has to say so first
		if by := p.Status().RecycledBy; by["memory"] == 0 {
			return fmt.Errorf("recycled by %v", by)
		}
		return nil
	})
}

// TestQueueTimeout: who has waited too long gets a 503 at once, and is not
// run.
func TestQueueTimeout(t *testing.T) {
	cfg := testConfig(t, "misbehaving:application")
	cfg.QueueTimeout = 250 * time.Millisecond
	logged(&cfg)
	p, server := startPool(t, cfg)
	p.waitServing(t, 1)
	pidOf(t, server)
	gate := newGate(t)
	running := inBackground(t, server, "/gate?"+gate, 1)
	p.waitRunning(t, "POST /gate")
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			start := time.Now()
			resp, err := http.Get(server.URL + "/pid")
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
			took := time.Since(start)
			if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || took < cfg.QueueTimeout {
				t.Errorf("in the queue: %d after %s, Retry-After %q; want 503 after %s", resp.StatusCode, took, resp.Header.Get("Retry-After"), cfg.QueueTimeout)
			}
		})
	}
	wg.Wait() // while the one that runs stays
	openGate(t, gate)
	if got := counted(t, running, 1); got[200] != 1 {
		t.Errorf("the one that ran: %v", got)
	}
	pidOf(t, server)
	if s := p.Status(); s.QueueTimeouts != 5 || s.Answered != 3 || s.Refused.Count != 0 {
		t.Errorf("queue time-outs %d, answered %d, refused %d; want 5, 3, 0", s.QueueTimeouts, s.Answered, s.Refused.Count)
	}
}

// send sends a request with a body, and returns its status and answer.
func send(t testing.TB, method, url, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return -1, ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return -1, string(b)
	}
	return resp.StatusCode, string(b)
}

// TestRetry: what is run once more, and what is not.
func TestRetry(t *testing.T) {
	for _, threads := range []int{0, 2} {
		t.Run(fmt.Sprint(threads), func(t *testing.T) {
			cfg := testConfig(t, "late:application")
			cfg.fixed(2)
			cfg.Threads = threads
			cfg.Retry = true
			cfg.RequestTimeout = 2 * time.Second
			log := logged(&cfg)
			p, server := startPool(t, cfg)
			retried := uint64(0)
			check := func(method, path string, code int, again bool) {
				t.Helper()
				if again {
					retried++
				}
				got, body := send(t, method, server.URL+path, "")
				if got != code || code == 200 && method != "HEAD" && body != "second" {
					t.Errorf("%s %s: %d %q, want %d", method, path, got, body, code)
				}
				if n := p.Status().Retried; n != retried {
					t.Errorf("%s %s: run once more %d times in all, want %d", method, path, n, retried)
				}
			}
			dir := t.TempDir()
			for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"} {
				check(method, "/crash_unless?"+filepath.Join(dir, method), 200, true)
			}
			check("POST", "/crash_unless?"+filepath.Join(dir, "POST"), 502, false)
			check("PATCH", "/crash_unless?"+filepath.Join(dir, "PATCH"), 502, false)
			check("GET", "/crash", 502, true)          // once
			check("GET", "/stream_and_die", -1, false) // a part of its response was sent
			check("GET", "/sleep?3600", 504, false)    // it took too long
			log.wait(t, "the request is run once more", "uri=/crash")
		})
	}
}

// TestRetryUnderKills: with retry, idempotent requests are all answered while
// workers are killed, with their bodies.
func TestRetryUnderKills(t *testing.T) {
	for _, threads := range []int{0, 2} {
		t.Run(fmt.Sprint(threads), func(t *testing.T) {
			cfg := testConfig(t, "late:application")
			cfg.fixed(4)
			cfg.Threads = threads
			cfg.Retry = true
			logged(&cfg)
			p, server := startPool(t, cfg)
			p.waitServing(t, 4)
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
			defer cancel()
			bodies := []string{strings.Repeat("s", 100), strings.Repeat("m", 100_000), strings.Repeat("l", 300_000)} // in the packet, by reply, in a file
			var wg sync.WaitGroup
			var answered [8]atomic.Int64 // of each client
			for i := range answered {
				wg.Go(func() {
					for ctx.Err() == nil {
						body := bodies[i%len(bodies)]
						want := fmt.Sprintf("%d %x", len(body), sha256.Sum256([]byte(body)))
						if code, got := send(t, "PUT", server.URL+"/echo", body); code != 200 || got != want {
							t.Errorf("PUT of %d bytes: %d %q", len(body), code, got)
						}
						answered[i].Add(1)
					}
				})
			}
			killed := map[int]bool{}
			for p.Status().Retried < 10 && ctx.Err() == nil {
				pid := 0
				for _, w := range p.Status().Workers {
					if w.State == "busy" && !killed[w.PID] && (pid == 0 || rand.IntN(2) == 0) {
						pid = w.PID
					}
				}
				if pid == 0 {
					continue
				}
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					t.Error(err)
				}
				killed[pid] = true
				gone(t, pid)
				// It is once more, so none may meet two deaths.
				for i := range answered {
					before := answered[i].Load()
					eventually(t, func() error {
						if answered[i].Load() == before {
							return fmt.Errorf("client %d has no answer since the last death", i)
						}
						return nil
					})
				}
			}
			cancel()
			wg.Wait()
			s := p.Status()
			t.Logf("%d kills, %d run once more", len(killed), s.Retried)
			if s.Retried < 10 || s.Lost != 0 || s.RecycledBy["died"] == 0 {
				t.Errorf("run once more %d, lost %d, recycled by %v", s.Retried, s.Lost, s.RecycledBy)
			}
		})
	}
}

// TestCrashLoop: a view that crashes the interpreter is no fork bomb, and a
// healthy request ends the pause.
func TestCrashLoop(t *testing.T) {
	cfg := testConfig(t, "late:application")
	cfg.fixed(2)
	log := logged(&cfg)
	p, server := startPool(t, cfg)
	p.waitServing(t, 2)
	load := startLoad(t, server, "/crash", 4)
	log.wait(t, "die on one of their first requests", "delay=")
	log.wait(t, `msg="worker died"`, "SIGSEGV") // which the host may tell later
	eventually(t, func() error {                // the pause is at its longest
		if d := p.crashDelayNow(); d < crashDelayMax {
			return fmt.Errorf("the pause is %s", d)
		}
		return nil
	})
	before, start := p.Status().Started, time.Now()
	eventually(t, func() error {
		if n := p.Status().Started - before; n < 3 {
			return fmt.Errorf("%d workers more", n)
		}
		return nil
	})
	if took := time.Since(start); took < 3*crashDelayMax/2 { // two pauses, the first of which may have begun before
		t.Errorf("three workers started in %s, want %s between each", took, crashDelayMax)
	}
	if codes := load.stop(); len(codes) != 1 || codes[502] == 0 {
		t.Errorf("answers: %v, want 502 alone", codes)
	}
	eventually(t, func() error { // one of the two has to answer so many
		pidOf(t, server)
		if !strings.Contains(log.String(), "workers live again") {
			return fmt.Errorf("no word of workers that live:\n%s", log)
		}
		return nil
	})
	p.waitAtRest(t, 2)
	if n := strings.Count(log.String(), "again and again"); n != 1 {
		t.Errorf("the loop is told %d times, want once", n)
	}
}

// crashDelayNow is the current generation's pause.
func (p *Pool) crashDelayNow() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.host.delay()
}

// TestWorkersNeverReady: workers that die before they are ready are told of,
// once.
func TestWorkersNeverReady(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad")
	source := fmt.Sprintf(`
import os
def started():
    if os.path.exists(%q):
        os._exit(7)
def application(environ, start_response):
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
`, bad)
	if err := os.WriteFile(filepath.Join(dir, "starts.py"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(t, "starts:application")
	cfg.Dir, cfg.AfterFork = dir, "starts:started"
	log := logged(&cfg)
	p, server := startPool(t, cfg)
	victim := pidOf(t, server)
	if err := os.WriteFile(bad, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	log.wait(t, "die before they are ready, again and again", "delay=")
	log.wait(t, `msg="worker died"`, "exited with status 7") // which the host may tell later
	eventually(t, func() error {
		if d := p.crashDelayNow(); d < 800*time.Millisecond {
			return fmt.Errorf("the pause is %s", d)
		}
		return nil
	})
	if err := os.Remove(bad); err != nil {
		t.Fatal(err)
	}
	for range settled {
		pidOf(t, server)
	}
	log.wait(t, "workers live again")
	if n := strings.Count(log.String(), "again and again"); n != 1 {
		t.Errorf("the loop is told %d times, want once", n)
	}
}

func TestCrashDelays(t *testing.T) {
	if d := crashDelay(freeCrashes); d != 0 {
		t.Errorf("%d deaths: %s, want none", freeCrashes, d)
	}
	last := time.Duration(0)
	for n := freeCrashes + 1; n < 100; n++ {
		d := crashDelay(n)
		if d < last || d <= 0 || d > crashDelayMax {
			t.Errorf("%d deaths: %s after %s", n, d, last)
		}
		last = d
	}
	if last != crashDelayMax || startDelay(0) != 0 || startDelay(1) != 100*time.Millisecond || startDelay(100) != startDelayMax {
		t.Errorf("delays %s, %s, %s, %s", last, startDelay(0), startDelay(1), startDelay(100))
	}
}

// TestLimitsAreMetInTime: the keeper is told how long it may sleep.
func TestLimitsAreMetInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{Name: "test", QueueTimeout: 300 * time.Millisecond, Queue: 10}
		p := New(cfg)
		c := newCall()
		c.client, c.came = context.Background(), p.now()
		time.Sleep(100 * time.Millisecond) // of the bubble's clock
		p.mu.Lock()
		defer p.mu.Unlock()
		p.queue.pushBack(c)
		if d := p.expireLocked(p.now()); d != 200*time.Millisecond || p.queue.len != 1 {
			t.Errorf("after 100 ms: look again in %s, %d wait; want 200ms, 1", d, p.queue.len)
		}
		if d := p.expireLocked(p.now() + 200*time.Millisecond); d != time.Hour || p.queue.len != 0 || c.err != errQueueTimeout {
			t.Errorf("after 300 ms: look again in %s, %d wait, %v", d, p.queue.len, c.err)
		}
	})
}
