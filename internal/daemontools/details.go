//go:build unix

package daemontools

// This file: what supervise knows of a service beyond the status, for svstat
// --json. It is supervise/details, a line of JSON.

import (
	"encoding/hex"
	"encoding/json"
	"time"

	"golang.org/x/sys/unix"
)

const detailsFile = "supervise/details"

// details are of one moment.
type details struct {
	Stamp      string     `json:"stamp"` // the time of the status that they go with, as it has it
	Readiness  bool       `json:"readiness,omitempty"`
	Ready      *time.Time `json:"ready,omitempty"`
	Waiting    []string   `json:"waiting_for,omitempty"`
	LastExit   *exitJSON  `json:"last_exit,omitempty"`
	Failures   int        `json:"failures,omitempty"`
	Failed     bool       `json:"failed,omitempty"`
	Adopted    bool       `json:"adopted,omitempty"`
	NextStart  *time.Time `json:"next_start,omitempty"`
	Supervisor int        `json:"supervisor,omitempty"` // process
	Birth      string     `json:"birth,omitempty"`      // of the process that runs: see birthOf
	Exiting    bool       `json:"exiting,omitempty"`    // supervision ends when it is down
}

type exitJSON struct {
	Code   *int      `json:"code,omitempty"`
	Signal int       `json:"signal,omitempty"`
	Time   time.Time `json:"time"`
}

// maxDetails is how much of the file is read.
const maxDetails = 64 << 10

// lookDetails reads the file in the working folder. One that is not there, or
// says nothing, is empty.
func lookDetails() (d details) {
	text, err := readFile(detailsFile, maxDetails)
	if err != nil {
		return details{}
	}
	return decodeDetails(text)
}

func decodeDetails(text []byte) (d details) {
	if json.Unmarshal(text, &d) != nil {
		return details{}
	}
	return d
}

// stampText is the time of a status as text.
func (s *Status) stampText() string { return hex.EncodeToString(s.Encode()[:12]) }

// writeDetails writes the file, if anything in it has changed. What cannot be
// written is not there to be read: the status says why.
func (s *service) writeDetails() {
	d := details{
		Stamp: s.status.stampText(), Readiness: s.ready.told || s.ready.checked, Failures: s.failures, Failed: s.failed,
		Adopted: s.adopted && s.pid != 0, Supervisor: unix.Getpid(),
		Birth: s.birth, Exiting: s.exiting,
	}
	if s.ready.yes {
		d.Ready = &s.ready.at
	}
	if s.waiting {
		d.Waiting = s.depends
	}
	if s.last != nil {
		d.LastExit = &exitJSON{Signal: s.last.Signal, Time: s.last.Time.UTC()}
		if s.last.Code >= 0 {
			d.LastExit.Code = &s.last.Code
		}
	}
	if s.pid == 0 && s.want == wantUp && !s.exiting && s.next.After(time.Now()) {
		next := s.next.UTC()
		d.NextStart = &next
	}
	text, err := json.Marshal(d)
	if err != nil || string(text) == s.details {
		return
	}
	if s.enter() != nil {
		return
	}
	if what, _ := writeFile(detailsFile+".new", append(text, '\n')); what == "" && unix.Rename(detailsFile+".new", detailsFile) == nil {
		s.details = string(text)
	}
}
