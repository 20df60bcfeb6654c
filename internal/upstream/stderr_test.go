package upstream

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestStderrWithoutEnd: what a back end writes to its error stream is logged line
// by line, up to a bound that one request cannot pass.
func TestStderrWithoutEnd(t *testing.T) {
	log := &logBuffer{}
	s := &stderrLog{log: newLogger(log), r: httptest.NewRequest("GET", "/x", nil)}
	fmt.Fprint(s, "one\ntwo\x1b[0m\nth")
	fmt.Fprint(s, "ree\n")
	for _, want := range []string{"says: one", `two\\x1b[0m`, "says: three"} {
		if len(log.lines(want)) != 1 {
			t.Errorf("no %q in %s", want, log)
		}
	}
	for range 200 {
		fmt.Fprint(s, strings.Repeat("e", 20<<10), "\n", strings.Repeat("short\n", 1000))
	}
	s.flush()
	s.flush()
	if n := len(log.String()); n > 2*maxStderr {
		t.Errorf("%d bytes were logged", n)
	}
	if n := len(log.lines("it says too much", "uri=/x")); n != 1 {
		t.Errorf("that is said %d times", n)
	}
}
