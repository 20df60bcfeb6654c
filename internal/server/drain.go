package server

// Servers of groups of back ends, drained at run time.

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"millrace/internal/admin"
)

// DrainServer drains a server of a group of back ends, or ends that; see
// admin.Backend. Asking for what is so already changes nothing.
func (s *Server) DrainServer(d admin.Drain) (notes []string, err error) {
	s.maintaining.Lock()
	defer s.maintaining.Unlock()
	s.mu.Lock()
	all := s.upstreams // replaced as a whole
	s.mu.Unlock()
	u := all[d.Upstream]
	if u == nil {
		fix := "there are " + strings.Join(slices.Sorted(maps.Keys(all)), ", ")
		if len(all) == 0 {
			fix = "the configuration has no [upstream.NAME]"
		}
		return nil, &Error{Problem: fmt.Sprintf("there is no upstream %q", d.Upstream), Fix: fix}
	}
	known, active := u.DrainServer(d.Address, d.On)
	if !known {
		return nil, &Error{Problem: fmt.Sprintf("upstream %s has no server %q", d.Upstream, d.Address), Fix: "there are " + strings.Join(u.Addresses(), ", ")}
	}
	if d.On && active > 0 {
		notes = append(notes, fmt.Sprintf("it still answers %s", plural(active, "request")))
	}
	s.mu.Lock()
	if s.drained == nil {
		s.drained = map[string]map[string]bool{}
	}
	if s.drained[d.Upstream] == nil {
		s.drained[d.Upstream] = map[string]bool{}
	}
	s.drained[d.Upstream][d.Address] = d.On
	s.mu.Unlock()
	if err := s.remember(); err != nil {
		notes = append(notes, "a new front, or an upgrade, will not know of it: "+err.Error())
	}
	return notes, nil
}

// redrain drains what the server before this one had drained. s.mu is held.
func (s *Server) redrain(name string, u *backends) {
	for address, on := range s.drained[name] {
		u.DrainServer(address, on) // it may be gone by now
	}
}
