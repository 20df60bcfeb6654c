package pool

// What a program writes to its error stream in the protocol.

import (
	"bytes"
	"sync"
)

// programSays takes what a program writes to its error stream in the protocol.
type programSays struct {
	channel *channel
	request string

	mu   sync.Mutex
	line []byte
}

func (s *programSays) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range b {
		if c == '\n' || len(s.line) == maxLine {
			s.flushLocked()
		}
		if c != '\n' {
			s.line = append(s.line, c)
		}
	}
	return len(b), nil
}

func (s *programSays) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flushLocked()
}

func (s *programSays) flushLocked() {
	if line := bytes.TrimRight(s.line, "\r"); len(line) > 0 {
		s.channel.pool.output.put(line, s.request, s.channel.process)
	}
	s.line = s.line[:0]
}
