package server

import (
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"millrace/internal/admin"
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
}

// Address is a listening address.
type Address struct {
	Given       string `json:"given"`         // as configured
	URL         string `json:"url"`           // "http://127.0.0.1:8000", with the real port; "unix:/path"; of an app "scgi://…", "scgi+unix:/path"
	Protocol    string `json:"protocol"`      // http, fastcgi, scgi, uwsgi, ajp
	App         string `json:"app,omitempty"` // that answers other front servers here; empty: sites answer
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
func (s *Server) Status() any { return s.Snapshot() }

// Snapshot returns the status.
func (s *Server) Snapshot() *Status {
	s.mu.Lock()
	st := &Status{
		Version: s.opt.Version, PID: os.Getpid(), State: "serving", Source: s.plan.Source, Control: s.opt.Plan.control(),
		Began: s.began, Uptime: time.Since(s.began).Seconds(),
		Listen: []Address{}, Connections: s.conns.Load(), Reloads: s.reloads, LastReload: s.lastReload,
		Spool: Spool{s.spool.Dir(), s.spool.Used(), s.spool.Max()}, Apps: []pool.Status{}, Upstreams: []upstream.Status{},
	}
	if s.isStopping() {
		st.State = "stopping"
	}
	for _, key := range slices.Sorted(maps.Keys(s.fronts)) {
		f := s.fronts[key]
		st.Listen = append(st.Listen, Address{f.address, address(f), f.protocol, f.app, f.connections()})
	}
	apps, upstreams := maps.Clone(s.apps), s.upstreams // the latter is replaced as a whole
	s.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(upstreams)) {
		st.Upstreams = append(st.Upstreams, upstreams[name].Status())
	}
	for _, name := range slices.Sorted(maps.Keys(apps)) {
		st.Apps = append(st.Apps, apps[name].Status())
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
	return scheme(f.protocol) + "://" + host
}
