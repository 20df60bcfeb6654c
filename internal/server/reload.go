package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"millrace/internal/attach"
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

// fresh is what a plan needs and the server does not have yet.
type fresh struct {
	fronts    map[string]*front // those without a listener take over another's
	apps      map[string]*running
	upstreams map[string]*backends // all that the plan needs
	logs      map[string]accessLog // all that the plan needs
	logPaths  []string             // those of them that were opened for it
	tree      *tree

	beside map[string]attach.Config // by app: all of them
}

// prepare makes everything that a plan needs, and starts nothing. On an error
// nothing is left of it.
func (s *Server) prepare(plan *Plan) (_ *fresh, err error) {
	n := &fresh{fronts: map[string]*front{}, apps: map[string]*running{}, upstreams: map[string]*backends{}, beside: map[string]attach.Config{}}
	defer func() {
		if err != nil {
			s.discard(n)
		}
	}()
	apps := map[string]*running{}
	if n.logs, n.logPaths, err = s.openLogs(plan, s.logs); err != nil {
		return n, err
	}
	for _, name := range slices.Sorted(maps.Keys(plan.Config.Apps)) {
		c, err := s.poolConfig(name, plan, n.logs)
		if err != nil {
			return n, err
		}
		if n.beside[name], err = s.besideConfig(name, plan); err != nil {
			return n, err
		}
		if apps[name] = s.apps[name]; apps[name] != nil {
			continue
		}
		apps[name] = s.newRunning(c)
		n.apps[name] = apps[name]
	}
	for name, u := range plan.Config.Upstreams {
		if n.upstreams[name] = s.upstreams[name]; n.upstreams[name] == nil || !reflect.DeepEqual(n.upstreams[name].cfg, u) {
			if n.upstreams[name], err = newBackends(name, u, s.spool, s.certs, s.log); err != nil {
				return n, err
			}
		}
	}
	if n.tree, err = s.build(plan, apps, n.upstreams, n.logs); err != nil {
		return n, err
	}
	return n, s.openFronts(plan, n)
}

// placed is an error about a key of the configuration.
type placed struct {
	place string // "millrace.toml:3:10"
	err   error
}

func (e *placed) Error() string { return e.place + ": " + e.err.Error() }

func (e *placed) Unwrap() error { return e.err }

// at says where the address of a front was given.
func (p *Plan) at(spec frontSpec, err error) error {
	place := p.Places[spec.key]
	if p.Places == nil {
		place = p.Config.PlaceOf(spec.address, spec.app)
	}
	if place == "" {
		return err
	}
	return &placed{place, err}
}

// places are those of all addresses, by the keys of their fronts.
func (p *Plan) places() map[string]string {
	all := map[string]string{}
	for _, spec := range frontSpecs(p.Config) {
		all[spec.key] = p.Config.PlaceOf(spec.address, spec.app)
	}
	return all
}

// openFronts opens the addresses that are new, and makes fronts for those
// whose protocol changes.
func (s *Server) openFronts(plan *Plan, n *fresh) error {
	for _, spec := range frontSpecs(plan.Config) {
		have := s.fronts[spec.key]
		if have != nil && have.frontSpec == spec {
			continue
		}
		f := newFront(spec, &plan.Config.Server, &s.conns, s.clients, s.ids, s.log)
		f.leaves, f.makeRoom = &s.retiring, s.makeRoom
		if have == nil {
			if err := f.open(s.keeper, listenOptions(&plan.Config.Server, n.tree.mounts[spec.key].mode)); err != nil {
				return plan.at(spec, err)
			}
		} else if err := f.mayServe(have.listener.Addr()); err != nil {
			return plan.at(spec, err)
		}
		n.fronts[spec.key] = f
		if spec.tls.http3 && (have == nil || !have.tls.http3) {
			if err := s.openQUIC(f, have, plan); err != nil {
				return plan.at(spec, err)
			}
		}
	}
	return nil
}

// discard closes what prepare made.
func (s *Server) discard(n *fresh) {
	for _, f := range n.fronts {
		if err := f.discard(); err != nil {
			s.log.Error("cannot close a listener", "address", f.address, "error", err)
		}
	}
	s.closeLogs(n.logs, n.logPaths)
	if n.tree != nil {
		n.tree.leave()
	}
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

// commit serves the plan: nothing in it can fail. The keeper is asked for
// nothing while s.mu is held: its answers come after its other messages, and
// HandOver and Resume, which those call, wait for s.mu.
func (s *Server) commit(plan *Plan, n *fresh) {
	if err := s.keeper.Use(plan.Number); err != nil {
		s.log.Error("cannot tell the keeper which configuration serves", "error", err)
	}
	old, modes := s.exchange(plan, n)
	s.certs.Keep(pairsOf(plan.Config))
	defer func() { s.acme.Manage(s.managed(plan.Config)) }() // once the addresses are served
	for f, mode := range modes {
		f.setMode(mode)
	}
	for _, f := range n.fronts {
		go func() {
			if err := f.serve(); err != nil {
				select {
				case s.failed <- fmt.Errorf("cannot go on serving %s: %w", f.address, err):
				default: // another one failed first, and all ends
				}
			}
		}()
	}
	for _, f := range old.fronts { // at once: the next reload may name the address again
		if err := f.shut(); err != nil {
			s.log.Warn("cannot close an address that is no longer served", "address", f.address, "error", err)
		}
	}
	if old.tree != nil {
		s.leftovers.Go(func() { s.takeDownLeft(old, plan.Config.Server.ShutdownTimeout) })
	}
}

// exchange puts what the plan has in place of what there is, and returns what
// is not named any more and the modes that the sockets are to have. It is
// called by commit alone.
func (s *Server) exchange(plan *Plan, n *fresh) (old *left, modes map[*front]fs.FileMode) {
	old = &left{tree: s.tree, fronts: map[string]*front{}, apps: map[string]*running{}, logs: map[string]accessLog{}}
	modes = map[*front]fs.FileMode{}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plan, s.tree = plan, n.tree
	s.boundConnections(&plan.Config.Server)
	for _, bound := range n.tree.bounds {
		bound()
	}
	for key, f := range n.fronts {
		if f.listener == nil {
			old.fronts[key] = s.fronts[key]
			s.fronts[key].handOver(f)
		}
		s.fronts[key] = f
	}
	maps.Copy(s.apps, n.apps)
	for key, f := range s.fronts {
		if m, ok := n.tree.mounts[key]; ok {
			f.listener.SetWriteLimits(plan.Config.Server.WriteTimeout, int64(plan.Config.Server.MinWriteRate))
			modes[f] = m.mode
			f.mounted.Store(&mounted{n.tree, m})
		} else {
			old.fronts[key] = f
			delete(s.fronts, key)
		}
	}
	for name, u := range s.upstreams {
		if n.upstreams[name] != u {
			old.upstreams = append(old.upstreams, u)
			if next := n.upstreams[name]; next != nil {
				next.Inherit(u.Group)
			}
		}
	}
	for name, u := range n.upstreams {
		if s.upstreams[name] == nil {
			s.redrain(name, u)
		}
		u.Start()
	}
	s.upstreams = n.upstreams
	for name, r := range s.apps {
		if plan.Config.Apps[name] == nil {
			old.apps[name] = r
			delete(s.apps, name)
		}
	}
	for path, l := range s.logs {
		if n.logs[path] == nil {
			old.logs[path] = l
		}
	}
	s.logs = n.logs
	for name, c := range n.beside {
		s.apps[name].beside.want(c)
	}
	return old, modes
}

// left is what the present plan does not name any more.
type left struct {
	tree      *tree
	fronts    map[string]*front
	apps      map[string]*running
	upstreams []*backends
	logs      map[string]accessLog
}

// takeDownLeft ends what a reload left, when the requests that are in it have
// ended. Apps wait for that no longer than their stop_timeout: an endless
// response may keep the handlers, but not a pool.
func (s *Server) takeDownLeft(old *left, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := s.drainFronts(ctx, old.fronts); err != nil {
		s.log.Warn("closed an address that is no longer served", "error", err)
	}
	old.tree.leave()
	for name, r := range old.apps {
		timer := time.NewTimer(r.cfg.StopTimeout)
		select {
		case <-old.tree.drained:
		case <-timer.C:
		case <-s.stop:
		}
		timer.Stop()
		s.endApps(map[string]*running{name: r}, timeout)
		s.log.Info("stopped an app that is no longer configured", "app", name)
	}
	var upgraded sync.WaitGroup
	for _, u := range old.upstreams { // what was upgraded would keep the tree for ever
		upgraded.Go(func() { u.Drain(ctx) })
	}
	s.awaitDrained(old.tree, timeout)
	upgraded.Wait() // what came through a tree before this one
	for _, u := range old.upstreams {
		u.Close()
	}
	for path, l := range old.logs {
		if err := l.Close(); err != nil {
			s.log.Error("cannot close a log", "path", path, "error", err)
		}
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
