package pool

// Dispatch: who runs a request, and what becomes of one that nobody waits for.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestTakeBack: requests behind a slow one run elsewhere, or as soon as
// somebody is free, and a slow close() holds nobody.
func TestTakeBack(t *testing.T) {
	cfg := testConfig(t, "misbehaving:application")
	cfg.fixed(2)
	p, server := startPool(t, cfg)
	p.waitServing(t, 2)
	for _, slow := range []string{"/gate?", "/slow_close?", "/slow_stream?"} {
		gate := newGate(t)
		p.mu.Lock()
		p.stats.meanService = 10 * time.Microsecond // the deepest queues
		p.mu.Unlock()
		done := make(chan struct{})
		go func() {
			defer close(done)
			get(t, server.URL+slow+gate)
		}()
		eventually(t, func() error {
			s := p.Status()
			if s.Active == 1 && s.Idle == 1 {
				return nil
			}
			return fmt.Errorf("not one busy worker: %+v", s)
		})
		var wg sync.WaitGroup
		for range 32 { // while the other one stays
			wg.Go(func() { get(t, server.URL+"/pid") })
		}
		wg.Wait()
		openGate(t, gate)
		<-done
		p.waitAtRest(t, 2)
	}
}

// newGate is a FIFO that holds a request of an app until openGate.
func newGate(t testing.TB) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "gate")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// waitRunning waits until a worker runs a request, and has not only been lent it.
func (p *Pool) waitRunning(t testing.TB, request string) {
	t.Helper()
	eventually(t, func() error {
		workers := p.Status().Workers
		if !slices.ContainsFunc(workers, func(w Worker) bool { return w.Running == request }) {
			return fmt.Errorf("%s does not run yet: %+v", request, workers)
		}
		return nil
	})
}

// openGate lets the request through that stands at a gate, or comes to it
// within a minute.
func openGate(t testing.TB, path string) {
	t.Helper()
	eventuallyWithin(t, time.Minute, func() error {
		door, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0) // fails where nobody stands
		if err != nil {
			return err
		}
		return door.Close()
	})
}

// TestStoppedWorker: a request lent to a worker that does not run is given to
// another, and the worker is lent again once it runs.
func TestStoppedWorker(t *testing.T) {
	cfg := testConfig(t, "misbehaving:application")
	cfg.fixed(2)
	logged(&cfg)
	p, server := startPool(t, cfg)
	p.waitServing(t, 2)
	stopped := pidOf(t, server) // used last, so the next request is its own
	stopProcess(t, stopped)
	defer syscall.Kill(stopped, syscall.SIGCONT)
	for range 20 { // none waits for it
		if other := pidOf(t, server); other == stopped {
			t.Fatal("a stopped process answers")
		}
	}
	if s := p.Status(); s.TakenBack == 0 {
		t.Error("nothing was taken back: the stopped worker was not asked")
	}
	if err := syscall.Kill(stopped, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	p.waitAtRest(t, 2)
}

// stopProcess stops a process until a SIGCONT.
func stopProcess(t testing.TB, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || !strings.Contains(string(b), ") T ") {
			return fmt.Errorf("not stopped yet: %s, %v", b, err)
		}
		return nil
	})
}

// TestQueueFull: what is beyond the queue is refused at once, and the refusal
// is counted with its time.
func TestQueueFull(t *testing.T) {
	cfg := testConfig(t, "misbehaving:application")
	cfg.Queue = 4
	p, server := startPool(t, cfg)
	<-p.Ready()
	gate := newGate(t)
	running := inBackground(t, server, "/gate?"+gate, 1)
	p.waitRunning(t, "POST /gate")
	waiting := inBackground(t, server, "/pid", 4)
	p.waitActive(t, 1, 4)
	resp, err := http.Get(server.URL + "/pid")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("beyond the queue: %d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
	openGate(t, gate)
	if got := counted(t, running, 1); got[200] != 1 {
		t.Errorf("the one that ran: %v", got)
	}
	if got := counted(t, waiting, 4); got[200] != 4 {
		t.Errorf("those in the queue: %v", got)
	}
	if s := p.Status(); s.Refused.Count != 1 || s.Refused.P50 <= 0 {
		t.Errorf("refused: %+v", s.Refused)
	}
}

// TestClientLeavesQueue: a request whose client is gone is never run.
func TestClientLeavesQueue(t *testing.T) {
	cfg := testConfig(t, "misbehaving:application")
	p, server := startPool(t, cfg)
	<-p.Ready()
	gate := newGate(t)
	running := inBackground(t, server, "/gate?"+gate, 1)
	p.waitRunning(t, "POST /gate")
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, "GET", server.URL+"/pid", nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
		}
	}()
	eventually(t, func() error {
		if p.Status().QueueLen == 0 {
			return errors.New("nothing is queued")
		}
		return nil
	})
	cancel()
	<-done
	eventually(t, func() error {
		if n := p.Status().QueueLen; n != 0 {
			return fmt.Errorf("%d requests are queued, want 0", n)
		}
		return nil
	})
	openGate(t, gate)
	if got := counted(t, running, 1); got[200] != 1 {
		t.Errorf("the one that ran: %v", got)
	}
	if s := p.Status(); s.Answered != 1 {
		t.Errorf("%d requests have been answered, want 1", s.Answered)
	}
}

// TestClientLeavesStream: a stream that is silent ends at its next chunk when
// its client has left, and nobody waits for it longer than that.
func TestClientLeavesStream(t *testing.T) {
	cfg := testConfig(t, "misbehaving:application")
	p, server := startPool(t, cfg)
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, "GET", server.URL+"/slow_stream?0.5", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	cancel()
	resp.Body.Close()
	eventually(t, func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		ch := p.channels[0]
		if c := atomic.LoadUint64(&ch.words.cancelled); c != ch.seq || c == 0 {
			return fmt.Errorf("the worker is not told: cancelled %d, runs %d", c, ch.seq)
		}
		return nil
	})
	pidOf(t, server)
}

// TestHalfClosedClient: a client that has closed its half gets no answer at
// all, since it is taken for gone; never an empty one that looks like success.
func TestHalfClosedClient(t *testing.T) {
	_, server := startPool(t, testConfig(t, "misbehaving:application"))
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	gate := newGate(t)
	defer func() { // for whoever stands there, if somebody does
		if door, err := os.OpenFile(gate, os.O_RDWR, 0); err == nil {
			door.Close()
		}
	}()
	fmt.Fprintf(conn, "GET /gate?%s HTTP/1.1\r\nHost: x\r\n\r\n", gate)
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(conn); len(b) > 0 {
		t.Errorf("got %q", b)
	}
}

// TestDrainingTakenBack: a channel that drains ends also when what it held is
// taken back: its packet was still on its way when the draining began, and the
// worker, in the close() of the request before or stopped, does not read it.
func TestDrainingTakenBack(t *testing.T) {
	for _, name := range []string{"closing", "stopped"} {
		t.Run(name, func(t *testing.T) {
			p := New(Config{StopTimeout: time.Hour})
			h := &host{pool: p, cfg: *p.cfg}
			ours, theirs, err := packetPair()
			if err != nil {
				t.Fatal(err)
			}
			readEnd, err := duplicate(theirs)
			if err != nil {
				t.Fatal(err)
			}
			defer closeFD(theirs)
			ch := &channel{
				pool: p, host: h, process: &process{host: h, control: -1}, state: channelServing, seq: 1,
				packets: ours, readEnd: readEnd, words: &slotWords{started: 1, finished: 1},
			}
			defer ch.closeFDs()
			if name == "closing" {
				ch.words.finished = 0
			}
			ch.process.channels, p.channels = []*channel{ch}, []*channel{ch}
			p.mu.Lock()
			p.lendLocked(ch, &call{frame: make([]byte, packetHead), client: context.Background()})
			p.drainLocked(ch)
			p.unlock() // writes the packet
			p.mu.Lock()
			ch.headSince -= 2 * stall
			p.mu.Unlock()
			p.check()

			p.mu.Lock()
			defer p.mu.Unlock()
			p.timer.Stop()
			if p.queue.len != 1 || len(ch.held) != 0 {
				t.Errorf("%d requests are queued again, the channel holds %d", p.queue.len, len(ch.held))
			}
			if ch.packets >= 0 {
				t.Error("the way in is open still: the worker never learns that it is to leave")
			}
			if _, ok := readBack(theirs, make([]byte, packetHead)); ok {
				t.Error("a packet is left for the worker")
			}
		})
	}
}
