package config

import (
	"maps"
	"strings"
)

// place is where something was written.
type place struct {
	file         string
	line, column int
}

// source remembers what was given rather than filled in, and where, by the
// path of each key: "app.main.max_children", "site[0].route[2].path",
// "site[0].listen[1]". It is apart from the types so that they stay plain
// data. Without a file it is empty.
type source struct {
	file     string
	given    map[string]place
	bad      map[string]bool // given, but the value was refused
	problems []*Error        // of decoding

	// filled holds the numbers of workers that Complete worked out, so that
	// it can work them out anew after a change.
	filled map[string]int
}

// at is the place of a key, or of the table that it belongs to, or the start
// of the file.
func (s *source) at(path string) place {
	for path != "" {
		if p, ok := s.given[path]; ok {
			return p
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	if s.file == "" {
		return place{}
	}
	return place{s.file, 1, 1}
}

func (s *source) give(path string, at place) {
	if s.given == nil {
		s.given = make(map[string]place)
	}
	s.given[path] = at
}

// refuse notes a problem of decoding.
func (s *source) refuse(path string, at place, problem, hint string) {
	if s.bad == nil {
		s.bad = make(map[string]bool)
	}
	s.bad[path] = true
	s.problems = append(s.problems, at.problem(problem, hint))
}

func (p place) problem(problem, hint string) *Error {
	return &Error{File: p.file, Line: p.line, Column: p.column, Problem: problem, Hint: hint}
}

// forget makes a key one that was not given.
func (s *source) forget(path string) {
	maps.DeleteFunc(s.given, func(p string, _ place) bool {
		return p == path || strings.HasPrefix(p, path+"[") || strings.HasPrefix(p, path+".")
	})
}

func (s *source) fill(path string, n int) {
	if s.filled == nil {
		s.filled = make(map[string]int)
	}
	s.filled[path] = n
}
