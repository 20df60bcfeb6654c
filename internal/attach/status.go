//go:build unix

package attach

import "time"

// ProgramStatus is one process of an attached program.
type ProgramStatus struct {
	App      string  `json:"app"`
	Name     string  `json:"name"`
	PID      int     `json:"pid,omitempty"` // none while it waits
	State    string  `json:"state"`         // starting, running, waiting (to be started again), stopping
	Since    float64 `json:"since_s"`       // in this state
	Restarts int     `json:"restarts"`      // of this generation
	LastExit string  `json:"last_exit,omitempty"`
}

// JobStatus is one line of a crontab.
type JobStatus struct {
	App     string     `json:"app"`
	Line    string     `json:"line"`
	Next    *time.Time `json:"next,omitempty"` // none: never, or it is no longer configured and runs still
	PID     int        `json:"pid,omitempty"`  // while it runs
	Running float64    `json:"running_s,omitempty"`
	Skipped int        `json:"skipped"` // times at which it ran still
	Last    *JobRun    `json:"last,omitempty"`
}

// JobRun is a run that has ended.
type JobRun struct {
	At   time.Time `json:"at"`
	Took float64   `json:"took_s"`
	OK   bool      `json:"ok"`
	How  string    `json:"how"`
}

// Status is a snapshot: the processes of programs in the order of their start,
// and the jobs in the order of the configuration.
func (s *Set) Status() (programs []ProgramStatus, jobs []JobStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.all {
		programs = append(programs, ProgramStatus{
			App: s.app, Name: i.program.Name, PID: i.pid, State: i.state,
			Since: time.Since(i.since).Seconds(), Restarts: i.restarts, LastExit: i.last,
		})
	}
	now := s.now()
	for _, e := range s.entries {
		j := JobStatus{App: s.app, Line: e.job.Line, Skipped: e.skipped}
		if !e.gone && !e.next.IsZero() && !s.quieted {
			next := e.next
			j.Next = &next
		}
		if r := e.running; r != nil {
			j.PID, j.Running = r.pid, now.Sub(r.began).Seconds()
		}
		if r := e.last; r != nil {
			j.Last = &JobRun{At: r.began, Took: r.ended.Sub(r.began).Seconds(), OK: r.ok(), How: r.String()}
		}
		jobs = append(jobs, j)
	}
	return programs, jobs
}
