package pool

// Workers that are threads: death, time-outs, and what a bad app can do.

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// enough is a request_timeout that a request which goes on, or gives a sign of
// life every 20 ms, meets on a busy machine, too.
const enough = 2 * time.Second

// TestThreadsKilled: with a process die the requests that its threads run, and
// no other.
func TestThreadsKilled(t *testing.T) {
	cfg := threadedConfig(t, 4, 4)
	log := logged(&cfg)
	p, server := startPool(t, cfg)
	victim := only(p.waitProcesses(t, 4))
	running := inBackground(t, server, "/wait_for?"+filepath.Join(t.TempDir(), "never"), 4)
	p.waitActive(t, 4, 0)
	waiting := inBackground(t, server, "/pid", 8)
	p.waitActive(t, 4, 8)
	if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if codes := counted(t, running, 4); codes[502] != 4 {
		t.Errorf("what ran: %v, want 502 alone", codes)
	}
	if codes := counted(t, waiting, 8); codes[200] != 8 {
		t.Errorf("what waited: %v, want 200 alone", codes)
	}
	log.wait(t, "worker died while it ran a request", "uri=/wait_for", "killed by SIGKILL", fmt.Sprintf("pid=%d", victim))
	log.wait(t, `msg="worker died"`, "killed by SIGKILL", fmt.Sprintf("pid=%d", victim))
	p.waitProcesses(t, 4)
	if lost := p.Status().Lost; lost != 4 {
		t.Errorf("%d requests are counted as lost, want 4", lost)
	}
}

// TestThreadsKilledUnderLoad: short requests, many of which a channel holds
// that its thread has not read.
func TestThreadsKilledUnderLoad(t *testing.T) {
	const threads, kills = 3, 10
	for _, path := range []string{"/pid", "/sleep?0.001"} {
		cfg := threadedConfig(t, 2*threads, threads)
		logged(&cfg)
		p, server := startPool(t, cfg)
		p.waitProcesses(t, threads, threads)
		load := startLoad(t, server, path, 24)
		for range kills {
			victim := pidOf(t, server)
			if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
				t.Error(err)
			}
			gone(t, victim)
			p.waitServing(t, 2*threads)
		}
		codes := load.stop()
		if codes[200] == 0 || codes[502] > kills*threads || len(codes) > 2 || len(codes) == 2 && codes[502] == 0 {
			t.Errorf("answers by status: %v; want 200s, and at most %d times 502", codes, kills*threads)
		}
		if lost := p.Status().Lost; int(lost) != codes[502] {
			t.Errorf("%d requests are counted as lost, %d clients saw a 502", lost, codes[502])
		}
		p.waitProcesses(t, threads, threads)
	}
}

// TestStuckThread: its client gets a 504; the others in its process end what
// they run, others take over, and then the process is killed.
func TestStuckThread(t *testing.T) {
	cfg := threadedConfig(t, 4, 4)
	cfg.RequestTimeout = enough
	cfg.StopTimeout = time.Minute // what drains must not need it
	log := logged(&cfg)
	p, server := startPool(t, cfg)
	stuck := only(p.waitProcesses(t, 4))
	load := startLoad(t, server, "/sleep?0.01", 3)
	if code, _ := get(t, server.URL+"/never"); code != 504 {
		t.Errorf("a request that never returns: %d, want 504", code)
	}
	gone(t, stuck)
	p.waitServing(t, 4)
	if codes := load.stop(); len(codes) != 1 || codes[200] == 0 {
		t.Errorf("what its siblings ran, and others after them: %v, want 200 alone", codes)
	}
	log.wait(t, "longer than request_timeout", "uri=/never", fmt.Sprintf("pid=%d", stuck))
	p.waitProcesses(t, 4)
	s := p.Status()
	if s.Timeouts != 1 || s.Lost != 0 || s.Recycled != 0 {
		t.Errorf("timeouts %d, lost %d, recycled %d; want 1, 0, 0", s.Timeouts, s.Lost, s.Recycled)
	}
}

// TestStuckThreadSparesSiblings: a sibling's long request outlives the stuck
// thread's channel, and ends as if nothing were.
func TestStuckThreadSparesSiblings(t *testing.T) {
	cfg := threadedConfig(t, 2, 2)
	cfg.RequestTimeout = enough
	cfg.StopTimeout = time.Minute
	logged(&cfg)
	p, server := startPool(t, cfg)
	process := only(p.waitProcesses(t, 2))
	resp, err := http.Get(server.URL + "/slow_stream?" + filepath.Join(t.TempDir(), "gate")) // a sign of life every 20 ms
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if code, _ := get(t, server.URL+"/never"); code != 504 {
		t.Errorf("the stuck request: %d", code)
	}
	// Other workers are there, while the sibling streams on in the old process.
	eventually(t, func() error {
		pids := p.pids()
		if len(pids) != 2 || pids[process] != 2 {
			return fmt.Errorf("workers by process: %v", pids)
		}
		return nil
	})
	if !alive(process) {
		t.Fatal("the process was killed under its sibling")
	}
	if err := os.WriteFile(resp.Request.URL.RawQuery, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || !strings.HasSuffix(string(body), "the end") {
		t.Errorf("the sibling's response ends with %.40q, %v", body[max(0, len(body)-20):], err)
	}
	gone(t, process)
	p.waitProcesses(t, 2)
}

// TestStuckThreadComesBack: a thread given up that returns all the same does
// no harm.
func TestStuckThreadComesBack(t *testing.T) {
	cfg := threadedConfig(t, 3, 3)
	cfg.RequestTimeout = enough
	logged(&cfg)
	p, server := startPool(t, cfg)
	old := only(p.waitProcesses(t, 3))
	gate := filepath.Join(t.TempDir(), "gate")
	resp, err := http.Get(server.URL + "/slow_stream?" + gate)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if code, _ := get(t, server.URL+"/wait_for?"+gate); code != 504 {
		t.Errorf("the stuck request: %d", code)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil { // both end now
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); err != nil || !strings.HasSuffix(string(body), "the end") {
		t.Errorf("the sibling's response: %v", err)
	}
	gone(t, old)
	p.waitProcesses(t, 3)
}

// TestThreadsBreak: what breaks one thread's channel, or all of a process,
// costs no more than what runs there.
func TestThreadsBreak(t *testing.T) {
	cfg := threadedConfig(t, 3, 3)
	log := logged(&cfg)
	p, server := startPool(t, cfg)
	replaced := func(what string, old int) {
		t.Helper()
		gone(t, old)
		if now := only(p.waitProcesses(t, 3)); now == old {
			t.Errorf("%s: process %d serves on", what, old)
		}
	}

	old := only(p.waitProcesses(t, 3))
	if code, body := get(t, server.URL+"/lose_channel"); code != 200 || body != strconv.Itoa(old) {
		t.Errorf("lose_channel: %d %q", code, body)
	}
	log.wait(t, "a thread of the worker stops")
	replaced("lose_channel", old)

	old = only(p.waitProcesses(t, 3))
	if code, _ := get(t, server.URL+"/close_own"); code != 502 {
		t.Errorf("close_own: %d, want 502", code)
	}
	replaced("close_own", old)

	old = only(p.waitProcesses(t, 3))
	if code, _ := get(t, server.URL+"/exit_now"); code != 502 {
		t.Errorf("exit_now: %d, want 502", code)
	}
	log.wait(t, "worker died while it ran a request", "uri=/exit_now", "exited with status 3")
	replaced("exit_now", old)

	const stops = "a thread of the worker stops"
	before := strings.Count(log.String(), stops)
	old = only(p.waitProcesses(t, 3))
	for range 10 {
		if code, body := get(t, server.URL+"/fork_and_return"); code != 200 || body != strconv.Itoa(old) {
			t.Errorf("fork_and_return: %d %q, want process %d", code, body, old)
		}
	}
	if after := strings.Count(log.String(), stops); after != before {
		t.Errorf("a child of the app speaks for its worker:\n%s", log)
	}
	if err := syscall.Kill(old, syscall.SIGTERM); err != nil { // the master's to act on
		t.Fatal(err)
	}
	if codes := counted(t, inBackground(t, server, "/meet?3", 3), 3); codes[200] != 3 {
		t.Errorf("after a SIGTERM: %v, want 200 alone", codes)
	}
	if now := only(p.waitProcesses(t, 3)); now != old {
		t.Errorf("process %d was replaced", old)
	}
}

// TestInterpreterHeld: C code that lets no other thread run costs its process,
// and no request but its own.
func TestInterpreterHeld(t *testing.T) {
	cfg := threadedConfig(t, 4, 4)
	cfg.RequestTimeout, cfg.StopTimeout = enough, 500*time.Millisecond
	logged(&cfg)
	p, server := startPool(t, cfg)
	held := only(p.waitProcesses(t, 4))
	hog := inBackground(t, server, "/hold_interpreter", 1)
	p.waitActive(t, 1, 0)
	others := inBackground(t, server, "/pid", 8)
	if codes := counted(t, hog, 1); codes[504] != 1 {
		t.Errorf("the request that holds the interpreter: %v, want 504", codes)
	}
	if codes := counted(t, others, 8); codes[200] != 8 {
		t.Errorf("the others: %v, want 200 alone", codes)
	}
	gone(t, held)
	p.waitProcesses(t, 4)
}

// TestThreadsStartLate: an import in the process that never ends is cut after
// startup_timeout, for all the threads that wait for it, and tried again.
func TestThreadsStartLate(t *testing.T) {
	gate := filepath.Join(t.TempDir(), "gate")
	cfg := testConfig(t, "slow_import:application")
	cfg.fixed(3)
	cfg.Threads, cfg.Preload = 3, false
	cfg.Host.Env = append(cfg.Host.Env, "MILLRACE_TEST_GATE="+gate)
	log := logged(&cfg)
	p, server := startPool(t, cfg)
	first := only(p.waitProcesses(t, 3)) // the gate is open
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
	p.waitProcesses(t, 3)
}

// TestThreadsStartFails: a process that cannot start counts as one failure,
// whatever the number of its threads; the next one waits the longer for it.
func TestThreadsStartFails(t *testing.T) {
	gate := filepath.Join(t.TempDir(), "gate")
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(t, "broken_import:application")
	cfg.fixed(3)
	cfg.Threads, cfg.Preload = 3, false
	cfg.Host.Env = append(cfg.Host.Env, "MILLRACE_TEST_GATE="+gate)
	logged(&cfg)
	p, server := startPool(t, cfg)
	first := only(p.waitProcesses(t, 3))
	if err := os.Remove(gate); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		h := p.keeper.current
		if h.startFailures < 3 {
			return fmt.Errorf("%d failures to start", h.startFailures)
		}
		if forked := h.lastProcess - 1; h.startFailures > forked {
			t.Errorf("%d failures to start of %d processes", h.startFailures, forked)
		}
		return nil
	})
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _ := get(t, server.URL); code != 200 {
		t.Errorf("once it can start: %d", code)
	}
	p.waitProcesses(t, 3)
}

// TestThreadsHostKilled: the threads of a dead host serve until there are new
// ones.
func TestThreadsHostKilled(t *testing.T) {
	cfg := threadedConfig(t, 4, 2)
	logged(&cfg)
	p, server := startPool(t, cfg)
	p.waitProcesses(t, 2, 2)
	old := pidOf(t, server)
	load := startLoad(t, server, "/sleep?0.001", 8)
	if err := syscall.Kill(parent(t, old), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	gone(t, old)
	p.waitServing(t, 4)
	if codes := load.stop(); len(codes) != 1 || codes[200] == 0 {
		t.Errorf("answers by status: %v, want 200 alone", codes)
	}
	p.waitProcesses(t, 2, 2)
}

// TestNoMoreThreads: where a process cannot start another thread, the worker
// is one of another process, and those that run are left alone.
func TestNoMoreThreads(t *testing.T) {
	cfg := threadedConfig(t, 4, 4)
	cfg.Host.Env = append(cfg.Host.Env, "MILLRACE_TEST_THREADS=2")
	log := logged(&cfg)
	p, server := startPool(t, cfg)
	first := pidOf(t, server)
	log.wait(t, "cannot start a thread")
	pids := p.waitProcesses(t, 2, 2)
	if pids[first] != 2 {
		t.Errorf("workers by process: %v; the first, %d, was replaced", pids, first)
	}
}
