package upstream

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"millrace/internal/requestid"
)

// maxLine is what one record of the log takes of a back end's error stream.
const maxLine = 8 << 10

// maxStderr is how much of it the log takes of one request: an app that writes
// without end must not fill the disk.
const maxStderr = 1 << 20

// lineCost is about what a record of the log takes beside its text.
const lineCost = 160

// stderrLog logs what a back end writes to its error stream while it answers
// one request: a record a line, with control characters escaped, so that no
// back end can write lines of its own to our log.
type stderrLog struct {
	log *slog.Logger
	r   *http.Request

	mu   sync.Mutex
	line []byte
	all  int // about how many bytes were logged
}

func (s *stderrLog) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := len(b); ; {
		if s.all > maxStderr {
			return n, nil
		}
		part, rest, ended := bytes.Cut(b, []byte("\n"))
		for len(s.line)+len(part) > maxLine {
			cut := maxLine - len(s.line)
			s.line = append(s.line, part[:cut]...)
			part = part[cut:]
			s.flushLocked()
		}
		s.line = append(s.line, part...)
		if !ended {
			return n, nil
		}
		s.flushLocked()
		b = rest
	}
}

func (s *stderrLog) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flushLocked()
}

func (s *stderrLog) flushLocked() {
	if s.all > maxStderr {
		s.line = s.line[:0]
		return
	}
	if line := strings.TrimRight(string(s.line), "\r"); line != "" {
		s.log.Warn("the back end says: "+escape(line), "request", requestid.Of(s.r), "uri", s.r.RequestURI)
	}
	if s.all += len(s.line) + lineCost; s.all > maxStderr {
		s.log.Warn("what else the back end says is left out: it says too much", "request", requestid.Of(s.r), "uri", s.r.RequestURI)
	}
	s.line = s.line[:0]
}

// escape makes control characters, and bytes that are no text, visible.
func escape(line string) string {
	var b strings.Builder
	for i, r := range line {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(line[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, line[i])
		case r == '\t' || !unicode.IsControl(r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\x%02x`, r)
		}
	}
	return b.String()
}
