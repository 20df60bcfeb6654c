package pool

// Handovers that are refused, break off, or meet workers that are busy or die.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"millrace/internal/supervise"
)

// handing starts a HandOver and returns the taker's end and how it ended.
func handing(t *testing.T, p *Pool) (*exchange, <-chan error) {
	t.Helper()
	giver, taker := wire(t)
	ended := make(chan error, 1)
	go func() { ended <- p.HandOver(context.Background(), giver) }()
	x, err := newExchange(taker)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.close)
	return x, ended
}

// said waits for a message of the giver; its descriptors are closed.
func (x *exchange) said(t *testing.T, kind string) exchangeMessage {
	t.Helper()
	m, fds, err := x.expect(context.Background(), kind)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		closeFD(fd)
	}
	return m
}

func (x *exchange) says(t *testing.T, kind string) {
	t.Helper()
	if err := x.send(exchangeMessage{Do: kind}); err != nil {
		t.Fatal(err)
	}
}

func wait(t *testing.T, ended <-chan error) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(time.Minute):
		t.Fatal("HandOver does not return")
		return nil
	}
}

// handable is a pool of n workers that can be handed over.
func handable(t *testing.T, n int, changes ...func(*Config)) (*front, string, *logBuffer) {
	t.Helper()
	cfg := testConfig(t, "misbehaving:application")
	cfg.fixed(n)
	cfg.Starter = &family{}
	for _, change := range changes {
		change(&cfg)
	}
	log := logged(&cfg)
	f, server := startFront(t, cfg)
	f.now.Load().waitAtRest(t, n)
	f.now.Load().told(t)
	return f, server.URL, log
}

// told returns the workers' process ids once the host has told all.
func (p *Pool) told(t *testing.T) []int {
	t.Helper()
	var pids []int
	eventually(t, func() error {
		if pids = p.workerPIDs(); len(pids) == 0 || pids[0] == 0 {
			return errors.New("the host has not told yet")
		}
		return nil
	})
	return pids
}

// TestHandOverBroken: a taker that dies, at each step. What it was not given
// serves on, what it was given dies, and there are as many workers as before.
func TestHandOverBroken(t *testing.T) {
	steps := []struct {
		name  string
		do    func(*testing.T, *exchange)
		kept  int // of two workers
		fresh bool
	}{
		{"at once", func(*testing.T, *exchange) {}, 2, false},
		{"after the offer", func(t *testing.T, x *exchange) { x.said(t, "offer") }, 2, false},
		{"refused", func(t *testing.T, x *exchange) {
			x.said(t, "offer")
			if err := x.send(exchangeMessage{Do: "refuse", Reason: "for this test"}); err != nil {
				t.Fatal(err)
			}
		}, 2, false},
		{"with the host untaken", func(t *testing.T, x *exchange) {
			x.said(t, "offer")
			x.says(t, "accept")
			x.said(t, "host")
		}, 2, false},
		{"with a word that is none", func(t *testing.T, x *exchange) {
			x.said(t, "offer")
			x.says(t, "accept")
			x.said(t, "host")
			x.says(t, "end")
		}, 2, false},
		{"with the host", func(t *testing.T, x *exchange) {
			x.said(t, "offer")
			x.says(t, "accept")
			x.said(t, "host")
			x.says(t, "taken")
		}, 2, true},
		{"with a worker untaken", func(t *testing.T, x *exchange) {
			x.said(t, "offer")
			x.says(t, "accept")
			x.said(t, "host")
			x.says(t, "taken")
			x.said(t, "process")
			x.said(t, "channel")
		}, 2, true},
		{"with a worker", func(t *testing.T, x *exchange) {
			x.said(t, "offer")
			x.says(t, "accept")
			x.said(t, "host")
			x.says(t, "taken")
			x.said(t, "process")
			x.said(t, "channel")
			x.says(t, "taken")
		}, 1, true},
	}
	for _, tt := range steps {
		t.Run(tt.name, func(t *testing.T) {
			f, url, log := handable(t, 2)
			p := f.now.Load()
			pids := p.told(t)
			load := press(t, url+"/pid", 2)
			x, ended := handing(t, p.Pool)
			tt.do(t, x)
			x.close()
			err := wait(t, ended)
			if err == nil {
				t.Fatal("HandOver succeeded")
			}
			if tt.fresh {
				log.wait(t, "a handover broke off")
			}
			eventually(t, func() error {
				now := p.Status()
				if len(now.Workers) != 2 || now.Idle+now.Active < 2 {
					return fmt.Errorf("after %v: %+v\n%s", err, now, log)
				}
				kept := 0
				for _, pid := range p.workerPIDs() {
					if slices.Contains(pids, pid) {
						kept++
					}
				}
				if !tt.fresh && kept != tt.kept || tt.fresh && now.Generation != 2 {
					return fmt.Errorf("after %v: %d of %v are left in generation %d", err, kept, pids, now.Generation)
				}
				return nil
			})
			if !tt.fresh && !strings.Contains(log.String(), "level=WARN") && p.Status().Generation != 1 {
				t.Errorf("generation %d", p.Status().Generation)
			}
			if tt.fresh {
				for _, pid := range pids {
					gone(t, pid)
				}
			}
			eventually(t, func() error {
				if load.good.Load() == 0 {
					return errors.New("no requests")
				}
				return nil
			})
			load.end(t)
			if err := f.upgrade(); err != nil { // and the next one goes well
				t.Fatal(err)
			}
		})
	}
}

// TestHandOverRefused: what was made from another configuration, or cannot be
// taken over, is not; both pools serve.
func TestHandOverRefused(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Config)
		why    string
	}{
		{"another environment", func(cfg *Config) {
			host := *cfg.Host
			host.Env = append(slices.Clone(host.Env), "NEW=1")
			cfg.Host = &host
		}, "configuration"},
		{"another app", func(cfg *Config) { cfg.WSGI = "basic:application" }, "configuration"},
		{"another worker", func(cfg *Config) {
			host := *cfg.Host
			host.Stdin = append(slices.Clone(host.Stdin), "\n"...)
			cfg.Host = &host
		}, "worker's program"},
		{"another plan", func(cfg *Config) {
			host := *cfg.Host
			host.Plan++
			cfg.Host = &host
		}, ""},
		{"no adopter", func(cfg *Config) { cfg.Starter = supervise.Local{} }, "cannot be taken over here"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, url, log := handable(t, 2)
			old := f.now.Load().told(t)
			tt.change(&f.cfg)
			err := f.upgrade()
			p := f.now.Load()
			p.waitAtRest(t, 2)
			same := slices.Equal(p.told(t), old)
			if tt.why == "" {
				if err != nil || !same {
					t.Errorf("%v; the workers were %v, now %v", err, old, p.told(t))
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.why) || same {
				t.Errorf("%v; the workers were %v, now %v", err, old, p.told(t))
			}
			log.wait(t, "no workers are taken over", tt.why)
			for _, pid := range old {
				gone(t, pid)
			}
			if code, _ := get(t, url+"/pid"); code != 200 && f.cfg.WSGI != "basic:application" {
				t.Errorf("status %d", code)
			}
		})
	}
}

// TestHandOverVersion: a giver of another version is refused, and one that
// says nothing sensible is no more than that.
func TestHandOverVersion(t *testing.T) {
	for _, offer := range []string{
		`{"do":"offer","version":2,"fingerprint":"x"}`,
		`{"do":"offer"}`,
		`{"do":"none","reason":"there is nothing"}`,
		`{"do":"host"}`,
		`{"do":"end"}`,
		`garbage`,
		strings.Repeat("x", maxMessage+1),
		"",
	} {
		giver, taker := wire(t)
		go func() {
			_, _ = giver.WriteString(offer + "\n") // an error: it was enough
			giver.Close()
		}()
		cfg := testConfig(t, "misbehaving:application")
		cfg.Starter = &family{}
		cfg.Adopt = taker
		log := logged(&cfg)
		p, server := startPool(t, cfg)
		await(t, "it is ready", p.Ready())
		if code, _ := get(t, server.URL+"/pid"); code != 200 {
			t.Errorf("%.40s: status %d", offer, code)
		}
		log.wait(t, "no workers are taken over")
	}
}

// TestHandOverOneWorker: while the only worker is needed by the pool before, a
// substitute serves, and goes when the worker comes.
func TestHandOverOneWorker(t *testing.T) {
	for _, threads := range []int{0, 2} {
		cfg := testConfig(t, "misbehaving:application")
		n := max(threads, 1)
		cfg.fixed(n)
		cfg.Threads = threads
		cfg.Starter = &family{}
		log := logged(&cfg)
		f, server := startFront(t, cfg)
		f.now.Load().waitAtRest(t, n)
		pids := f.now.Load().told(t)
		load := press(t, server.URL+"/pid", 4)
		for range 3 {
			if err := f.upgrade(); err != nil {
				t.Fatal(err)
			}
			eventually(t, func() error {
				if now := f.now.Load().workerPIDs(); !slices.Equal(now, pids) {
					return fmt.Errorf("%d threads: the workers were %v, now %v\n%s", threads, pids, now, log)
				}
				return nil
			})
		}
		load.end(t)
	}
}

// TestHandOverBusy: a worker that is busy comes when it has ended its request;
// one that does not end is left, and another takes its place.
func TestHandOverBusy(t *testing.T) {
	for _, ends := range []bool{true, false} {
		f, url, log := handable(t, 2, func(cfg *Config) {
			if !ends {
				cfg.StopTimeout = 100 * time.Millisecond
			}
		})
		old := f.now.Load()
		pids := old.told(t)
		gate := filepath.Join(t.TempDir(), "gate")
		if err := syscall.Mkfifo(gate, 0o600); err != nil {
			t.Fatal(err)
		}
		answers := make(chan int, 1)
		go func() {
			resp, err := http.Get(url + "/gate?" + gate)
			if err != nil {
				answers <- -1
				return
			}
			resp.Body.Close()
			answers <- resp.StatusCode
		}()
		busy := 0
		eventually(t, func() error {
			for _, w := range old.Status().Workers {
				if w.State == "busy" {
					busy = w.PID
					return nil
				}
			}
			return errors.New("no worker is busy")
		})
		giver, taker := wire(t)
		handed := make(chan error, 1)
		go func() { handed <- old.HandOver(context.Background(), giver) }()
		next := f.start(taker)
		await(t, "the next pool is ready", next.Ready())
		f.now.Store(next)
		if now := next.workerPIDs(); len(now) != 1 || now[0] == busy || !slices.Contains(pids, now[0]) {
			t.Errorf("of %v with %d busy came %v\n%s", pids, busy, now, log)
		}
		if !ends { // the upgrade has no more time
			old.Drained()
			if err := wait(t, handed); err != nil {
				t.Error(err)
			}
			log.wait(t, "workers are not handed over", fmt.Sprintf("why=%q", fmt.Sprintf("%d busy", busy)))
			eventually(t, func() error {
				if s := next.Status(); s.Idle != 2 {
					return fmt.Errorf("no other worker has started: %+v", s)
				}
				return nil
			})
		}
		door, err := os.OpenFile(gate, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		door.Close()
		if code := <-answers; code != 200 {
			t.Errorf("the request that ran is answered with %d", code)
		}
		if ends {
			old.Drained()
			if err := wait(t, handed); err != nil {
				t.Error(err)
			}
			next.waitAtRest(t, 2)
			if now := next.told(t); !slices.Equal(now, pids) {
				t.Errorf("the workers were %v, now %v", pids, now)
			}
		}
		old.stop(t)
		if !ends {
			gone(t, busy)
		}
		next.waitAtRest(t, 2)
	}
}

// TestDeathsAway: of workers that are with the giver still. The taker hears of
// it and replaces them; a giver that needs one all the same starts its own.
func TestDeathsAway(t *testing.T) {
	f, url, log := handable(t, 2)
	old := f.now.Load()
	pids := old.told(t)
	giver, taker := wire(t)
	handed := make(chan error, 1)
	go func() { handed <- old.HandOver(context.Background(), giver) }()
	next := f.start(taker)
	await(t, "the next pool is ready", next.Ready())
	mine := next.workerPIDs()
	if len(mine) != 1 {
		t.Fatalf("of %v came %v", pids, mine)
	}
	away := pids[0] + pids[1] - mine[0]
	if err := syscall.Kill(away, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	next.waitAtRest(t, 2)
	code, body := get(t, url+"/pid") // the front's pool is the old one still
	if pid, err := strconv.Atoi(body); code != 200 || err != nil || slices.Contains(pids, pid) {
		t.Errorf("the old pool answers %d %q\n%s", code, body, log)
	}
	log.wait(t, "a new generation starts")
	f.now.Store(next)
	old.Drained()
	if err := wait(t, handed); err != nil {
		t.Error(err)
	}
	old.stop(t)
	next.waitAtRest(t, 2)
	if code, _ := get(t, url+"/pid"); code != 200 {
		t.Errorf("status %d", code)
	}
}

// TestGiverDies: the taker goes on with what has come, and starts the rest.
func TestGiverDies(t *testing.T) {
	f, _, log := handable(t, 3)
	old := f.now.Load()
	giver, taker := wire(t)
	handed := make(chan error, 1)
	go func() { handed <- old.HandOver(context.Background(), giver) }()
	next := f.start(taker)
	await(t, "the next pool is ready", next.Ready())
	f.now.Store(next)
	old.stop(t) // without a word
	if err := wait(t, handed); err != nil {
		t.Error(err)
	}
	next.waitAtRest(t, 3)
	if s := next.Status(); s.Generation != 1 {
		t.Errorf("generation %d\n%s", s.Generation, log)
	}
}

// TestAfterHandOver: an adopted worker is all that a worker is: what it prints
// is logged, its limits count on, it is killed when it is late, its process
// opens more threads, and a reload replaces it.
func TestAfterHandOver(t *testing.T) {
	cfg := testConfig(t, "misbehaving:application")
	cfg.fixed(1)
	cfg.MaxRequests = 40
	cfg.Starter = &family{}
	log := logged(&cfg)
	f, server := startFront(t, cfg)
	f.now.Load().waitAtRest(t, 1)
	pid := f.now.Load().told(t)[0]
	for range 30 {
		get(t, server.URL+"/pid")
	}
	get(t, server.URL+"/half_a_line?one%20half%20")
	var was Worker
	eventually(t, func() error {
		if was = f.now.Load().Status().Workers[0]; was.Since < 0.5 {
			return errors.New("the worker is too young for its age to be told from a new one's")
		}
		return nil
	})
	if err := f.upgrade(); err != nil {
		t.Fatal(err)
	}
	p := f.now.Load()
	eventually(t, func() error {
		if now := p.workerPIDs(); !slices.Equal(now, []int{pid}) {
			return fmt.Errorf("the worker was %d, now %v", pid, now)
		}
		return nil
	})
	if is := p.Status().Workers[0]; is.Requests < was.Requests || is.Since < was.Since || is.Age < was.Age {
		t.Errorf("the worker had answered %d requests in %v s, the last %v s before; now %d in %v, %v before",
			was.Requests, was.Age, was.Since, is.Requests, is.Age, is.Since)
	}
	get(t, server.URL+"/half_a_line?and%20the%20other%0A")
	log.wait(t, "one half and the other", fmt.Sprintf("pid=%d", pid))
	for range 20 { // with those before over max_requests and its jitter
		get(t, server.URL+"/pid")
	}
	gone(t, pid)
	p.waitAtRest(t, 1)
	if s := p.Status(); s.Recycled != 1 {
		t.Errorf("%d workers recycled, want 1", s.Recycled)
	}
	second := p.told(t)[0]
	if err := p.Reload(context.Background(), cfg); err != nil {
		t.Fatal(err)
	}
	gone(t, second)
	if s := p.Status(); s.Generation != 2 {
		t.Errorf("generation %d", s.Generation)
	}
}

// TestAdoptedThreads: an adopted process opens further threads.
func TestAdoptedThreads(t *testing.T) {
	cfg := testConfig(t, "threads:application")
	cfg.Threads, cfg.MinSpare, cfg.MaxSpare, cfg.MaxChildren = 4, 1, 4, 4
	cfg.Starter = &family{}
	f, server := startFront(t, cfg)
	pids := f.now.Load().told(t)
	if err := f.upgrade(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if now := f.now.Load().workerPIDs(); !slices.Equal(now, pids) {
			return fmt.Errorf("the worker was %v, now %v", pids, now)
		}
		return nil
	})
	bodies := make(chan string, 3)
	for range cap(bodies) {
		go func() {
			_, body := get(t, server.URL+"/meet?3")
			bodies <- body
		}()
	}
	for range cap(bodies) {
		if body := <-bodies; !strings.HasPrefix(body, fmt.Sprint(pids[0], " ")) {
			t.Errorf("%q is not of process %v", body, pids)
		}
	}
}

// TestReloadDuringHandOver: it is refused, by reason.
func TestReloadDuringHandOver(t *testing.T) {
	f, _, _ := handable(t, 2)
	p := f.now.Load()
	x, ended := handing(t, p.Pool)
	x.said(t, "offer")
	x.says(t, "accept")
	x.said(t, "host")
	x.says(t, "taken")
	eventually(t, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := p.Reload(ctx, f.cfg); !errors.Is(err, errHandingOver) {
			return fmt.Errorf("reload: %v", err)
		}
		return nil
	})
	x.close()
	if err := wait(t, ended); err == nil {
		t.Error("HandOver succeeded")
	}
	eventually(t, func() error { return p.Reload(context.Background(), f.cfg) })
}

// FuzzParseMessage: what is taken is written again as the same.
func FuzzParseMessage(f *testing.F) {
	for _, line := range []string{
		`{"do":"offer","version":1,"fingerprint":"00"}`,
		`{"do":"refuse","reason":"text"}`,
		`{"do":"host","rights":3,"host":{"pid":7,"generation":1,"slots":10,"last_process":2,"away":[{"number":1,"pid":8,"slots":[0],"channels":1},{"number":2,"pid":0,"slots":[1,2],"channels":1}],"unread":"eA=="}}`,
		`{"do":"process","rights":3,"process":{"number":1,"pid":8,"served":3,"limit":0,"channels":2,"output":true,"control":true}}`,
		`{"do":"channel","rights":3,"channel":{"id":1,"slot":0,"seq":3,"ping":0,"served":3}}`,
		`{"do":"end"}`,
		`{"do":"host","rights":3,"host":{"pid":7,"generation":1,"slots":1,"last_process":2,"away":[{"number":1,"slots":[1]}]}}`,
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		m, err := parseMessage(line)
		if err != nil {
			return
		}
		again, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parseMessage(again)
		if err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		if second, err := json.Marshal(got); err != nil || string(second) != string(again) {
			t.Fatalf("%s, then %s (%v)", again, second, err)
		}
	})
}
