package upstream

import "time"

// Status is a snapshot of a Group; its JSON form is part of `millrace status --json`.
type Status struct {
	Name     string         `json:"name"`
	Protocol string         `json:"protocol"`
	Balance  string         `json:"balance"`
	Waiting  int            `json:"waiting"`         // requests, for a server that is free
	Queue    int            `json:"queue,omitempty"` // how many may wait; 0: any number
	Upgraded int            `json:"upgraded"`        // connections that speak another protocol now; each is a request that is active
	Refused  uint64         `json:"refused"`         // requests, 503: the queue was full
	Late     uint64         `json:"late"`            // requests, 503: no server came free in time
	Retried  uint64         `json:"retried"`         // times that a request went to another server
	Servers  []ServerStatus `json:"servers"`
	Names    []NameStatus   `json:"names,omitempty"` // those that are looked up
}

// ServerStatus is one server's part of a Status.
type ServerStatus struct {
	Address  string `json:"address"`
	Name     string `json:"name,omitempty"` // as configured, if the address is what it stands for
	State    State  `json:"state"`
	Reached  bool   `json:"reached"`          // false: passed over, as it failed
	Active   int    `json:"active"`           // requests that it answers now
	Limit    int    `json:"limit,omitempty"`  // of active
	Weight   int    `json:"weight"`           //
	Backup   bool   `json:"backup,omitempty"` // has its turn when no other server is up
	Drained  bool   `json:"drained"`          // by configuration or at run time
	Answered uint64 `json:"answered"`
	Failed   uint64 `json:"failed"` // requests that it did not answer, or not to their ends

	Healthy bool       `json:"healthy"`           // false: it failed its checks
	Checked *time.Time `json:"checked,omitempty"` // when the last check ended
	Error   string     `json:"error,omitempty"`   // why it last failed, a check or a request
}

// State is what is done with a server.
type State string

const (
	Up      State = "up"
	Slow    State = "slow start"
	Passed  State = "passed over" // it failed requests
	Sick    State = "sick"        // it fails its checks
	Drained State = "drained"
	Leaving State = "leaving" // its name does not stand for it any more
)

// NameStatus is a name that is looked up.
type NameStatus struct {
	Name  string `json:"name"` // with its port
	Found bool   `json:"found"`
	Error string `json:"error,omitempty"` // why the last lookup failed
}

// Status returns the status.
func (g *Group) Status() Status {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	st := Status{Name: g.cfg.Name, Protocol: g.cfg.Protocol, Balance: g.cfg.Balance.String(), Waiting: len(g.waiting), Queue: g.cfg.Queue, Upgraded: g.tunnels.count(), Refused: g.totals.refused, Late: g.totals.late, Retried: g.totals.retried, Servers: []ServerStatus{}}
	for _, s := range g.servers {
		one := ServerStatus{
			Address: s.address, State: g.stateLocked(s, now), Reached: s.passive.until.IsZero(), Active: s.active, Limit: s.most(), Weight: s.weight,
			Backup: s.entry.Backup, Drained: s.drained, Answered: s.counts.answered.Load(), Failed: s.counts.failed.Load(), Healthy: !s.health.sick, Error: s.health.last,
		}
		if s.address != s.entry.Address {
			one.Name = s.entry.Address
		}
		if checked := s.health.checked; !checked.IsZero() {
			one.Checked = &checked
		}
		st.Servers = append(st.Servers, one)
	}
	for _, e := range g.entries {
		if e.name != "" {
			st.Names = append(st.Names, NameStatus{e.Address, e.found, e.failing})
		}
	}
	return st
}

func (g *Group) stateLocked(s *server, now time.Time) State {
	switch {
	case s.gone:
		return Leaving
	case s.drained:
		return Drained
	case s.health.sick:
		return Sick
	case !s.passive.until.IsZero():
		return Passed
	case !s.since.IsZero() && now.Sub(s.since) < g.cfg.SlowStart:
		return Slow
	}
	return Up
}
