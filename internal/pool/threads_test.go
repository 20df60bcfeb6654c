package pool

// Workers that are threads: what they do together, and how they come and go.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// threadedConfig is n workers, so many in a process, on testdata/apps/threads.py.
func threadedConfig(t testing.TB, n, threads int) Config {
	t.Helper()
	cfg := testConfig(t, "threads:application")
	cfg.fixed(n)
	cfg.Threads = threads
	return cfg
}

// TestThreadsRunAtOnce: as many requests as there are threads meet inside of
// one process, on every CPython.
func TestThreadsRunAtOnce(t *testing.T) {
	const n = 16
	for version, python := range pythons(t) {
		for _, preload := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/preload=%t", version, preload), func(t *testing.T) {
				t.Parallel()
				cfg := threadedConfig(t, n, n)
				cfg.usePython(python)
				cfg.Preload, cfg.AfterFork = preload, "threads:after_fork"
				log := logged(&cfg)
				p, server := startPool(t, cfg)
				p.waitAtRest(t, n)
				pids, idents := map[string]bool{}, map[string]bool{}
				var mu sync.Mutex
				var wg sync.WaitGroup
				for range n {
					wg.Go(func() {
						code, body := get(t, fmt.Sprintf("%s/meet?%d", server.URL, n))
						pid, ident, ok := strings.Cut(body, " ")
						if code != 200 || !ok {
							t.Errorf("%d %q", code, body)
						}
						mu.Lock()
						defer mu.Unlock()
						pids[pid], idents[ident] = true, true
					})
				}
				wg.Wait()
				if len(pids) != 1 || len(idents) != n {
					t.Errorf("%d processes and %d threads met, want 1 and %d", len(pids), len(idents), n)
				}
				if _, body := get(t, server.URL+"/describe"); body != "([True, False, False], True, True)" {
					t.Errorf("multithread, multiprocess, run_once; after_fork once; own group: %s", body)
				}
				for _, w := range p.Status().Workers {
					if !pids[strconv.Itoa(w.PID)] {
						t.Errorf("the status shows process %d, the requests ran in %v", w.PID, pids)
					}
				}
				if text := log.String(); strings.Contains(text, "level=ERROR") || strings.Contains(text, "exception") {
					t.Errorf("the log:\n%s", text)
				}
			})
		}
	}
}

// inBackground sends n requests and returns where their codes come.
func inBackground(t testing.TB, server *httptest.Server, path string, n int) <-chan int {
	codes := make(chan int, n)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for range n {
		go func() {
			resp, err := client.Post(server.URL+path, "text/plain", nil)
			if err != nil {
				t.Errorf("POST %s: %v", path, err)
				codes <- -1
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			codes <- resp.StatusCode
		}()
	}
	return codes
}

// counted waits for n codes, and counts them.
func counted(t testing.TB, codes <-chan int, n int) map[int]int {
	t.Helper()
	late := time.After(time.Minute)
	count := map[int]int{}
	for range n {
		select {
		case code := <-codes:
			count[code]++
		case <-late:
			t.Fatalf("not every request was answered: %v of %d", count, n)
		}
	}
	return count
}

// pids are the ids in the status, each with how many workers it has.
func (p *Pool) pids() map[int]int {
	pids := map[int]int{}
	for _, w := range p.Status().Workers {
		pids[w.PID]++
	}
	return pids
}

// waitProcesses waits until the workers are spread over processes like this,
// in any order, and all of them idle.
func (p *Pool) waitProcesses(t testing.TB, workers ...int) map[int]int {
	t.Helper()
	var pids map[int]int
	eventually(t, func() error {
		pids = p.pids()
		var got []int
		for _, n := range pids {
			got = append(got, n)
		}
		slices.Sort(got)
		slices.Sort(workers)
		if s := p.Status(); !slices.Equal(got, workers) || s.Idle != len(s.Workers) || pids[0] > 0 {
			return fmt.Errorf("workers by process: %v, want %v: %+v", pids, workers, s)
		}
		return nil
	})
	return pids
}

func only(pids map[int]int) int {
	for pid := range pids {
		return pid
	}
	return 0
}

func (p *Pool) waitActive(t testing.TB, active, queued int) {
	t.Helper()
	eventually(t, func() error {
		if s := p.Status(); s.Active != active || s.QueueLen != queued {
			return fmt.Errorf("%d active, %d queued; want %d, %d", s.Active, s.QueueLen, active, queued)
		}
		return nil
	})
}

// TestThreadsScale: threads come before processes, and whole processes go.
func TestThreadsScale(t *testing.T) {
	cfg := threadedConfig(t, 0, 3)
	cfg.MinSpare, cfg.MaxSpare, cfg.MaxChildren = 1, 2, 7
	logged(&cfg)
	p, server := startPool(t, cfg)
	first := only(p.waitProcesses(t, 1))
	dir := t.TempDir()
	hold := func(name string, n int) (release func()) {
		t.Helper()
		gate := filepath.Join(dir, name)
		codes := inBackground(t, server, "/wait_for?"+gate, n)
		return func() {
			t.Helper()
			if err := os.WriteFile(gate, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if got := counted(t, codes, n); got[200] != n {
				t.Errorf("%v, want %d times 200", got, n)
			}
		}
	}
	two := hold("two", 2)
	p.waitServing(t, 3)
	if pids := p.pids(); pids[first] != 3 || len(pids) != 1 {
		t.Errorf("three workers by process: %v, want all in %d", pids, first)
	}
	more := hold("more", 10)
	p.waitServing(t, 7)
	if pids := p.pids(); pids[first] != 3 || len(pids) != 3 {
		t.Errorf("seven workers by process: %v, want 3, 3 and 1", pids)
	}
	two()
	more()
	p.waitServing(t, 2)
	pids := p.waitProcesses(t, 2)
	eventually(t, func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.processes) != 1 {
			return fmt.Errorf("%d processes are left", len(p.processes))
		}
		return nil
	})
	again := hold("again", 2)
	p.waitServing(t, 3)
	if now := p.pids(); len(now) != 1 || now[only(pids)] != 3 {
		t.Errorf("three workers by process: %v, want all in %d", now, only(pids))
	}
	again()
}

// TestThreadsRecycled: a process is replaced by what all its threads have
// served, and nothing is lost.
func TestThreadsRecycled(t *testing.T) {
	for _, threads := range []int{2, 4} {
		cfg := threadedConfig(t, 4, threads)
		cfg.MaxRequests = 50
		cfg.StopTimeout = time.Minute // what drains must not need it
		logged(&cfg)
		p, server := startPool(t, cfg)
		load := startLoad(t, server, "/pid", 16)
		eventually(t, func() error {
			if s := p.Status(); s.Recycled < 16 {
				return fmt.Errorf("recycled %d workers, want 16: %+v", s.Recycled, s)
			}
			return nil
		})
		if codes := load.stop(); len(codes) != 1 || codes[200] == 0 {
			t.Errorf("answers by status: %v, want 200 alone", codes)
		}
		p.waitAtRest(t, 4)
	}
}

// TestThreadsReload: generations roll under load; so does a change of method.
func TestThreadsReload(t *testing.T) {
	cfg := threadedConfig(t, 4, 4)
	logged(&cfg)
	p, server := startPool(t, cfg)
	before := only(p.waitProcesses(t, 4))
	load := startLoad(t, server, "/sleep?0.001", 16)
	for i := range 12 {
		cfg.Threads = []int{4, 2, 0, 3}[i%4]
		if err := p.Reload(context.Background(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	if codes := load.stop(); len(codes) != 1 || codes[200] == 0 {
		t.Errorf("answers by status: %v, want 200 alone", codes)
	}
	gone(t, before)
	p.waitServing(t, 4)
	p.waitProcesses(t, 3, 1)
	if s := p.Status(); s.Generation != 13 || s.Method != "threaded" || s.Threads != 3 {
		t.Errorf("generation %d, method %s of %d; want 13, threaded of 3", s.Generation, s.Method, s.Threads)
	}
}

// TestThreadsEnd: a process that leaves runs its exit handlers, and is killed
// if it does not come to its end.
func TestThreadsEnd(t *testing.T) {
	for _, threads := range []int{0, 2} {
		cfg := threadedConfig(t, 2, threads)
		log := logged(&cfg)
		p, server := startPool(t, cfg)
		p.waitServing(t, 2)
		_, body := get(t, server.URL+"/exit_handler")
		if err := p.Reload(context.Background(), cfg); err != nil {
			t.Fatal(err)
		}
		log.wait(t, "an exit handler runs", "pid="+body)
		cfg.StopTimeout = 200 * time.Millisecond
		if err := p.Reload(context.Background(), cfg); err != nil {
			t.Fatal(err)
		}
		p.waitAtRest(t, 2)
		_, body = get(t, server.URL+"/thread_of_its_own")
		pid, err := strconv.Atoi(body)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Reload(context.Background(), cfg); err != nil {
			t.Fatal(err)
		}
		gone(t, pid)
	}
}

// TestReleaseSparesTheNext: the first worker of the next generation, ready a
// moment before the keeper looks, is not taken for one of an old generation.
func TestReleaseSparesTheNext(t *testing.T) {
	p := New(Config{})
	current, next, old := &host{pool: p}, &host{pool: p}, &host{pool: p}
	p.keeper.current, p.keeper.next = current, next
	worker := func(h *host) *channel {
		ch := &channel{pool: p, host: h, process: &process{host: h, control: -1}, state: channelServing, packets: -1, readEnd: -1, words: &slotWords{}}
		p.channels = append(p.channels, ch)
		return ch
	}
	first, leaving := worker(next), worker(old)
	worker(current)
	worker(current)
	c := p.censusLocked(p.now())
	if c.serving != 2 || c.leaving != 1 {
		t.Errorf("%d serve and %d leave; want 2 and 1", c.serving, c.leaving)
	}
	p.releaseLocked(2)
	if first.state != channelServing || leaving.state != channelDraining {
		t.Errorf("of the next generation: %s; of the old one: %s", first.state, leaving.state)
	}
}

// TestStopIdle: the idle thread that goes is one of the process with the
// fewest.
func TestStopIdle(t *testing.T) {
	p := New(Config{})
	h := &host{pool: p}
	p.keeper.current = h
	worker := func(proc *process) *channel {
		ch := &channel{pool: p, host: h, process: proc, state: channelServing, packets: -1, readEnd: -1, words: &slotWords{}, listed: true}
		proc.channels = append(proc.channels, ch)
		p.channels, p.idle = append(p.channels, ch), append(p.idle, ch)
		return ch
	}
	large, small := &process{host: h, control: -1}, &process{host: h, control: -1}
	first, last, second := worker(large), worker(small), worker(large)
	p.stopIdleLocked(1)
	if first.state != channelServing || second.state != channelServing || last.state != channelDraining {
		t.Errorf("of the larger process: %s, %s; of the smaller: %s", first.state, second.state, last.state)
	}
}

// TestThreadsOutput: lines are whole, and have the request of their thread.
func TestThreadsOutput(t *testing.T) {
	const n = 4
	for version, python := range ends(t) {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			cfg := threadedConfig(t, n, n)
			cfg.usePython(python)
			log := logged(&cfg)
			p, server := startPool(t, cfg)
			p.waitAtRest(t, n)
			threads := make([]string, n)
			var wg sync.WaitGroup
			for i := range n {
				wg.Go(func() { _, threads[i] = get(t, fmt.Sprintf("%s/talk?word%d", server.URL, i)) })
			}
			wg.Wait()
			for i, thread := range threads {
				channel := strings.TrimPrefix(thread, "request-") // the number is the channel's
				for k := range 50 {
					log.wait(t, fmt.Sprintf("msg=begin-word%d-%d-end ", i, k), "request="+channel+"-")
				}
				log.wait(t, "xxxx", fmt.Sprintf("word%d ", i), "request="+channel+"-")
			}
			get(t, server.URL+"/helper")
			log.wait(t, `msg="past Python"`, "pid=")
			log.wait(t, `msg="a helper speaks"`, "pid=")
			for line := range strings.Lines(log.String()) {
				if strings.Contains(line, "helper") && strings.Contains(line, "request=") {
					t.Errorf("a thread of the app's own has a request: %s", line)
				}
			}
		})
	}
}

// TestThreadsNoLeaks: after deaths, stuck threads, recycling and reloads there
// are as many descriptors, goroutines and processes as before, here and in the
// workers.
func TestThreadsNoLeaks(t *testing.T) {
	cfg := threadedConfig(t, 4, 2)
	cfg.MaxRequests = 20
	cfg.RequestTimeout = 500 * time.Millisecond
	cfg.Log = slog.New(slog.DiscardHandler)
	p, server := startPool(t, cfg)
	client := server.Client()
	churn := func() {
		t.Helper()
		if err := p.Reload(context.Background(), cfg); err != nil {
			t.Fatal(err)
		}
		for range 30 {
			get(t, server.URL+"/pid")
		}
		get(t, server.URL+"/exit_now")
		get(t, server.URL+"/never")
		get(t, server.URL+"/stream")
		p.waitProcesses(t, 2, 2)
		var pid int
		eventually(t, func() (err error) { // not late by request_timeout
			_, body := get(t, server.URL+"/lose_channel")
			pid, err = strconv.Atoi(body)
			return err
		})
		gone(t, pid)
	}
	rest := func() {
		t.Helper()
		p.waitProcesses(t, 2, 2)
		http.DefaultClient.CloseIdleConnections()
		client.CloseIdleConnections()
	}
	churn()
	rest()
	descriptors, goroutines := openDescriptors(t), runtime.NumGoroutine()
	for range 6 {
		churn()
	}
	rest()
	eventually(t, func() error {
		if now := openDescriptors(t); len(now) > len(descriptors) {
			return fmt.Errorf("%d descriptors were open, now %d:\n%s", len(descriptors), len(now), strings.Join(now, "\n"))
		}
		if now := runtime.NumGoroutine(); now > goroutines {
			stacks := make([]byte, 1<<16)
			return fmt.Errorf("%d goroutines ran, now %d:\n%s", goroutines, now, stacks[:runtime.Stack(stacks, true)])
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.processes) != 2 {
			return fmt.Errorf("%d processes are known, want 2", len(p.processes))
		}
		for _, proc := range p.processes {
			if n := len(proc.host.free) + len(p.channels) + len(proc.orphaned); n != 2*cfg.MaxChildren+8 {
				return fmt.Errorf("%d slots are free or taken, of %d", n, 2*cfg.MaxChildren+8)
			}
		}
		return nil
	})
	if zombies := children(t); len(zombies) != 1 { // the host
		t.Errorf("children: %v, want the host alone", zombies)
	}
}

// TestThreadsComeAndGo: descriptors of ended threads do not stay open in
// their process.
func TestThreadsComeAndGo(t *testing.T) {
	cfg := threadedConfig(t, 0, 8)
	cfg.MinSpare, cfg.MaxSpare, cfg.MaxChildren = 1, 1, 8
	logged(&cfg)
	p, server := startPool(t, cfg)
	pid := only(p.waitProcesses(t, 1))
	open := func() int {
		names, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	before := open()
	for range 2 {
		load := startLoad(t, server, "/sleep?0.05", 3)
		p.waitServing(t, 4)
		load.stop()
		p.waitProcesses(t, 1)
	}
	eventually(t, func() error {
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil {
			return err
		}
		if now := open(); now != before || len(tasks) != 2 {
			return fmt.Errorf("%d descriptors were open, now %d; %d threads, want 2", before, now, len(tasks))
		}
		return nil
	})
	if now := pidOf(t, server); now != pid {
		t.Errorf("process %d was replaced", pid)
	}
}

// children are the processes of this one, zombies among them.
func children(t testing.TB) []int {
	t.Helper()
	var found []int
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range stats {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		b, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid()) {
			found = append(found, pid)
		}
	}
	return found
}

func TestCutMark(t *testing.T) {
	for _, tt := range []struct{ line, request, rest string }{
		{"\x1e3-14\x1ftext", "3-14", "text"},
		{"\x1e3-14\x1f", "3-14", ""},
		{"\x1e3-14 abc-1\x1ftext", "abc-1", "text"},
		{"\x1e3-14 \x1ftext", "3-14", "text"},    // of a request without an id
		{"\x1e3-14 a b\x1ftext", "3-14", "text"}, // with one that nobody checked
		{"\x1e3-0 abc-1\x1ftext", "", "text"},
		{"\x1e3-0\x1ftext", "", "text"}, // printed before the first request
		{"\x1e0-0\x1ftext", "", "text"}, // by a thread of the app's own
	} {
		request, rest, ok := cutMark([]byte(tt.line))
		if !ok || request != tt.request || string(rest) != tt.rest {
			t.Errorf("%q: %q, %q, %t", tt.line, request, rest, ok)
		}
	}
	for _, line := range []string{"", "text", "\x1e", "\x1e3-14", "\x1e3\x1ftext", "\x1e-14\x1ftext", "\x1e3-\x1ftext", "\x1ea-b\x1f", "\x1e3-+4\x1f", " \x1e3-14\x1ftext"} {
		if request, _, ok := cutMark([]byte(line)); ok {
			t.Errorf("%q is taken for a mark of request %q", line, request)
		}
	}
}

// TestRunning: a line without a mark is of the request that runs, if there is
// one alone.
func TestRunning(t *testing.T) {
	p := &Pool{}
	one, two := &channel{id: 1, words: &slotWords{}}, &channel{id: 2, words: &slotWords{}}
	proc := &process{channels: []*channel{one, two}}
	check := func(want string) {
		t.Helper()
		if got := p.running(proc); got != want {
			t.Errorf("running is %q, want %q", got, want)
		}
	}
	check("")
	two.words.started = 5
	check("2-5")
	one.words.started = 7
	check("")
	two.words.finished = 5
	check("1-7")
	one.words.finished = 7
	check("")
	one.words.started, one.held = 8, []*call{{seq: 8, id: "eight"}, {seq: 9, id: "nine"}}
	check("eight")
	one.ran, one.held = "eight", one.held[1:] // it is in its close()
	check("eight")
	one.held = nil
	check("eight")
}
