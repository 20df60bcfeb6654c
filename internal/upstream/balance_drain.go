package upstream

// Draining: a server gets nothing more, and what it answers it answers to the
// end.

import "slices"

// DrainServer takes the servers of an address out of use, or back in. The address is
// one of the configuration, or one that its name stands for; then later servers
// of the name are as the configuration says. It reports whether there are any,
// and how many requests they still answer.
func (g *Group) DrainServer(address string, drained bool) (known bool, active int) {
	g.mu.Lock()
	var changed []string
	for _, e := range g.entries {
		if e.Address == address {
			known, e.drained = true, drained
		}
	}
	for _, s := range g.servers {
		if s.gone || s.address != address && s.entry.Address != address {
			continue
		}
		known = true
		active += s.active
		if s.drained != drained {
			s.drained, g.stale = drained, true
			changed = append(changed, s.address)
		}
	}
	g.serveLocked()
	g.mu.Unlock()
	for _, server := range changed {
		if drained {
			g.log.Info("a back end is drained: it gets no requests any more", "server", server)
		} else {
			g.log.Info("a back end is used again", "server", server)
		}
	}
	return known, active
}

// Addresses are those that DrainServer takes.
func (g *Group) Addresses() (all []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range g.entries {
		all = append(all, e.Address)
	}
	for _, s := range g.servers {
		if !s.gone && !slices.Contains(all, s.address) {
			all = append(all, s.address)
		}
	}
	return all
}

// Inherit takes over what a group that this one replaces knows of the servers
// that both have: their counts, their health, whether they were drained at run
// time, and the key of the sticky cookie. It is called before Start.
func (g *Group) Inherit(old *Group) {
	old.mu.Lock()
	defer old.mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.totals = old.totals
	if g.cfg.Sticky.Secret == "" && old.cfg.Sticky.Secret == "" {
		g.secret = old.secret
	}
	for _, e := range g.entries {
		i := slices.IndexFunc(old.entries, func(o *entry) bool { return o.Address == e.Address })
		if i < 0 {
			continue
		}
		o := old.entries[i]
		if o.Drain == e.Drain {
			e.drained = o.drained
		}
		if o.name == "" || e.name == "" || !o.found {
			continue
		}
		for _, s := range slices.Clone(g.servers) { // in place of the name: what it stood for
			if s.entry == e {
				s.gone = true
				g.leaveLocked(s)
			}
		}
		e.found = true
		for _, s := range old.servers {
			if s.entry == o && !s.gone && !slices.ContainsFunc(g.servers, func(have *server) bool { return have.address == s.address }) {
				g.addLocked(e, s.address)
			}
		}
	}
	for _, s := range g.servers {
		s.token, s.drained = g.tokenOf(s.address), s.entry.drained
		i := slices.IndexFunc(old.servers, func(o *server) bool { return o.address == s.address && !o.gone })
		if i < 0 {
			continue
		}
		o := old.servers[i]
		s.counts = o.counts
		if o.entry.Drain == s.entry.Drain {
			s.drained = o.drained
		}
		s.passive.until, s.passive.refused = o.passive.until, o.passive.refused
		if g.cfg.Health.Interval > 0 && old.cfg.Health.Interval > 0 {
			s.health = o.health
		}
	}
	g.arrangeLocked()
}
