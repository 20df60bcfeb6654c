package server

// What a connection to a site passes before its first request: the header of
// the PROXY protocol, and the limits of connections.

import (
	"net"
	"sync"
	"time"

	"millrace/internal/config"
	"millrace/internal/h1"
	"millrace/internal/listen"
)

// full is what a client gets for whose connection there is no room.
const full = "HTTP/1.1 503 Service Unavailable\r\n" +
	"Content-Type: text/plain; charset=utf-8\r\nContent-Length: 41\r\nRetry-After: 1\r\nConnection: close\r\n\r\n" +
	"Too many connections; try again in a bit\n"

// entry is what connections to a front pass.
func (f *front) entry() listen.Entry {
	if !f.ofSites() {
		return listen.Entry{}
	}
	refused := &seldom{every: refusedEvery}
	return listen.Entry{
		Proxied: f.proxied,
		Believes: func(peer net.Addr) bool {
			trust := f.mounted.Load().trust
			return trust == nil || trust.Trusts(peer.String())
		},
		Admit: func(client net.Addr) (func(), []byte) {
			leave := f.enter(client)
			if leave == nil {
				return nil, f.refusal()
			}
			return leave, nil
		},
		Refused: func(peer net.Addr, why error) {
			if n := refused.count(time.Now()); n > 0 {
				f.says().Warn("a connection is refused", "address", f.address, "peer", peer.String(), "error", why, "count", n)
			}
		},
	}
}

// enter counts a connection of a client in, as limit.Connections does. If there
// is no room for anybody, the connection that has been idle for the longest time
// is closed for it.
func (f *front) enter(client net.Addr) (leave func()) {
	for range maxTries {
		if leave = f.clients.Enter(client); leave != nil || !f.clients.Full() || f.makeRoom == nil || !f.makeRoom() {
			break
		}
	}
	return leave
}

// maxTries bounds how many connections are closed for one: others that come at
// the same time may take the room.
const maxTries = 4

// makeRoom closes the connection of a site that has been idle for the longest
// time, and reports whether there was one. Those of HTTP/2 and HTTP/3 are not
// looked at.
func (s *Server) makeRoom() bool {
	var oldest *h1.Server
	var since time.Time
	s.mu.Lock()
	for _, f := range s.fronts {
		if !f.ofSites() || f.http1 == nil {
			continue
		}
		if t := f.http1.IdleSince(); !t.IsZero() && (oldest == nil || t.Before(since)) {
			oldest, since = f.http1, t
		}
	}
	s.mu.Unlock()
	return oldest != nil && oldest.CloseIdle()
}

// ofSites reports whether the front is one of sites.
func (f *front) ofSites() bool { return f.app == "" && !f.status }

// refusal is what a client can read before anything else was said: nothing,
// before a TLS handshake.
func (f *front) refusal() []byte {
	if f.tls != (tlsSpec{}) {
		return nil
	}
	return []byte(full)
}

// boundConnections sets the limits of connections.
func (s *Server) boundConnections(c *config.Server) {
	exempt, _, err := clients(c.TrustedProxies)
	if err != nil {
		exempt = nil // not reached: package config has checked them
	}
	s.clients.SetLimits(c.MaxConnections, c.MaxConnectionsPerClient, exempt)
}

// refusedEvery is how often a log is told of what happens all the time.
const refusedEvery = 10 * time.Second

// seldom counts what is told of now and then.
type seldom struct {
	every time.Duration

	mu   sync.Mutex
	last time.Time
	n    int
}

// count returns how many there were since the last time, if it is time to say
// so; else 0.
func (s *seldom) count(now time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	if !s.last.IsZero() && now.Sub(s.last) < s.every {
		return 0
	}
	n := s.n
	s.last, s.n = now, 0
	return n
}
