//go:build unix

package attach

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"millrace/internal/supervise"
)

// fakeStarter starts processes that a test ends.
type fakeStarter struct {
	mu      sync.Mutex
	started []*fakeProcess
	deaf    bool  // they do not end when they are signalled
	fail    error // nothing can be started
	ends    bool  // they end at once
}

type fakeProcess struct {
	name    string
	pid     int
	began   time.Time
	deaf    bool
	ended   chan supervise.Exit
	once    sync.Once
	mu      sync.Mutex
	signals []syscall.Signal
}

func (f *fakeStarter) Start(s supervise.Start) (supervise.Process, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return nil, f.fail
	}
	p := &fakeProcess{name: s.Command.Name, pid: 100 + len(f.started), began: time.Now(), deaf: f.deaf, ended: make(chan supervise.Exit, 1)}
	f.started = append(f.started, p)
	if f.ends {
		p.end(supervise.Exit{Code: 3})
	}
	return p, nil
}

func (f *fakeStarter) all() []*fakeProcess {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.started)
}

func (p *fakeProcess) PID() int             { return p.pid }
func (p *fakeProcess) Wait() supervise.Exit { return <-p.ended }
func (p *fakeProcess) end(e supervise.Exit) { p.once.Do(func() { p.ended <- e }) }

func (p *fakeProcess) Signal(s syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.signals = append(p.signals, s)
	if !p.deaf {
		p.end(supervise.Exit{Signal: s})
	}
	return nil
}

func (p *fakeProcess) Kill() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.signals = append(p.signals, syscall.SIGKILL)
	p.end(supervise.Exit{Signal: syscall.SIGKILL})
	return nil
}

func (p *fakeProcess) got() []syscall.Signal {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.signals)
}

// logLines is a log of lines without their times.
type logLines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logLines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

func (l *logLines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newSet() (*Set, *logLines) {
	l := &logLines{}
	s := New("main", slog.New(slog.NewTextHandler(l, nil)))
	s.place = time.UTC
	return s, l
}

func program(name string, count int) Program {
	return Program{Name: name, Command: &supervise.Command{Name: name}, Count: count, StopSignal: syscall.SIGINT, StopTimeout: 5 * time.Second}
}

func states(s *Set) string {
	programs, _ := s.Status()
	var all []string
	for _, p := range programs {
		all = append(all, fmt.Sprintf("%s %s %d", p.Name, p.State, p.Restarts))
	}
	return strings.Join(all, ", ")
}

func wantStates(t *testing.T, s *Set, want string) {
	t.Helper()
	synctest.Wait()
	if got := states(s); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestPrograms: started by their count, started again, replaced when their
// predecessors have ended, and stopped.
func TestPrograms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := newSet()
		f := &fakeStarter{}
		s.Replace(Config{Starter: f, Programs: []Program{program("mail", 2), program("beat", 1)}})
		wantStates(t, s, "mail running 0, mail running 0, beat running 0")
		f.all()[0].end(supervise.Exit{Code: 7})
		synctest.Wait()
		if got := states(s); !strings.Contains(got, "waiting 1") {
			t.Errorf("%q", got)
		}
		time.Sleep(time.Second) // of the bubble
		synctest.Wait()
		if n := len(f.all()); n != 4 {
			t.Errorf("%d were started, want 4", n)
		}
		if log.count(`msg="an attached program has ended; it is started again"`) != 1 || log.count("exited with status 7") != 1 {
			t.Errorf("log:\n%s", log.text())
		}

		for _, p := range f.all() {
			p.mu.Lock()
			p.deaf = true
			p.mu.Unlock()
		}
		s.Replace(Config{Starter: f, Programs: []Program{program("mail", 1), program("new", 1)}})
		synctest.Wait()
		if n := len(f.all()); n != 5 { // the new program: no predecessor is in its way
			t.Errorf("%d were started, want 5:\n%s", n, states(s))
		}
		for _, p := range f.all()[1:4] {
			if got := p.got(); !slices.Equal(got, []syscall.Signal{syscall.SIGINT}) {
				t.Errorf("%d of %s got %v", p.pid, p.name, got)
			}
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if n := len(f.all()); n != 6 {
			t.Errorf("%d were started, want 6", n)
		}
		for _, p := range f.all()[1:4] {
			if got := p.got(); !slices.Equal(got, []syscall.Signal{syscall.SIGINT, syscall.SIGKILL}) {
				t.Errorf("%d of %s got %v", p.pid, p.name, got)
			}
		}
		if programs, _ := s.Status(); len(programs) != 2 {
			t.Errorf("%q", states(s))
		}
		s.Stop()
		if got := states(s); got != "" {
			t.Errorf("after the end: %q", got)
		}
		s.Replace(Config{Starter: f, Programs: []Program{program("late", 1)}})
		synctest.Wait()
		if n := len(f.all()); n != 6 {
			t.Error("started after the end")
		}
	})
}

// TestNeverTooMany: however fast reloads follow each other, there are never
// more of a program than its count.
func TestNeverTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSet()
		f := &fakeStarter{deaf: true}
		for range 5 {
			s.Replace(Config{Starter: f, Programs: []Program{program("beat", 1)}})
			synctest.Wait()
		}
		if n := len(f.all()); n != 1 {
			t.Fatalf("%d run at a time", n)
		}
		f.all()[0].end(supervise.Exit{})
		synctest.Wait()
		if n := len(f.all()); n != 2 || states(s) != "beat running 0" {
			t.Errorf("%d were started: %s; those between never had their turn", n, states(s))
		}
		s.Kill()
		s.Stop()
		if got := f.all()[1].got(); !slices.Contains(got, syscall.SIGKILL) {
			t.Errorf("it got %v", got)
		}
	})
}

// TestCrashLoop: it is said once, and tried on with a growing delay.
func TestCrashLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := newSet()
		f := &fakeStarter{ends: true}
		s.Replace(Config{Starter: f, Programs: []Program{program("mail", 1)}})
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		all := f.all()
		if n := len(all); n < 20 || n > 40 {
			t.Errorf("%d starts in 10 minutes", n)
		}
		if gap := all[len(all)-1].began.Sub(all[len(all)-2].began); gap < lastDelay*8/10 || gap > lastDelay*12/10 {
			t.Errorf("the last delay is %v", gap)
		}
		if n := log.count("times in a row"); n != 1 {
			t.Errorf("the loop was told %d times:\n%s", n, log.text())
		}
		if n := log.count("\n"); n > 10 {
			t.Errorf("%d lines:\n%s", n, log.text())
		}
		f.mu.Lock()
		f.ends = false
		f.mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		last := f.all()[len(f.all())-1]
		last.end(supervise.Exit{Signal: syscall.SIGSEGV}) // after it ran steadily
		time.Sleep(time.Second)
		synctest.Wait()
		if log.count("killed by SIGSEGV") != 1 || !strings.Contains(states(s), "running") {
			t.Errorf("after a long run: %s\n%s", states(s), log.text())
		}
		s.Stop()
	})
}

func TestCannotStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := newSet()
		s.Replace(Config{Starter: &fakeStarter{fail: errors.New("no such program")}, Programs: []Program{program("mail", 1)}})
		synctest.Wait()
		if programs, _ := s.Status(); programs[0].LastExit != "no such program" || programs[0].State != stateWaiting {
			t.Errorf("%+v", programs)
		}
		if log.count(`error="no such program"`) != 1 {
			t.Errorf("log:\n%s", log.text())
		}
		s.Stop() // does not wait for the delay
	})
}
