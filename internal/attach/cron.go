//go:build unix

package attach

import (
	"log/slog"
	"os"
	"slices"
	"time"

	"millrace/internal/supervise"
)

const (
	lookEvery = time.Minute      // at the clock, which may be set
	tooLate   = lookEvery        // for a wildcard: its next time is near
	clockSet  = 3 * time.Hour    // a change beyond that is a correction of the clock, not of the zone
	jitter    = time.Millisecond // that a wall clock may go back without having been set
)

// entry is a job and what is known of its runs. Guarded by Set.mu.
type entry struct {
	job     Job
	gone    bool      // no longer configured; it runs still
	next    time.Time // zero: never
	running *run
	skipped int // times at which it ran still
	last    *run
}

// run is one run of a job.
type run struct {
	began, ended time.Time
	pid          int
	err          error // it could not be started
	how          supervise.Exit
}

// ok reports whether an ended run succeeded.
func (r *run) ok() bool { return r.err == nil && r.how.OK() }

func (r *run) String() string {
	if r.err != nil {
		return r.err.Error()
	}
	return r.how.String()
}

// replaceJobsLocked takes over the jobs of a new generation. What stays keeps
// its next time, so that none is lost.
func (s *Set) replaceJobsLocked(c Config) {
	old := s.entries
	s.entries = nil
	now := s.now()
	for _, job := range c.Jobs {
		n := slices.IndexFunc(old, func(e *entry) bool { return e.job.Line == job.Line })
		if n >= 0 && !old[n].gone {
			old[n].job = job
			s.entries = append(s.entries, old[n])
			old = slices.Delete(old, n, n+1)
			continue
		}
		e := &entry{job: job, next: job.Schedule.Next(now)}
		if n >= 0 { // it was not configured for a while, and runs still
			old[n].job, old[n].gone, old[n].next = job, false, e.next
			e = old[n]
			old = slices.Delete(old, n, n+1)
		}
		s.entries = append(s.entries, e)
	}
	for _, e := range old {
		if e.running != nil {
			e.gone = true
			s.entries = append(s.entries, e)
		}
	}
	switch {
	case s.quieted || len(s.entries) == 0 && s.wake == nil:
	case s.wake == nil:
		s.wake = make(chan struct{}, 1)
		s.lastLook = now
		s.group.Go(s.schedule)
	default:
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// now is the clock on the wall: monotonic time knows nothing of its being set.
func (s *Set) now() time.Time { return time.Now().Round(0).In(s.place) }

// schedule starts jobs when they are due, until Quiet.
func (s *Set) schedule() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.quiet:
			return
		case <-s.kill:
			return
		case <-s.wake:
		case <-timer.C:
		}
		timer.Reset(s.look())
	}
}

// look starts what is due, and returns when to look again.
func (s *Set) look() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	wait := lookEvery
	for _, e := range s.entries {
		if e.gone {
			continue
		}
		was := e.next
		due, why := e.due(s.lastLook, now)
		switch {
		case why != "":
			s.log.Warn("a cron job is not run: "+why, "app", s.app, "cron", e.job.Line, "time", was)
		case !due:
		case e.running != nil:
			e.skipped++
			s.log.Warn("a cron job is not run: it runs still since the last time", "app", s.app, "cron", e.job.Line, "pid", e.running.pid, "since", e.running.began.Format(time.DateTime))
		case !s.quieted:
			e.running = &run{began: now}
			s.group.Go(func() { s.runJob(e) })
		}
		if !e.next.IsZero() {
			wait = min(wait, e.next.Sub(now))
		}
	}
	s.lastLook = now
	return max(wait, 0)
}

// due reports whether a job is to be run, and sets its next time. why says
// that it is not run although its time has come.
func (e *entry) due(was, now time.Time) (run bool, why string) {
	if back := was.Sub(now); back > jitter && (e.job.Schedule.Wildcard || back > clockSet) {
		e.next = e.job.Schedule.Next(now)
	}
	if e.next.IsZero() || e.next.After(now) {
		return false, ""
	}
	late := now.Sub(e.next)
	e.next = e.job.Schedule.Next(now)
	switch {
	case late > clockSet:
		return false, "the clock was put forward by more than 3 hours, or the machine slept"
	case late > tooLate && e.job.Schedule.Wildcard:
		return false, "the clock was put forward, or the machine slept; its next time is near"
	}
	return true, ""
}

// runJob runs a job to its end.
func (s *Set) runJob(e *entry) {
	s.mu.Lock()
	r, job, starter := e.running, e.job, s.cfg.Starter
	s.mu.Unlock()
	log := s.log.With("app", s.app, "cron", job.Line)
	r.err = s.runOnce(r, job.Command, starter, log)
	r.ended = s.now()
	if !r.ok() {
		log.Error("a cron job has failed", "how", r.String(), "ran", r.ended.Sub(r.began).Round(time.Millisecond))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e.running, e.last = nil, r
	if e.gone {
		s.entries = slices.DeleteFunc(s.entries, func(other *entry) bool { return other == e })
	}
}

func (s *Set) runOnce(r *run, c *supervise.Command, starter supervise.Starter, log *slog.Logger) error {
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	proc, err := starter.Start(supervise.Start{Command: c, Files: []*os.File{nil, write, write}})
	write.Close()
	if err != nil {
		read.Close()
		return err
	}
	s.output.follow(read, log.With("pid", proc.PID()))
	s.mu.Lock()
	r.pid = proc.PID()
	s.mu.Unlock()
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-ended:
			return
		case <-s.overdue:
			log.Warn("a cron job did not end within stop_timeout; it is killed", "pid", proc.PID())
		case <-s.kill:
		}
		_ = proc.Kill() // an error: it has ended in this moment
	}()
	r.how = proc.Wait()
	return nil
}
