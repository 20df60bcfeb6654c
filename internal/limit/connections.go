package limit

// This file: how many connections there may be.

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// Connections counts connections, in all and of each client. Its bounds may
// change while it counts.
type Connections struct {
	most, each atomic.Int64 // 0: any number

	exempt atomic.Pointer[[]netip.Prefix]

	mu      sync.Mutex
	all     int64
	clients map[netip.Addr]int64
}

// SetLimits sets how many there may be in all and of each client; 0: any number.
// Of the addresses in exempt, which stand for many clients, there may be as many
// as in all.
func (c *Connections) SetLimits(most, each int, exempt []netip.Prefix) {
	c.most.Store(int64(most))
	c.each.Store(int64(each))
	c.exempt.Store(&exempt)
}

// Enter counts a connection of a client in; leave counts it out. leave is nil if
// there is no room.
func (c *Connections) Enter(client net.Addr) (leave func()) {
	ip, counted := c.client(client)
	most, each := c.most.Load(), c.each.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	if most > 0 && c.all >= most || counted && each > 0 && c.clients[ip] >= each {
		return nil
	}
	c.all++
	if !counted {
		return c.leaveAll
	}
	if c.clients == nil {
		c.clients = make(map[netip.Addr]int64)
	}
	c.clients[ip]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.all--
		if c.clients[ip]--; c.clients[ip] <= 0 {
			delete(c.clients, ip)
		}
	}
}

// Full reports whether there is no room for anybody.
func (c *Connections) Full() bool {
	most := c.most.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	return most > 0 && c.all >= most
}

func (c *Connections) leaveAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all--
}

// client is what a connection counts for: an address, of IPv6 its network of 64
// bits. false: it stands for nobody in particular.
func (c *Connections) client(a net.Addr) (netip.Addr, bool) {
	if c.each.Load() == 0 {
		return netip.Addr{}, false // and none of memory for it
	}
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, false
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	if exempt := c.exempt.Load(); exempt != nil {
		for _, p := range *exempt {
			if p.Contains(ip) {
				return netip.Addr{}, false
			}
		}
	}
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			ip = p.Addr()
		}
	}
	return ip, true
}
