package script

// Scripts that were found a moment ago. To look for one takes six system calls,
// and they may block: each time the runtime's scheduler makes ready for that,
// which costs more than the calls.

import (
	"strings"
	"sync"
	"time"
)

const (
	// believed is how long it is believed that a script is there: less than
	// anybody notices who deploys another.
	believed = 100 * time.Millisecond
	// maxSeen is how many are remembered: all are forgotten then.
	maxSeen = 1024
)

// memory remembers scripts that have all of a path to themselves: what follows
// a script's name, and what a front controller is asked for, anybody can vary.
// That there is none is not remembered at all.
type memory struct {
	mu   sync.Mutex
	seen map[string]sighting
}

type sighting struct {
	found Found
	at    time.Time
}

func (m *memory) get(path string, now time.Time) (Found, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.seen[path]
	if !ok || now.Sub(s.at) >= believed {
		return Found{}, false
	}
	return s.found, true
}

func (m *memory) put(path string, found Found, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seen == nil || len(m.seen) >= maxSeen {
		m.seen = make(map[string]sighting)
	}
	m.seen[strings.Clone(path)] = sighting{found, now}
}
