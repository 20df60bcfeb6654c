package h1

// This file: connections that are given up to make room for others.

import "time"

// IdleSince is since when the connection that is parked for the longest time
// has been without a request; zero: none is parked. New connections that have
// never said anything do not count.
func (s *Server) IdleSince() time.Time {
	if p := s.polled(); p != nil {
		return p.idleSince()
	}
	return time.Time{}
}

// CloseIdle closes the connection that IdleSince is about, and reports whether
// there was one. Its client has to open another for its next request, as when
// IdleTimeout is over.
func (s *Server) CloseIdle() bool {
	p := s.polled()
	if p == nil {
		return false
	}
	c := p.takeIdle()
	if c == nil {
		return false
	}
	c.cut() // no farewell of TLS: a deaf client would have it wait
	c.close()
	return true
}

func (s *Server) polled() *poller {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.poll
}
