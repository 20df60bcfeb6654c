package server

// A reload, and how it ended. What is made for it is prepare.go, what is done
// with that commit.go.

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"millrace/internal/pool"
	"millrace/internal/systemd"
)

// Outcome is how a reload ended.
type Outcome struct {
	At    time.Time `json:"at"`
	Took  float64   `json:"took_s"`
	Error string    `json:"error,omitempty"` // empty: it serves
}

// ReloadError says why the old configuration serves on.
type ReloadError struct {
	App       string // the app that can't serve; empty: it was something else
	Traceback string
	Err       error
}

func (e *ReloadError) Error() string {
	if e.App != "" {
		return "cannot reload: app " + e.App + " cannot be imported; the old one serves on"
	}
	return "cannot reload: " + e.Err.Error()
}

// Hint says what to do.
func (e *ReloadError) Hint() string {
	var hint interface{ Hint() string }
	switch {
	case e.App != "":
		return "mend the app (its traceback is in the error log), then reload again"
	case errors.As(e.Err, &hint):
		return hint.Hint()
	}
	return ""
}

// Detail is the traceback of an app that can't be imported.
func (e *ReloadError) Detail() string { return e.Traceback }

func (e *ReloadError) Unwrap() error { return e.Err }

// Reload loads the next plan and serves it in place of the present one. It
// returns when every app's new generation serves; the notes say what could not
// change. On an error the old configuration serves on. One reload runs at a
// time; others wait for their turn.
func (s *Server) Reload(ctx context.Context) (notes []string, err error) {
	if s.opt.Load == nil {
		return nil, errors.New("there is nothing to reload from")
	}
	select {
	case s.reloading <- struct{}{}:
	case <-s.stop:
		return nil, s.ending()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-s.reloading }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // a stop does not wait for an import
		select {
		case <-s.stop:
			cancel()
		case <-ctx.Done():
		}
	}()

	began := time.Now()
	s.tell(systemd.Reloading, "loading the configuration and the apps anew")
	defer s.tellReady() // also of a reload that failed: the old one serves
	notes, err = s.reload(ctx)
	if err != nil && s.isStopping() {
		err = s.ending()
	}
	s.noteFailure(err)
	out := &Outcome{At: began, Took: time.Since(began).Seconds()}
	if err != nil {
		out.Error = err.Error()
		s.log.Error("reload failed; what served before serves on", "error", strings.ReplaceAll(err.Error(), "\n", "; "))
	} else {
		s.log.Info("reloaded", "took", time.Since(began).Round(time.Millisecond))
	}
	for _, n := range notes {
		s.log.Warn(n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastReload = out
	if err == nil {
		s.reloads++
	}
	return notes, err
}

func (s *Server) isStopping() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

func (s *Server) reload(ctx context.Context) ([]string, error) {
	plan, err := s.opt.Load(ctx)
	if err != nil {
		return nil, err
	}
	notes := append(slices.Clone(plan.Notes), fixed(s.opt.Plan, plan)...)
	fresh, err := s.prepare(plan)
	if err != nil {
		return nil, &ReloadError{Err: err}
	}
	if err := s.startApps(ctx, fresh); err != nil {
		s.discard(fresh)
		return nil, err
	}
	if err := s.reloadApps(ctx, plan, fresh.logs); err != nil {
		s.stopApps(fresh.apps)
		s.discard(fresh)
		return nil, err
	}
	s.commit(plan, fresh)
	return notes, nil
}

// startApps starts the apps that are new, and waits until they serve.
func (s *Server) startApps(ctx context.Context, n *fresh) error {
	for _, r := range n.apps {
		s.start(r)
	}
	for _, name := range slices.Sorted(maps.Keys(n.apps)) {
		failure, err := s.await(ctx, n.apps[name])
		if err == nil && failure != "" {
			err = &ReloadError{App: name, Traceback: failure}
		}
		if err != nil {
			s.stopApps(n.apps)
			return err
		}
	}
	return nil
}

func (s *Server) stopApps(apps map[string]*running) {
	s.endApps(apps, 0)
}

// reloadApps brings up a new generation of each app that stays, one after the
// other: on a small machine two imports at a time are one too many. If one
// fails, those before it get their old configuration back.
func (s *Server) reloadApps(ctx context.Context, plan *Plan, logs map[string]accessLog) error {
	var changed []*running
	was := map[*running]pool.Config{}
	for _, name := range slices.Sorted(maps.Keys(plan.Config.Apps)) {
		r := s.apps[name]
		if r == nil {
			continue
		}
		c, err := s.poolConfig(name, plan, logs)
		if err == nil {
			err = r.Reload(ctx, c)
		}
		if err != nil {
			s.revert(ctx, changed, was)
			return appError(name, err)
		}
		if !reflect.DeepEqual(c, r.cfg) {
			changed = append(changed, r)
			was[r] = r.cfg
		}
		r.cfg = c
	}
	return nil
}

func appError(name string, err error) error {
	var imp *pool.ImportError
	if errors.As(err, &imp) {
		return &ReloadError{App: name, Traceback: imp.Traceback, Err: err}
	}
	return &ReloadError{Err: fmt.Errorf("app %s: %w", name, err)}
}

func (s *Server) revert(ctx context.Context, changed []*running, was map[*running]pool.Config) {
	for _, r := range changed {
		if err := r.Reload(ctx, was[r]); err != nil {
			s.log.Error("an app has its new configuration although the reload failed: the old one cannot be imported any more", "app", r.cfg.Name, "error", err)
			continue
		}
		r.cfg = was[r]
	}
}

// fixed names the keys that differ from those of the start and take effect at the next start alone.
func fixed(old, next *Plan) []string {
	a, b := &old.Config.Server, &next.Config.Server
	var notes []string
	for _, k := range []struct {
		name      string
		different bool
	}{
		{"server.pidfile", a.PIDFile != b.PIDFile},
		{"server.error_log", a.ErrorLog != b.ErrorLog},
		{"server.control", old.control() != next.control()},
		{"server.spool", a.Spool != b.Spool},
		{"server.spool_max", a.SpoolMax != b.SpoolMax},
		{"server.max_header", a.MaxHeader != b.MaxHeader},
		{"server.header_timeout", a.HeaderTimeout != b.HeaderTimeout},
		{"server.idle_timeout", a.IdleTimeout != b.IdleTimeout},
	} {
		if k.different {
			notes = append(notes, k.name+" has changed; it takes effect at the next start")
		}
	}
	return notes
}
