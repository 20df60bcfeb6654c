package server

import (
	"maps"
	"slices"
	"strings"
	"time"

	"millrace/internal/admin"
	"millrace/internal/attach"
	"millrace/internal/cache"
	"millrace/internal/pool"
	"millrace/internal/upstream"
)

// Status is a snapshot of the server; its JSON form is `millrace status --json`.
type Status struct {
	Version     string        `json:"version"`
	PID         int           `json:"pid"`
	State       string        `json:"state"` // serving, stopping
	Source      string        `json:"source"`
	Control     string        `json:"control,omitempty"`
	Began       time.Time     `json:"began"`
	Uptime      float64       `json:"uptime_s"`
	Listen      []Address     `json:"listen"`
	Connections int64         `json:"connections"`
	Reloads     int           `json:"reloads"` // that succeeded
	LastReload  *Outcome      `json:"last_reload,omitempty"`
	Spool       Spool         `json:"spool"`
	Apps        []pool.Status `json:"apps"`

	Upstreams []upstream.Status `json:"upstreams"`

	Maintenance *Maintenance `json:"maintenance,omitempty"`

	Cache *cache.Status `json:"cache,omitempty"` // of responses; nil: no route has one

	Attached []attach.ProgramStatus `json:"attached"`
	Cron     []attach.JobStatus     `json:"cron"`
}

// Address is a listening address.
type Address struct {
	Given       string `json:"given"`            // as configured
	URL         string `json:"url"`              // "http://127.0.0.1:8000", with the real port; "unix:/path"; of an app "scgi://…", "scgi+unix:/path"
	Protocol    string `json:"protocol"`         // http, fastcgi, scgi, uwsgi, ajp
	App         string `json:"app,omitempty"`    // that answers other front servers here; empty: sites answer, or the status
	Status      bool   `json:"status,omitempty"` // the status answers
	Connections int    `json:"connections"`
}

// Spool is the room that bodies take on disk, in bytes.
type Spool struct {
	Folder string `json:"folder"`
	Used   int64  `json:"used"`
	Max    int64  `json:"max"`
}

var _ admin.Backend = (*Server)(nil)

// Status is a *Status; the type is that of admin.Backend.
func (s *Server) Status() any { return s.measured() }

// measurePatience is how long a status waits for what the system says of the
// apps' processes; later than that it has the figures of before.
const measurePatience = 200 * time.Millisecond

// measured is a Snapshot whose processor times and memory are not older than
// a second, if the system tells them in time.
func (s *Server) measured() *Status {
	s.mu.Lock()
	apps := maps.Clone(s.apps)
	s.mu.Unlock()
	late := time.NewTimer(measurePatience)
	defer late.Stop()
	var all []<-chan struct{}
	for _, r := range apps {
		all = append(all, r.Measure())
	}
	for _, done := range all {
		select {
		case <-done:
			continue
		case <-late.C:
		}
		break
	}
	return s.Snapshot()
}

// Snapshot returns the status, with the latest that is known of processor
// times and memory.
func (s *Server) Snapshot() *Status {
	s.mu.Lock()
	st := &Status{
		Version: s.opt.Version, PID: s.keeper.PID(), State: "serving", Source: s.plan.Source, Control: s.opt.Plan.control(),
		Began: s.began, Uptime: time.Since(s.began).Seconds(),
		Listen: []Address{}, Connections: s.conns.Load(), Reloads: s.reloads, LastReload: s.lastReload,
		Spool: Spool{s.spool.Dir(), s.spool.Used(), s.spool.Max()}, Apps: []pool.Status{}, Upstreams: []upstream.Status{},
		Maintenance: s.closed.Load(), Attached: []attach.ProgramStatus{}, Cron: []attach.JobStatus{},
	}
	if s.isStopping() {
		st.State = "stopping"
	}
	for _, key := range slices.Sorted(maps.Keys(s.fronts)) {
		f := s.fronts[key]
		st.Listen = append(st.Listen, Address{f.address, address(f), f.protocol, f.app, f.status, f.connections()})
	}
	apps, upstreams, tree := maps.Clone(s.apps), s.upstreams, s.tree // the latter two are replaced as a whole
	s.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(upstreams)) {
		st.Upstreams = append(st.Upstreams, upstreams[name].Status())
	}
	if tree != nil {
		if tree.caches {
			of := s.cache.Status()
			st.Cache = &of
		}
		for _, g := range tree.programs {
			st.Upstreams = append(st.Upstreams, g.Status())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(apps)) {
		st.Apps = append(st.Apps, apps[name].Status())
		programs, jobs := apps[name].beside.set.Status()
		st.Attached, st.Cron = append(st.Attached, programs...), append(st.Cron, jobs...)
	}
	return st
}

// address is what to type into a browser or after `millrace request`; an
// address of every interface is shown as localhost.
func address(f *front) string {
	a := f.listener.Addr()
	if a.Network() == "unix" {
		if f.app == "" {
			return "unix:" + a.String()
		}
		return scheme(f.protocol) + "+unix:" + a.String()
	}
	host := a.String()
	for _, every := range []string{"[::]:", "0.0.0.0:"} {
		if port, ok := strings.CutPrefix(host, every); ok {
			host = "localhost:" + port
		}
	}
	if f.tls.on {
		return "https://" + host
	}
	return scheme(f.protocol) + "://" + host
}
