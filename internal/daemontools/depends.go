//go:build unix

package daemontools

// This file: the order of the first starts. A line of the file depends in a
// service's folder is the name of another service of the same svscan; run is
// first started when all of these are ready. Later starts wait for nobody: a
// service that died must be back at once. svc -u and svc -o do not wait either.

import (
	"slices"
	"strings"
)

// mostDepends is how much of the file is read.
const mostDepends = 64 << 10

// readDepends reads the file.
func (s *service) readDepends() []string {
	if s.enter() != nil {
		return nil
	}
	text, err := readFile("depends", mostDepends)
	if err != nil {
		return nil
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line != "" {
			names = append(names, line)
		}
	}
	return names
}

// mustWait reports whether others are to be ready first. step is called again
// when something has changed.
func (s *service) mustWait() bool {
	if s.e.lookup == nil {
		return false
	}
	waits := false
	for _, name := range s.depends {
		other := s.e.lookup(name)
		if other == s || other != nil && other.waitsFor(s, nil) {
			if !s.circle {
				s.circle = true
				say(s.e.stderr, "svscan: warning: ", s.label, " and ", name, " depend on each other: ", s.label, " is started without waiting")
			}
			continue
		}
		waits = waits || other == nil || !other.usable()
	}
	if !waits {
		s.depends = nil
	}
	if waits != s.waiting {
		s.waiting = waits
		s.writeDetails()
	}
	return waits
}

// waitsFor reports whether s, as long as it is down, waits for other.
func (s *service) waitsFor(other *service, seen []*service) bool {
	if s.pid != 0 || slices.Contains(seen, s) {
		return false
	}
	seen = append(seen, s)
	for _, name := range s.depends {
		if next := s.e.lookup(name); next == other || next != nil && next.waitsFor(other, seen) {
			return true
		}
	}
	return false
}
