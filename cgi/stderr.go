package cgi

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"sync"
)

// stderr is where a program's standard error goes: to the request's Stderr
// while that is there, else to the log, a line a record.
type stderr struct {
	log          *slog.Logger
	program, uri string

	mu     sync.Mutex
	to     io.Writer // nil: the log
	line   []byte    // of the log, not ended
	logged int       // bytes that the log has got
	more   int64     // bytes that it has not
	tail   []byte    // the last that was said
}

const (
	maxLine   = 8 << 10 // a longer one is several records
	maxLogged = 1 << 20 // bytes of one run that are logged
	maxTail   = 512     // bytes of it that an error quotes
)

// detach ends the use of the request's Stderr.
func (s *stderr) detach() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to = nil
}

func (s *stderr) write(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tail = append(s.tail, b[max(0, len(b)-maxTail):]...)
	s.tail = append(s.tail[:0], s.tail[max(0, len(s.tail)-maxTail):]...)
	if s.to != nil {
		_, _ = s.to.Write(b) // the program's failure to be heard is not the response's
		return
	}
	for len(b) > 0 {
		line, rest, ended := bytes.Cut(b, []byte{'\n'})
		if room := maxLine - len(s.line); len(line) > room {
			line, rest, ended = b[:room], b[room:], true
		}
		s.line = append(s.line, line...)
		if b = rest; ended {
			s.flush()
		}
	}
}

// flush logs a line.
func (s *stderr) flush() {
	line := bytes.TrimRight(s.line, "\r")
	if s.line = s.line[:0]; len(line) == 0 {
		return
	}
	if s.logged += len(line); s.logged > maxLogged {
		s.more += int64(len(line))
		return
	}
	s.log.Error("a CGI program says: "+strconv.QuoteToASCII(string(line)), "program", s.program, "uri", s.uri)
}

// end logs what is left.
func (s *stderr) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flush()
	if s.more > 0 {
		s.log.Error(fmt.Sprintf("a CGI program said %d bytes more", s.more), "program", s.program, "uri", s.uri)
	}
}

// last is the end of what was said.
func (s *stderr) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(bytes.TrimSpace(s.tail))
}
