package cgi

import (
	"fmt"
	"strings"
	"testing"
)

func TestStderrLines(t *testing.T) {
	log, j := record(t)
	s := &stderr{log: log, program: "/p", uri: "/u"}
	for _, part := range []string{"on", "e\ntw", "o\r\n\n", strings.Repeat("x", maxLine+10), "\n\x1b[31mthree"} {
		s.write([]byte(part))
	}
	if got := s.last(); !strings.HasSuffix(got, "x\n\x1b[31mthree") || len(got) > maxTail {
		t.Errorf("the last that was said is %q", got)
	}
	s.end()
	got := j.String()
	for _, want := range []string{`\"one\"`, `\"two\"`, `\"\\x1b[31mthree\"`, `\"` + strings.Repeat("x", maxLine) + `\"`, `\"` + strings.Repeat("x", 10) + `\"`} {
		if !strings.Contains(got, want) {
			t.Errorf("%.20s is missing", want)
		}
	}
	if n := strings.Count(got, "\n"); n != 5 {
		t.Errorf("%d records, want 5", n)
	}
}

// A program that never stops complaining does not fill the log's disk.
func TestStderrIsBounded(t *testing.T) {
	log, j := record(t)
	s := &stderr{log: log}
	line := strings.Repeat("x", 1023) + "\n"
	for range 2048 {
		s.write([]byte(line))
	}
	s.end()
	got := j.String()
	logged := maxLogged / 1023
	if n := strings.Count(got, "says"); n != logged {
		t.Errorf("%d lines are logged, want %d", n, logged)
	}
	if want := fmt.Sprintf("a CGI program said %d bytes more", (2048-logged)*1023); !strings.Contains(got, want) {
		t.Errorf("nothing tells that %q", want)
	}
}
