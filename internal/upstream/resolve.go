package upstream

// Names of servers, looked up again and again: each address that a name stands
// for is a server of its own.

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

const (
	// lookupTimeout is for one lookup.
	lookupTimeout = 5 * time.Second

	// maxAddresses is how many servers one name may stand for.
	maxAddresses = 256
)

// Resolver looks names up; *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// entry is a server of the configuration: one server, or those that its name
// stands for.
type entry struct {
	Server
	drained bool // by configuration, or at run time

	name, port string // of what is looked up; "": the address is the server
	failing    string // why the last lookup failed; "": it did not
	found      bool   // a lookup has succeeded
}

func (g *Group) newEntry(s Server) *entry {
	e := &entry{Server: s, drained: s.Drain}
	if g.cfg.Resolve <= 0 || strings.HasPrefix(s.Address, "unix:") {
		return e
	}
	host, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		return e
	}
	if _, err := netip.ParseAddr(host); err != nil {
		e.name, e.port = host, port
	}
	return e
}

// host is what a server is called in a request that has no other host.
func (e *entry) host() string {
	if strings.HasPrefix(e.Address, "unix:") {
		return "localhost"
	}
	return e.Address
}

// follow looks the name of e up, at once and then again and again.
func (g *Group) follow(ctx context.Context, e *entry) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		addresses, err := g.lookUp(ctx, e)
		if ctx.Err() != nil {
			return
		}
		g.resolved(ctx, e, addresses, err)
		timer.Reset(jitter(g.cfg.Resolve))
	}
}

var errNoAddress = errors.New("the name has no address")

// lookUp returns the addresses of a name, in order.
func (g *Group) lookUp(ctx context.Context, e *entry) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	var resolver Resolver = net.DefaultResolver
	if g.cfg.Resolver != nil {
		resolver = g.cfg.Resolver
	}
	ips, err := resolver.LookupNetIP(ctx, "ip", e.name)
	if err != nil {
		return nil, err
	}
	if len(ips) == 0 {
		return nil, errNoAddress
	}
	for i := range ips {
		ips[i] = ips[i].Unmap()
	}
	slices.SortFunc(ips, netip.Addr.Compare)
	ips = slices.Compact(ips)
	if len(ips) > maxAddresses {
		ips = ips[:maxAddresses]
	}
	var all []string
	for _, ip := range ips {
		all = append(all, net.JoinHostPort(ip.String(), e.port))
	}
	return all, nil
}

// resolved takes what a lookup found. One that failed changes no server.
func (g *Group) resolved(ctx context.Context, e *entry, addresses []string, err error) {
	g.mu.Lock()
	if err != nil {
		first := e.failing == ""
		e.failing = err.Error()
		servers := 0
		for _, s := range g.servers {
			if s.entry == e && !s.gone {
				servers++
			}
		}
		g.mu.Unlock()
		if first {
			g.log.Warn("cannot look up the name of a back end; its servers stay as they are", "server", e.Address, "servers", servers, "error", err)
		}
		return
	}
	again := e.failing != ""
	e.failing = ""
	var left []*server
	var came, went []string
	for _, s := range slices.Clone(g.servers) {
		if s.entry == e && !s.gone && !slices.Contains(addresses, s.address) {
			s.gone = true
			went = append(went, s.address)
			left = append(left, g.leaveLocked(s)...)
			if s.stop != nil {
				s.stop()
			}
		}
	}
	for _, address := range addresses {
		i := slices.IndexFunc(g.servers, func(s *server) bool { return s.address == address })
		switch {
		case i < 0:
			s := g.addLocked(e, address)
			if e.found {
				g.slowLocked(s, time.Now())
			}
			g.watchLocked(s)
			came = append(came, address)
		case g.servers[i].gone && g.servers[i].entry == e: // it is back before it was idle
			g.servers[i].gone = false
			g.watchLocked(g.servers[i])
			came = append(came, address)
		}
	}
	e.found = true
	g.arrangeLocked()
	g.serveLocked()
	g.mu.Unlock()
	g.closeBackends(left)
	if again {
		g.log.Info("the name of a back end can be looked up again", "server", e.Address)
	}
	if len(came)+len(went) > 0 {
		g.log.Info("the name of a back end has other addresses", "server", e.Address, "new", strings.Join(came, " "), "gone", strings.Join(went, " "))
	}
}
