package pool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// askLater sends a request and delivers its status later.
func askLater(t *testing.T, server *httptest.Server, path string) <-chan int {
	code := make(chan int, 1)
	go func() {
		resp, err := http.Get(server.URL + path)
		if err != nil {
			t.Error(err)
			code <- 0
			return
		}
		resp.Body.Close()
		code <- resp.StatusCode
	}()
	return code
}

// waitStatus polls the status until want is empty.
func (p *Pool) waitStatus(t *testing.T, want func(Status) string) (s Status) {
	t.Helper()
	eventually(t, func() error {
		s = p.Status()
		if miss := want(s); miss != "" {
			return fmt.Errorf("%s: %+v", miss, s)
		}
		return nil
	})
	return s
}

// waitPIDs polls until the host has told every worker's: one may be ready
// before that.
func (p *Pool) waitPIDs(t *testing.T) Status {
	t.Helper()
	return p.waitStatus(t, func(s Status) string {
		return want("a missing pid", slices.ContainsFunc(s.Workers, func(w Worker) bool { return w.PID <= 0 }), false)
	})
}

func want(what string, got, want any) string {
	if got != want {
		return fmt.Sprintf("%s is %v, want %v", what, got, want)
	}
	return ""
}

// TestStatusOfAScript: one worker that answers, runs, keeps one waiting, has
// one refused, dies, is too late, and is of another generation.
func TestStatusOfAScript(t *testing.T) {
	cfg := testConfig(t, "measured:application")
	cfg.fixed(1)
	cfg.Queue, cfg.Depth = 1, 1
	began := time.Now()
	p, server := startPool(t, cfg)
	<-p.Ready()
	p.waitServing(t, 1)

	s := p.waitPIDs(t)
	if s.State != "serving" || s.Generation != 1 || s.Since.Before(began) || s.Since.After(time.Now()) || s.Uptime <= 0 ||
		s.HostPID <= 0 || !strings.HasPrefix(s.Version, "CPython 3.") || s.Parallel || !s.Preloaded || s.Method != "prefork" ||
		s.Total != 1 || s.Idle != 1 || s.Active != 0 || s.MaxActive != 0 || s.Started != 1 || s.QueueMax != 1 || s.QueueTime.Count != 0 {
		t.Errorf("at rest: %+v", s)
	}
	first := s.Workers[0]
	if first.State != "idle" || first.Channel == 0 || first.Requests != 0 || first.Running != "" || first.Age < first.Since {
		t.Errorf("the worker at rest: %+v", first)
	}

	// One answered, one that runs, one that waits, one that is refused.
	if code, body := get(t, server.URL+"/hello"); code != 200 || body != strconv.Itoa(first.PID) {
		t.Fatalf("%d %s, the status says pid %d", code, body, first.PID)
	}
	file := filepath.Join(t.TempDir(), "secret")
	running := askLater(t, server, "/wait?"+file)
	s = p.waitStatus(t, func(s Status) string {
		return want("running", s.Workers[0].Running, "GET /wait") + want("active", s.Active, 1)
	})
	w := s.Workers[0]
	if w.PID != first.PID || w.Channel != first.Channel || w.State != "busy" || w.Requests != 1 || w.Running != "GET /wait" ||
		!strings.HasPrefix(w.Client, "127.0.0.1:") || w.Request == "" || w.RunningFor <= 0 || w.RunningFor > 5 || w.Since != w.RunningFor || w.Waiting != 0 {
		t.Errorf("the worker that runs: %+v", w)
	}
	if text, err := json.Marshal(s); err != nil || strings.Contains(string(text), "secret") {
		t.Errorf("the query is in the status: %s, %v", text, err)
	}
	waiting := askLater(t, server, "/hello")
	p.waitStatus(t, func(s Status) string { return want("queue", s.QueueLen, 1) })
	p.waitStatus(t, func(s Status) string { return want("max_children_reached", s.Reached > 0, true) })
	queued := time.Now()
	if code := <-askLater(t, server, "/hello"); code != 503 {
		t.Errorf("beyond the queue: %d", code)
	}
	time.AfterFunc(100*time.Millisecond, func() {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Error(err)
		}
	})
	if a, b := <-running, <-waiting; a != 200 || b != 200 {
		t.Errorf("answers %d and %d", a, b)
	}
	waited := time.Since(queued).Seconds()
	s = p.waitStatus(t, func(s Status) string { return want("idle", s.Idle, 1) })
	if s.Accepted != 3 || s.Answered != 3 || s.Refused.Count != 1 || s.MaxActive != 1 || s.Workers[0].Requests != 3 {
		t.Errorf("after four requests: %+v", s)
	}
	// On a busy machine a worker may be so late that its request is taken back.
	if s.TakenBack == 0 && (s.QueueSeen != 1 || s.Reached != 1) {
		t.Errorf("one has waited: %+v", s)
	}
	if q := s.QueueTime; q.Count != 3 || q.Sum < 0.1 || q.Sum > waited+5 || q.P99 < 100 {
		t.Errorf("queue times: %+v; one request waited %.3f s", q, waited)
	}
	if r := s.ServiceTime; r.Count != 3 || r.Sum < 0.1 || r.P99 < 100 {
		t.Errorf("service times: %+v", r)
	}

	// One that dies with its worker.
	if code, _ := get(t, server.URL+"/leave"); code != 502 {
		t.Errorf("a worker that dies: %d", code)
	}
	s = p.waitStatus(t, func(s Status) string { return want("idle", s.Idle, 1) })
	if s.Lost != 1 || s.Started != 2 || s.Answered != 3 || s.ServiceTime.Count != 4 || s.Generation != 1 || s.Workers[0].PID == first.PID || s.Workers[0].Requests != 0 {
		t.Errorf("after a death: %+v", s)
	}

	// Another generation, whose request is too late.
	old := s
	cfg.RequestTimeout = 200 * time.Millisecond
	if err := p.Reload(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	s = p.waitStatus(t, func(s Status) string { return want("total", s.Total, 1) })
	if s.Generation != 2 || !s.Since.After(old.Since) || s.Uptime > old.Uptime+60 || s.HostPID == old.HostPID || s.Workers[0].Generation != 2 || s.Started != 3 || s.Answered != 3 {
		t.Errorf("after a reload: %+v", s)
	}
	if code := <-askLater(t, server, "/wait?"+file+".never"); code != 504 {
		t.Errorf("too late: %d", code)
	}
	s = p.waitStatus(t, func(s Status) string { return want("started", s.Started, uint64(4)) + want("total", s.Total, 1) })
	if s.Timeouts != 1 || s.Accepted != 5 || s.Answered != 3 || s.Lost != 1 || s.ServiceTime.Count != 5 || s.QueueTime.Count != 5 || s.Generation != 2 || s.Slow != 0 || s.RecycledBy["timeout"] != 1 || s.RecycledBy["died"] != 1 || s.Recycled != 0 {
		t.Errorf("after a time-out: %+v", s)
	}

	// A third generation, whose request is slow and its worker's last.
	cfg.RequestTimeout, cfg.SlowRequest, cfg.MaxRequests = 30*time.Second, 30*time.Millisecond, 1
	if err := p.Reload(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	p.waitStatus(t, func(s Status) string { return want("total", s.Total, 1) })
	slow := askLater(t, server, "/wait?"+file+".slow")
	p.waitStatus(t, func(s Status) string { return want("slow", s.Slow, uint64(1)) })
	if err := os.WriteFile(file+".slow", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if code := <-slow; code != 200 {
		t.Errorf("slow: %d", code)
	}
	s = p.waitStatus(t, func(s Status) string { return want("started", s.Started, uint64(6)) + want("total", s.Total, 1) })
	if s.Slow != 1 || s.Answered != 4 || s.Recycled != 1 || s.RecycledBy["requests"] != 1 || s.Timeouts != 1 || s.Lost != 1 || s.ServiceTime.Count != 6 || s.Generation != 3 || s.Refused.Count != 1 {
		t.Errorf("at the end: %+v", s)
	}
}

// TestStatusOfAStream: the time of an answer in pieces is that to its end, and
// one that is cut is counted once.
func TestStatusOfAStream(t *testing.T) {
	cfg := testConfig(t, "misbehaving:application")
	cfg.RequestTimeout = enough
	p, server := startPool(t, cfg)
	if code, _ := get(t, server.URL+"/slow_stream?0.2"); code != 200 {
		t.Fatal(code)
	}
	s := p.waitStatus(t, func(s Status) string { return want("answered", s.Answered, uint64(1)) })
	if s.ServiceTime.Count != 1 || s.ServiceTime.Sum < 0.2 {
		t.Errorf("service time %+v", s.ServiceTime)
	}
	resp, err := http.Get(server.URL + "/slow_stream?3600")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("a stream that gives no sign was not cut")
	}
	s = p.waitStatus(t, func(s Status) string {
		return want("started", s.Started, uint64(2)) + want("total", s.Total, 1) + want("idle", s.Idle, 1)
	})
	if s.ServiceTime.Count != 2 || s.Answered != 1 || s.Timeouts != 1 {
		t.Errorf("after one that is cut: %+v", s)
	}
}

// TestFull: max_children reached is counted in times, not in looks.
func TestFull(t *testing.T) {
	p := New(Config{Name: "full", MaxChildren: 2})
	b := bounds{maxChildren: 2}
	for i, look := range []struct {
		queued int
		c      census
		want   uint64
	}{
		{0, census{serving: 2}, 0},
		{1, census{serving: 1, starting: 1}, 0},
		{1, census{serving: 2, idle: 1}, 0},
		{1, census{serving: 2}, 1},
		{9, census{serving: 1, leaving: 1}, 1},
		{1, census{serving: 1, starting: 1}, 1},
		{1, census{serving: 2}, 1},
		{0, census{serving: 2}, 1},
		{3, census{serving: 2}, 2},
	} {
		p.queue.len = look.queued
		p.fullLocked(look.c, b)
		if p.stats.full != look.want {
			t.Errorf("look %d: %d times, want %d", i, p.stats.full, look.want)
		}
	}
}

// again has the next Measure read whatever was read a moment ago.
func (p *Pool) again() {
	p.measuring.mu.Lock()
	defer p.measuring.mu.Unlock()
	p.measuring.at = time.Time{}
}

// TestStatusOfTheStuck: with every worker stopped, requests that wait, the host
// stopped and a reload under way, the status comes at once.
func TestStatusOfTheStuck(t *testing.T) {
	cfg := testConfig(t, "measured:application")
	cfg.fixed(2)
	cfg.Queue, cfg.Depth = 4, 1 // those that are lent come back to it
	p, server := startPool(t, cfg)
	<-p.Ready()
	p.waitServing(t, 2)
	s := p.waitPIDs(t)
	pids := []int{s.HostPID}
	for _, w := range s.Workers {
		pids = append(pids, w.PID)
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	goOn := func() {
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGCONT) // one may be gone by now
		}
	}
	defer goOn()
	var answers []<-chan int
	for range 4 {
		answers = append(answers, askLater(t, server, "/hello"))
	}
	slow := cfg
	slow.WSGI = "slow_import:application"
	ctx, cancel := context.WithCancel(t.Context())
	reloaded := make(chan error, 1)
	go func() { reloaded <- p.Reload(ctx, slow) }()
	p.waitStatus(t, func(s Status) string { return want("accepted", s.Accepted, uint64(4)) })

	best := time.Hour // the machine may be busy
	for range 20 {
		p.again()
		begin := time.Now()
		done := p.Measure()
		s := p.Status()
		best = min(best, time.Since(begin))
		if s.Accepted != 4 || s.Answered != 0 || s.Generation != 1 {
			t.Errorf("stuck: %+v", s)
		}
		<-done
	}
	if best > 50*time.Millisecond {
		t.Errorf("the status took %s", best)
	}
	if m := p.Status().Memory; runtime.GOOS == "linux" && (m == nil || m.Processes < 3) {
		t.Errorf("the memory of stopped processes: %+v", m)
	}
	goOn()
	for _, a := range answers {
		if code := <-a; code != 200 {
			t.Errorf("after all: %d", code)
		}
	}
	cancel()
	if err := <-reloaded; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// manyWorkers is a pool with so many workers that run something, and none in
// truth.
func manyWorkers(n int) *Pool {
	p := New(Config{Name: "many", MaxChildren: n, Queue: 1024})
	h := &host{pool: p}
	words := make([]slotWords, n)
	for i := range n {
		proc := &process{host: h}
		proc.measured.at = time.Now()
		ch := &channel{pool: p, host: h, process: proc, id: uint64(i), state: channelServing, words: &words[i]}
		ch.held = []*call{{method: "GET", uri: "/some/path?" + strings.Repeat("query", 20), peer: "192.0.2.1:4711", channel: ch, seq: 7}}
		proc.channels = []*channel{ch}
		p.channels, p.processes = append(p.channels, ch), append(p.processes, proc)
	}
	p.stats.refused = 5000
	return p
}

// BenchmarkStatus is the whole of a snapshot; "lock-ns/op" is the part of it
// that holds Pool.mu.
func BenchmarkStatus(b *testing.B) {
	p := manyWorkers(200)
	t := &taken{rows: make([]row, 0, 408), refused: make([]time.Duration, 1024)}
	var locked time.Duration
	for b.Loop() {
		begin := time.Now()
		t.rows, t.refused = t.rows[:0], t.refused[:1024]
		p.takeLocked(t)
		locked += time.Since(begin)
		p.Status()
	}
	b.ReportMetric(float64(locked)/float64(b.N), "lock-ns/op")
}

// TestStatusLock holds the snapshot of 200 workers to its share of the lock.
func TestStatusLock(t *testing.T) {
	p := manyWorkers(200)
	best := time.Hour
	for range 20 { // the machine may be busy: the best is what the code takes
		s := &taken{rows: make([]row, 0, 408), refused: make([]time.Duration, 1024)}
		begin := time.Now()
		p.takeLocked(s)
		best = min(best, time.Since(begin))
		if len(s.rows) != 200 {
			t.Fatal(len(s.rows))
		}
	}
	if best > time.Millisecond {
		t.Errorf("200 workers take %s of the lock", best)
	}
}
