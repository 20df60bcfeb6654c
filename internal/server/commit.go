package server

// The second half of a reload: what was made serves, and what is not named any
// more ends.

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"sync"
	"time"
)

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
