package pool

// Processes: death, recycling, generations, and what a bad app can do.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// fixed sets a pool of n workers.
func (cfg *Config) fixed(n int) { cfg.MinSpare, cfg.MaxSpare, cfg.MaxChildren = n, n, n }

func pidOf(t testing.TB, server *httptest.Server) int {
	t.Helper()
	code, body := get(t, server.URL+"/pid")
	pid, err := strconv.Atoi(body)
	if code != 200 || err != nil {
		t.Fatalf("GET /pid: %d %q", code, body)
	}
	return pid
}

func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z")
}

func gone(t testing.TB, pid int) {
	t.Helper()
	eventually(t, func() error {
		if alive(pid) {
			return fmt.Errorf("process %d is still there", pid)
		}
		return nil
	})
}

func (p *Pool) waitServing(t testing.TB, n int) {
	t.Helper()
	eventually(t, func() error {
		s := p.Status()
		serving := 0
		for _, w := range s.Workers {
			if w.State == "idle" || w.State == "busy" {
				serving++
			}
		}
		if serving != n {
			return fmt.Errorf("%d workers serve, want %d: %+v", serving, n, s)
		}
		return nil
	})
}

// waitAtRest waits until there are n workers, and all of them idle.
func (p *Pool) waitAtRest(t testing.TB, n int) {
	t.Helper()
	eventually(t, func() error {
		if s := p.Status(); len(s.Workers) != n || s.Idle != n {
			return fmt.Errorf("not %d workers at rest: %+v", n, s)
		}
		return nil
	})
}

func TestMisbehavingApps(t *testing.T) {
	cfg := testConfig(t, "misbehaving:application")
	cfg.fixed(2)
	log := logged(&cfg)
	p, server := startPool(t, cfg)
	ok := func(what string) {
		t.Helper()
		for range 4 {
			pidOf(t, server)
		}
		p.waitServing(t, 2)
		_ = what
	}
	expect := func(path string, code int, body string) {
		t.Helper()
		if c, b := get(t, server.URL+path); c != code || b != body {
			t.Errorf("GET %s: %d %q, want %d %q", path, c, b, code, body)
		}
		ok(path)
	}

	expect("/garbage", 200, "fine")
	log.wait(t, `msg="garbage on stdout"`, "request=", "pid=")
	log.wait(t, `msg="garbage on stderr"`, "request=", "pid=")
	log.wait(t, `msg="garbage on descriptor 1"`)
	log.wait(t, "yyyy")

	expect("/close_descriptors", 502, "Bad Gateway\n")
	log.wait(t, "worker died while it ran a request", "uri=/close_descriptors")
	expect("/exit_now", 502, "Bad Gateway\n")
	log.wait(t, "worker died while it ran a request", "uri=/exit_now", "exited with status 3")

	code, body := get(t, server.URL+"/fork_and_stay")
	child, err := strconv.Atoi(body)
	if code != 200 || err != nil {
		t.Fatalf("fork_and_stay: %d %q", code, body)
	}
	ok("fork_and_stay")
	if err := syscall.Kill(child, syscall.SIGKILL); err != nil {
		t.Errorf("the app's child is not there any more: %v", err)
	}

	for range 10 {
		code, body := get(t, server.URL+"/fork_and_return")
		if code != 200 {
			t.Errorf("fork_and_return: %d %q", code, body)
		}
	}
	ok("fork_and_return")

	expect("/fork_and_die", 502, "Bad Gateway\n")
	log.wait(t, "child ")
}

func TestRequestTimeout(t *testing.T) {
	cfg := testConfig(t, "misbehaving:application")
	cfg.RequestTimeout = time.Second // which those that return must not need
	log := logged(&cfg)
	p, server := startPool(t, cfg)
	first := pidOf(t, server)
	if code, _ := get(t, server.URL+"/never"); code != 504 {
		t.Errorf("a request that never returns: %d, want 504", code)
	}
	log.wait(t, "longer than request_timeout", "uri=/never")
	gone(t, first)
	if second := pidOf(t, server); second == first {
		t.Error("the worker was not replaced")
	}
	if s := p.Status(); s.Timeouts != 1 {
		t.Errorf("timeouts: %d, want 1", s.Timeouts)
	}
	// A close() that does not return is stuck as well, though its client has
	// its answer.
	stuck := pidOf(t, server)
	if code, body := get(t, server.URL+"/slow_close?3600"); code != 200 || body != "answered" {
		t.Errorf("slow_close: %d %q", code, body)
	}
	if code, body := get(t, server.URL+"/pid"); code != 200 || body == strconv.Itoa(stuck) {
		t.Errorf("after a close() that never returns: %d %q", code, body)
	}
	gone(t, stuck)
	// A stream that gives no sign is cut.
	resp, err := http.Get(server.URL + "/slow_stream?3600")
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if string(b) != "first " || err == nil {
		t.Errorf("a stream that stops: %q, %v; want a cut after the first chunk", b, err)
	}
}

// TestKillUnderLoad: what a killed worker had not started is answered all the
// same, and what it ran is a 502, once.
func TestKillUnderLoad(t *testing.T) {
	cfg := testConfig(t, "misbehaving:application")
	cfg.fixed(3)
	logged(&cfg)
	p, server := startPool(t, cfg)
	p.waitServing(t, 3)
	load := startLoad(t, server, "/sleep?0.001", 24)
	const kills = 20
	for range kills {
		victim := pidOf(t, server)
		if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
		gone(t, victim)
		p.waitServing(t, 3)
	}
	codes := load.stop()
	if codes[200] == 0 || codes[502] > kills || len(codes) > 2 || len(codes) == 2 && codes[502] == 0 {
		t.Errorf("answers by status: %v; want 200s, and at most %d times 502", codes, kills)
	}
	if lost := p.Status().Lost; int(lost) != codes[502] {
		t.Errorf("%d requests are counted as lost, %d clients saw a 502", lost, codes[502])
	}
}

func TestRecycling(t *testing.T) {
	cfg := testConfig(t, "misbehaving:application")
	cfg.fixed(2)
	cfg.MaxRequests = 50
	cfg.StopTimeout = time.Minute // what drains must not need it
	logged(&cfg)
	p, server := startPool(t, cfg)
	load := startLoad(t, server, "/pid", 16)
	eventually(t, func() error {
		if s := p.Status(); s.Recycled < 12 {
			return fmt.Errorf("recycled %d workers, want 12: %+v", s.Recycled, s)
		}
		return nil
	})
	if codes := load.stop(); len(codes) != 1 || codes[200] == 0 {
		t.Errorf("answers by status: %v, want 200 alone", codes)
	}
	p.waitAtRest(t, 2)
}

func TestReloadUnderLoad(t *testing.T) {
	cfg := testConfig(t, "misbehaving:application")
	cfg.fixed(2)
	logged(&cfg)
	p, server := startPool(t, cfg)
	before := pidOf(t, server)
	load := startLoad(t, server, "/sleep?0.001", 16)
	for range 20 {
		if err := p.Reload(context.Background(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	if codes := load.stop(); len(codes) != 1 || codes[200] == 0 {
		t.Errorf("answers by status: %v, want 200 alone", codes)
	}
	gone(t, before)
	p.waitServing(t, 2)
	if s := p.Status(); s.Generation != 21 {
		t.Errorf("generation %d, want 21", s.Generation)
	}
}

// TestOutputAfterTheEnd: what an app's own child prints when its worker and
// host are gone is still logged, and touches nothing that went with them.
func TestOutputAfterTheEnd(t *testing.T) {
	cfg := testConfig(t, "misbehaving:application")
	log := logged(&cfg)
	p, server := startPool(t, cfg)
	sign := filepath.Join(t.TempDir(), "sign")
	worker := pidOf(t, server)
	host := parent(t, worker)
	if code, body := get(t, server.URL+"/late_child?"+sign); code != 200 {
		t.Fatalf("late_child: %d %q", code, body)
	}
	if err := p.Reload(context.Background(), cfg); err != nil {
		t.Fatal(err)
	}
	gone(t, worker)
	gone(t, host)
	eventually(t, func() error {
		if n := len(p.Status().Workers); n != 1 {
			return fmt.Errorf("%d workers", n)
		}
		return nil
	})
	runtime.GC() // what nothing refers to any more goes now
	if err := os.WriteFile(sign, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	log.wait(t, "a late word")
	pidOf(t, server)
}

func TestFailedReload(t *testing.T) {
	cfg := testConfig(t, "misbehaving:application")
	log := logged(&cfg)
	p, server := startPool(t, cfg)
	before := pidOf(t, server)
	bad := cfg
	bad.WSGI = "no_such_module:application"
	err := p.Reload(context.Background(), bad)
	var imp *ImportError
	if !errors.As(err, &imp) || !strings.Contains(imp.Traceback, "no_such_module") {
		t.Errorf("Reload: %v, want an ImportError with the traceback", err)
	}
	log.wait(t, "ModuleNotFoundError")
	if after := pidOf(t, server); after != before {
		t.Error("the old generation does not serve on")
	}
}

func TestFailedImport(t *testing.T) {
	gate := filepath.Join(t.TempDir(), "gate")
	cfg := testConfig(t, "broken_import:application")
	cfg.Host.Env = append(cfg.Host.Env, "MILLRACE_TEST_GATE="+gate)
	cfg.Development = true
	log := logged(&cfg)
	p, server := startPool(t, cfg)
	log.wait(t, "the gate is closed")
	eventually(t, func() error {
		if s := p.Status(); s.State != "failing" {
			return fmt.Errorf("state %s", s.State)
		}
		return nil
	})
	if code, body := get(t, server.URL); code != 500 || !strings.Contains(body, "RuntimeError: the gate is closed") {
		t.Errorf("in development: %d %q, want a 500 with the traceback", code, body)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	<-p.Ready() // it is tried again
	if code, body := get(t, server.URL); code != 200 || body != "the gate is open" {
		t.Errorf("after the import succeeds: %d %q", code, body)
	}
}

// limitStart sets the current generation's startup_timeout: short only while
// nothing can start, since a busy machine may need all of a long one.
func (p *Pool) limitStart(limit time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keeper.current.cfg.StartupTimeout = limit
}

// TestWorkerHangsAtStart: an import in a worker that never ends is cut after
// startup_timeout, and tried again.
func TestWorkerHangsAtStart(t *testing.T) {
	gate := filepath.Join(t.TempDir(), "gate")
	cfg := testConfig(t, "slow_import:application")
	cfg.Preload = false
	cfg.Host.Env = append(cfg.Host.Env, "MILLRACE_TEST_GATE="+gate)
	log := logged(&cfg)
	p, server := startPool(t, cfg)
	first := pidOf(t, server) // the gate is open
	p.limitStart(500 * time.Millisecond)
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	log.wait(t, "not ready within startup_timeout")
	p.limitStart(cfg.StartupTimeout)
	if err := os.Remove(gate); err != nil {
		t.Fatal(err)
	}
	pidOf(t, server)
	p.waitServing(t, 1)
}

func TestUnsafePreload(t *testing.T) {
	cfg := testConfig(t, "unsafe_import:application")
	log := logged(&cfg)
	_, server := startPool(t, cfg)
	if code, body := get(t, server.URL); code != 200 || body != "imported by this process" {
		t.Errorf("%d %q, want an import per worker", code, body)
	}
	log.wait(t, "a socket that listens on 127.0.0.1:")
	log.wait(t, "thread 'left-behind'")
}

func TestForkedWorkers(t *testing.T) {
	cfg := testConfig(t, "forked:application")
	cfg.AfterFork = "forked:after_fork"
	cfg.fixed(2)
	p, _ := startPool(t, cfg)
	p.waitServing(t, 2)
	server := httptest.NewServer(p.Handler(""))
	defer server.Close()
	seen := map[string]string{}
	for range 200 {
		_, body := get(t, server.URL)
		parts := strings.Fields(body)
		if len(parts) != 3 || parts[1] != "True" {
			t.Fatalf("%q: after_fork was not called in this worker", body)
		}
		if seen[parts[2]] != "" {
			t.Errorf("random.random() gave %s twice: in %s and %s", parts[2], seen[parts[2]], parts[0])
		}
		seen[parts[2]] = parts[0]
	}
}

// TestHostKilled: the workers of a dead host serve until a new one is ready.
func TestHostKilled(t *testing.T) {
	cfg := testConfig(t, "misbehaving:application")
	cfg.fixed(2)
	logged(&cfg)
	p, server := startPool(t, cfg)
	p.waitServing(t, 2)
	old := pidOf(t, server)
	load := startLoad(t, server, "/sleep?0.001", 8)
	<-p.Ready()
	if err := syscall.Kill(parent(t, old), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	gone(t, old)
	p.waitServing(t, 2)
	if codes := load.stop(); len(codes) != 1 || codes[200] == 0 {
		t.Errorf("answers by status: %v, want 200 alone", codes)
	}
}

func parent(t testing.TB, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "PPid:\t")
	line, _, _ := strings.Cut(rest, "\n")
	ppid, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	return ppid
}

// TestSIGTERMToAll: what a supervisor sends to every process of the service
// is the master's to act on.
func TestSIGTERMToAll(t *testing.T) {
	p, server := startPool(t, testConfig(t, "misbehaving:application"))
	worker := pidOf(t, server)
	gate := newGate(t)
	answer := make(chan int, 1)
	go func() {
		code, _ := get(t, server.URL+"/gate?"+gate)
		answer <- code
	}()
	eventually(t, func() error {
		if p.Status().Active != 1 {
			return errors.New("the worker is not busy")
		}
		return nil
	})
	for _, pid := range []int{worker, parent(t, worker)} {
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	openGate(t, gate)
	if code := <-answer; code != 200 {
		t.Errorf("the request that ran: %d", code)
	}
	if after := pidOf(t, server); after != worker {
		t.Errorf("worker %d was replaced by %d", worker, after)
	}
}

// TestScaling: slow requests bring workers, up to max_children, and idle ones
// go when the load does.
func TestScaling(t *testing.T) {
	cfg := testConfig(t, "misbehaving:application")
	cfg.MinSpare, cfg.MaxSpare, cfg.MaxChildren = 1, 2, 6
	logged(&cfg)
	p, server := startPool(t, cfg)
	p.waitServing(t, 1)
	load := startLoad(t, server, "/sleep?0.1", 4)
	p.waitServing(t, 5)
	load.stop()
	load = startLoad(t, server, "/sleep?0.1", 20)
	p.waitServing(t, 6)
	load.stop()
	p.waitServing(t, 2)
}

// load is a number of clients that each send one request after the other.
type load struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
	mu     sync.Mutex
	codes  map[int]int
}

func startLoad(t testing.TB, server *httptest.Server, path string, clients int) *load {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	l := &load{cancel: cancel, codes: map[int]int{}}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	for range clients {
		l.wg.Go(func() {
			for ctx.Err() == nil {
				resp, err := client.Post(server.URL+path, "text/plain", nil)
				code := -1
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					code = resp.StatusCode
				}
				if err != nil {
					t.Errorf("POST %s: %v", path, err)
				}
				l.mu.Lock()
				l.codes[code]++
				l.mu.Unlock()
			}
		})
	}
	return l
}

// stop ends the load and returns the answers by status.
func (l *load) stop() map[int]int {
	l.cancel()
	l.wg.Wait()
	return l.codes
}

// TestWorkerEnd: a forked worker ends without taking its memory apart; what an
// app leaves to its end is done all the same.
func TestWorkerEnd(t *testing.T) {
	for version, python := range ends(t) {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig(t, "leaving:application")
			cfg.usePython(python)
			log := logged(&cfg)
			var closed string
			for _, v := range cfg.Host.Env {
				if rest, ok := strings.CutPrefix(v, "MILLRACE_TEST_CLOSED="); ok {
					closed = rest
				}
			}
			p, server := startPool(t, cfg)
			_, body := get(t, server.URL)
			pid, err := strconv.Atoi(body)
			if err != nil {
				t.Fatal(err)
			}
			next := cfg
			next.WSGI = "misbehaving:application"
			if err := p.Reload(context.Background(), next); err != nil {
				t.Fatal(err)
			}
			gone(t, pid)
			for _, name := range []string{"import", "request", "thread", "exit"} {
				if b, err := os.ReadFile(closed + "-" + name); string(b) != "of the "+name {
					t.Errorf("file %s: %q, %v", name, b, err)
				}
			}
			log.wait(t, "an exit handler that fails")
		})
	}
}
