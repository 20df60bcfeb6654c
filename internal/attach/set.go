//go:build unix

package attach

import (
	"log/slog"
	"slices"
	"sync"
	"syscall"
	"time"

	"millrace/internal/supervise"
)

// Config is what lives beside one generation of an app.
type Config struct {
	Starter     supervise.Starter // starts all of it; required if there is any
	Programs    []Program
	Jobs        []Job
	StopTimeout time.Duration // that running jobs have at the end; then they are killed
}

// Program is a program that is kept up.
type Program struct {
	Name        string // unique among those of its app
	Command     *supervise.Command
	Count       int            // how many of it run
	StopSignal  syscall.Signal // asks it to end
	StopTimeout time.Duration  // that it has to; then its process group is killed
}

// Job is a line of a crontab.
type Job struct {
	Line     string // as it was written; unique among those of its app
	Schedule Schedule
	Command  *supervise.Command
}

// Set is what lives beside one app. Its methods may be called from any
// goroutine.
type Set struct {
	app   string
	log   *slog.Logger
	place *time.Location // of the jobs' times

	kill    chan struct{} // closed by Kill
	onKill  sync.Once
	overdue chan struct{}  // closed when the time of the jobs that run is over
	group   sync.WaitGroup // programs, jobs and the scheduler
	output  output

	mu       sync.Mutex // guards what follows; held for moments only
	stopped  bool
	cfg      Config
	present  map[member]*instance // the last of each member
	all      []*instance          // also older ones, until they have ended
	entries  []*entry
	wake     chan struct{} // to the scheduler; nil until there are jobs
	quiet    chan struct{} // closed by Quiet
	quieted  bool
	lastLook time.Time // of the scheduler, at the clock
}

// member is one of the Count of a program.
type member struct {
	program string
	number  int
}

// New returns an empty set of an app.
func New(app string, log *slog.Logger) *Set {
	s := &Set{
		app: app, log: log, place: time.Local, kill: make(chan struct{}), overdue: make(chan struct{}), quiet: make(chan struct{}),
		present: map[member]*instance{},
	}
	s.output.pipes = map[pipeEnd]bool{}
	return s
}

// Replace puts what a new generation has in place of what there is: programs
// are asked to end, and each of the new ones starts when its predecessor has
// ended. Jobs that run go on. After Stop it does nothing.
func (s *Set) Replace(c Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	s.cfg = c
	old := s.present
	s.present = map[member]*instance{}
	for _, i := range old {
		i.ask()
	}
	for n := range c.Programs {
		p := &c.Programs[n]
		for number := range p.Count {
			m := member{p.Name, number}
			i := newInstance(s, p, c.Starter)
			if before := old[m]; before != nil {
				i.after = before.done
			}
			s.present[m] = i
			s.all = append(s.all, i)
			s.group.Go(i.keep)
		}
	}
	s.replaceJobsLocked(c)
}

// Quiet starts no job any more. What runs goes on.
func (s *Set) Quiet() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.quieted {
		s.quieted = true
		close(s.quiet)
	}
}

// Stop, which is called once, asks everything to end, and returns when it has: programs within their
// StopTimeout, jobs within the configuration's.
func (s *Set) Stop() {
	s.Quiet()
	s.mu.Lock()
	s.stopped = true
	for _, i := range s.present {
		i.ask()
	}
	timeout := s.cfg.StopTimeout
	s.mu.Unlock()
	timer := time.AfterFunc(timeout, func() { close(s.overdue) })
	s.group.Wait()
	timer.Stop()
	s.output.close()
}

// Kill ends everything at once, and waits for nothing.
func (s *Set) Kill() { s.onKill.Do(func() { close(s.kill) }) }

// forget takes an instance that has ended off the list.
func (s *Set) forget(gone *instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = slices.DeleteFunc(s.all, func(i *instance) bool { return i == gone })
}
