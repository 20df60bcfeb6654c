package pool

// Which processes a handover gives, which it lets go, and which it keeps.

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestHandOverDraining: a process that is let go ends, and holds no handover
// up, also when a request was on its way to it that it did not read.
func TestHandOverDraining(t *testing.T) {
	f, _, log := handable(t, 2, func(cfg *Config) { cfg.StopTimeout = time.Hour })
	s := f.now.Load()
	p := s.Pool
	p.mu.Lock()
	goes, stays := p.channels[0], p.channels[1]
	goes.handing, stays.handing = true, true // the request waits
	p.mu.Unlock()
	answer := make(chan int, 1)
	go func() {
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/pid", nil))
		answer <- w.Code
	}()
	eventually(t, func() error {
		if p.Status().QueueLen != 1 {
			return errors.New("no request waits")
		}
		return nil
	})
	pid := int(goes.process.pid.Load())
	stopProcess(t, pid)
	defer syscall.Kill(pid, syscall.SIGCONT)
	p.mu.Lock()
	goes.handing = false
	p.idleListLocked(goes)
	p.dispatchLocked()
	if len(goes.held) != 1 {
		t.Error("the request is not lent")
	}
	p.retireLocked(goes.process, "requests")
	p.drainLocked(goes)
	stays.handing = false
	p.idleListLocked(stays)
	p.unlock()
	if code := <-answer; code != 200 {
		t.Errorf("status %d", code)
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := f.upgrade(); err != nil {
		t.Fatal(err)
	}
	gone(t, pid)
	if text := log.String(); strings.Contains(text, "level=WARN") {
		t.Errorf("the log complains:\n%s", text)
	}
}

// TestHandOverHeldOpen: what an app's own child holds open of a worker that
// has ended keeps the pool before no longer than a worker that does not end.
func TestHandOverHeldOpen(t *testing.T) {
	f, url, _ := handable(t, 2, func(cfg *Config) { cfg.StopTimeout = 100 * time.Millisecond })
	p := f.now.Load().Pool
	_, body := get(t, url+"/fork_in_c")
	child, err := strconv.Atoi(body)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(child, syscall.SIGKILL)
	pid := parent(t, child)
	x, ended := handing(t, p)
	x.said(t, "offer")
	x.says(t, "accept")
	x.said(t, "host")
	p.mu.Lock()
	for _, proc := range p.processes {
		if int(proc.pid.Load()) == pid {
			p.retireLocked(proc, "requests")
		}
	}
	p.mu.Unlock()
	x.says(t, "taken")
	p.Drained()
	x.said(t, "process")
	x.said(t, "channel")
	x.says(t, "taken")
	x.said(t, "end")
	if err := wait(t, ended); err != nil {
		t.Error(err)
	}
	gone(t, pid)
	f.now.Load().stop(t)
	f.now.Store(f.start(nil))
}

// pickable is a handover of processes with so many channels each, all of which
// run a request.
func pickable(channels ...int) (*handover, []*process) {
	p := New(Config{StopTimeout: time.Hour})
	h := &host{pool: p, cfg: *p.cfg}
	for i, n := range channels {
		proc := &process{host: h, number: i + 1, control: -1}
		proc.pid.Store(int64(100 * (i + 1)))
		for range n {
			ch := &channel{
				pool: p, host: h, process: proc, state: channelServing, packets: 1 << 30, readEnd: -1, words: &slotWords{},
				held: []*call{{}},
			}
			proc.channels, p.channels = append(proc.channels, ch), append(p.channels, ch)
		}
		p.processes = append(p.processes, proc)
	}
	return &handover{pool: p, host: h}, p.processes
}

// TestMarkedNoMore: a process that was taken out of dispatch, to fall idle and
// be given, is lent to again when it is not to be given after all.
func TestMarkedNoMore(t *testing.T) {
	o, procs := pickable(2, 2)
	if proc, left := o.pick(); proc != nil || left != 2 || o.marked == nil {
		t.Fatalf("of two busy processes %v is picked, %d are left, %v is marked", proc, left, o.marked)
	}
	marked := o.marked
	for _, proc := range procs {
		proc.retiring = true // until the taker's come, they serve
	}
	if proc, left := o.pick(); proc != nil || left != 2 || o.marked != nil {
		t.Errorf("of two that are to be replaced %v is picked, %d are left, %v is marked", proc, left, o.marked)
	}
	for i, ch := range marked.channels {
		if !ch.lendableLocked() {
			t.Errorf("channel %d is lent nothing any more", i)
		}
	}
}

// TestKept: a process that is not given tells why.
func TestKept(t *testing.T) {
	for want, change := range map[string]func(*process){
		"at rest":                        func(*process) {},
		"retiring":                       func(proc *process) { proc.retiring = true },
		"lost":                           func(proc *process) { proc.doomed = "for this test" },
		"dying":                          func(proc *process) { proc.killed = "for this test" },
		"traced":                         func(proc *process) { proc.tracing = true },
		"starting":                       func(proc *process) { proc.channels[0].state = channelStarting },
		"retiring, draining, busy":       func(proc *process) { drains(proc); proc.channels[0].held = []*call{{}} },
		"retiring, draining, written to": func(proc *process) { drains(proc); proc.channels[1].writing = true },
		"ended":                          func(proc *process) { proc.channels[1].ended = true },
		"streaming":                      func(proc *process) { proc.channels[1].streaming = true },
		"closing":                        func(proc *process) { proc.channels[1].words.started = 1 },
	} {
		o, procs := pickable(2)
		proc := procs[0]
		for _, ch := range proc.channels {
			ch.held = nil
		}
		change(proc)
		if got := o.kept(); got != "100 "+want {
			t.Errorf("%q, not %q", got, want)
		}
		if proc.restsLocked() != (want == "at rest") {
			t.Errorf("%q: it rests: %t", want, proc.restsLocked())
		}
	}
}

func drains(proc *process) {
	proc.retiring = true
	for _, ch := range proc.channels {
		ch.state = channelDraining
	}
}
