package server

import "encoding/json"

// memory is what a server has the one after it know: what was said at run time
// and holds through an upgrade.
type memory struct {
	Maintenance *Maintenance `json:"maintenance,omitempty"`

	// Drained are servers of groups of back ends, by name and address: drained,
	// or not, other than the configuration has it.
	Drained map[string]map[string]bool `json:"drained,omitempty"`
}

// remember has the keeper keep what is to hold. s.maintaining is held.
func (s *Server) remember() error {
	s.mu.Lock()
	body, err := json.Marshal(memory{s.closed.Load(), s.drained})
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.keeper.Remember(body)
}

// recall takes over what the server before this one remembered.
func (s *Server) recall(body json.RawMessage) {
	if len(body) == 0 {
		return
	}
	var m memory
	if err := json.Unmarshal(body, &m); err != nil {
		s.log.Error("what was in maintenance, and drained, is not known any more", "error", err)
		return
	}
	s.closed.Store(m.Maintenance)
	s.drained = m.Drained
}
