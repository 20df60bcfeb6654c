package server

// The first half of a reload: all that a plan needs is made, and nothing of it
// serves yet.

import (
	"maps"
	"reflect"
	"slices"

	"millrace/internal/attach"
)

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
