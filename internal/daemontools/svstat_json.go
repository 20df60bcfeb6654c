//go:build unix

package daemontools

import (
	"encoding/json"
	"time"
)

// sightJSON is a line of svstat --json. Its fields are documented in
// docs/supervisor.md.
type sightJSON struct {
	Service    string     `json:"service"`
	Supervised bool       `json:"supervised"`
	Problem    string     `json:"problem,omitempty"`
	Up         *bool      `json:"up,omitempty"`
	PID        *uint32    `json:"pid,omitempty"`
	Since      *time.Time `json:"since,omitempty"`
	Seconds    *uint64    `json:"seconds,omitempty"`
	NormallyUp *bool      `json:"normally_up,omitempty"`
	Paused     *bool      `json:"paused,omitempty"`
	Want       string     `json:"want,omitempty"`

	// Of our supervise alone, and as of the same moment as the status.
	Readiness  *bool      `json:"readiness,omitempty"`
	Ready      *bool      `json:"ready,omitempty"`
	ReadySince *time.Time `json:"ready_since,omitempty"`
	WaitingFor []string   `json:"waiting_for,omitempty"`
	LastExit   *exitJSON  `json:"last_exit,omitempty"`
	Failures   int        `json:"failures,omitempty"`
	NextStart  *time.Time `json:"next_start,omitempty"`
	Failed     bool       `json:"failed,omitempty"`
	Adopted    bool       `json:"adopted,omitempty"`
	Supervisor int        `json:"supervisor_pid,omitempty"`
}

// json is a line, with its end.
func (s *sight) json(dir string, now time.Time) []byte {
	out := sightJSON{Service: dir, Problem: s.problem, Supervised: s.problem == ""}
	if s.problem == "" {
		st := &s.status
		up, paused, age, since := st.PID != 0, st.PID != 0 && st.Paused != 0, st.age(now), st.since().UTC()
		out.Up, out.Paused, out.Seconds, out.NormallyUp = &up, &paused, &age, &s.normallyUp
		if up {
			out.PID = &st.PID
		}
		if y := since.Year(); y >= 0 && y <= 9999 { // what JSON can say
			out.Since = &since
		}
		switch st.Want {
		case 'u':
			out.Want = "up"
		case 'd':
			out.Want = "down"
		default:
			out.Want = "once"
		}
	}
	if d := s.details; s.problem == "" && d.Stamp == s.status.stampText() {
		ready := s.status.PID != 0 && (d.Ready != nil || !d.Readiness)
		out.Readiness, out.Ready, out.ReadySince = &d.Readiness, &ready, d.Ready
		out.WaitingFor, out.LastExit, out.Failures, out.NextStart = d.Waiting, d.LastExit, d.Failures, d.NextStart
		out.Failed, out.Adopted, out.Supervisor = d.Failed, d.Adopted, d.Supervisor
	}
	text, err := json.Marshal(out)
	if err != nil {
		return nil // it is made of strings, numbers and times that JSON can say
	}
	return append(text, '\n')
}
