package fcgi

// A connection that many requests share. One goroutine reads it and hands each
// stream (stream.go) its bytes; a stream that nobody reads fills its own pipe
// and holds up no other.

import (
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// mux is a client's shared connection.
type mux struct {
	c    *Client
	nc   net.Conn
	in   reader
	out  output
	max  int
	born int // its number

	// Guarded by pool.mu.
	taken   int       // requests that have a place
	retired bool      // takes no more
	since   time.Time // idle since, when taken is 0

	mu      sync.Mutex
	streams map[uint16]*stream
	lastID  uint16
	dead    error
}

func newMux(c *Client, nc net.Conn, born, requests int) *mux {
	m := &mux{c: c, nc: nc, born: born, max: requests, in: newReader(nc), streams: map[uint16]*stream{}, since: time.Now()}
	m.out.init(deadlineWriter{nc, c.timeout()})
	return m
}

// deadlineWriter gives each write its time. One that fails ends the
// connection, which its reader sees.
type deadlineWriter struct {
	net.Conn
	timeout time.Duration
}

func (w deadlineWriter) Write(b []byte) (int, error) {
	err := w.SetWriteDeadline(time.Now().Add(w.timeout))
	if err != nil {
		return 0, err
	}
	n, err := w.Conn.Write(b)
	if err != nil {
		w.Close()
	}
	return n, err
}

// add gives a stream its id.
func (m *mux) add(s *stream) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead != nil {
		return m.dead
	}
	s.kept = m.lastID != 0
	for {
		m.lastID++
		if m.lastID != 0 && m.streams[m.lastID] == nil {
			s.id = m.lastID
			m.streams[s.id] = s
			return nil
		}
	}
}

// leave gives a stream's place free.
func (m *mux) leave(s *stream) {
	m.mu.Lock()
	if m.streams[s.id] == s {
		delete(m.streams, s.id)
	}
	m.mu.Unlock()
	p := &m.c.pool
	p.mu.Lock()
	m.taken--
	retired := m.retired
	if m.taken == 0 {
		m.since = time.Now()
		p.sweepLocked(m.c)
	}
	p.wakeLocked(1)
	p.mu.Unlock()
	if retired {
		m.closeIfLeft()
	}
}

// read hands out what comes, until the connection ends.
func (m *mux) read() {
	err := m.records()
	m.nc.Close()
	m.in.free()
	p := &m.c.pool
	p.mu.Lock()
	m.retired = true
	if i := slices.Index(p.muxes, m); i >= 0 {
		p.muxes = slices.Delete(p.muxes, i, i+1)
	}
	p.mu.Unlock()
	p.gone()
	m.mu.Lock()
	m.dead = &deadError{err: cut(err), kept: true, unsent: true} // for those that come too late
	streams := m.streams
	m.streams = map[uint16]*stream{}
	m.mu.Unlock()
	for _, s := range streams {
		s.cutOff(err)
	}
}

func (m *mux) records() error {
	for {
		h, err := m.in.next()
		switch {
		case err != nil:
			return err
		case h.ID == 0: // UNKNOWN_TYPE and the like; nothing was asked
			continue
		}
		m.mu.Lock()
		s := m.streams[h.ID]
		m.mu.Unlock()
		if s == nil {
			return fmt.Errorf("%w: %v for request %d, which was not begun", ErrProtocol, h.Type, h.ID)
		}
		if err := s.record(h); err != nil {
			return err
		}
	}
}

// unshare notes that connections are not to be shared after all.
func (p *pool) unshare() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limits.requests = 1
	for _, m := range p.muxes {
		m.retired = true
	}
}

// overdue retires the connection if an aborted stream has still not ended, and
// closes it when no other one is left.
func (m *mux) overdue(s *stream) {
	m.mu.Lock()
	there := m.streams[s.id] == s
	m.mu.Unlock()
	if !there {
		return
	}
	m.c.pool.mu.Lock()
	m.retired = true
	m.c.pool.mu.Unlock()
	m.closeIfLeft()
}

// closeIfLeft closes a retired connection that only aborted streams are on.
func (m *mux) closeIfLeft() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.streams {
		if !s.givenUp() {
			return
		}
	}
	m.nc.Close()
}
