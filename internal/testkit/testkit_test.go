//go:build unix

package testkit

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestPoll(t *testing.T) {
	ended := make(chan struct{})
	close(ended)
	n := 0
	if err := Poll(time.Minute, nil, func() bool { n++; return n == 3 }); err != nil || n != 3 {
		t.Errorf("%v after %d times", err, n)
	}
	if err := Poll(time.Minute, ended, func() bool { return false }); err != ErrEnded {
		t.Errorf("of what has ended: %v", err)
	}
	n = 0
	if err := Poll(time.Minute, ended, func() bool { n++; return n == 2 }); err != nil {
		t.Errorf("of what has ended with it: %v", err)
	}
	if err := Poll(0, nil, func() bool { return false }); err != ErrLate {
		t.Errorf("with no time: %v", err)
	}
}

func TestPlaces(t *testing.T) {
	a, b := Loopback(), Loopback()
	if a == b || !net.ParseIP(a).IsLoopback() || !net.ParseIP(b).IsLoopback() {
		t.Errorf("%s, %s", a, b)
	}
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", FreePort(t)))
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	var dir string
	t.Run("folder", func(t *testing.T) {
		dir = ShortDir(t)
		Write(t, filepath.Join(dir, "a/b"), "text")
	})
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the folder %s is there after its test: %v", dir, err)
	}
}

// A program, what it prints, and what it starts end with their test.
func TestRun(t *testing.T) {
	var p *Program
	t.Run("test", func(t *testing.T) {
		p = Run(t, exec.Command("/bin/sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!; echo ready >&2; wait"))
		p.Ready()
	})
	select {
	case <-p.Ended:
	default:
		t.Fatal("it runs on")
	}
	if got := p.Cmd.ProcessState.String(); got != "signal: terminated" {
		t.Errorf("it ended by %s", got)
	}
	var child int
	if _, err := fmt.Sscan(p.Out.String(), &child); err != nil {
		t.Fatal(err)
	}
	// It may be a zombie until its new parent has seen it.
	Eventually(t, "what it started is gone", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child))
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
}

func TestOutput(t *testing.T) {
	o := &Output{}
	fmt.Fprint(o, "one\n")
	fmt.Fprint(o, "two\n")
	if o.String() != "one\ntwo\n" || !o.Has(regexp.MustCompile(`(?m)^two$`)) || o.Has(regexp.MustCompile(`three`)) {
		t.Errorf("%q", o)
	}
	if got := Tail(strings.Repeat("x", 10_000)); len(got) != 4000+len("…") {
		t.Errorf("a tail of %d bytes", len(got))
	}
}

func TestNeed(t *testing.T) {
	if got := Need(t, "no-such-program", "sh"); filepath.Base(got) != "sh" {
		t.Errorf("sh is %s", got)
	}
	if got := Command(t, t.TempDir(), "sh", "-c", "echo $PWD"); !strings.HasSuffix(got, "\n") || !filepath.IsAbs(got) {
		t.Errorf("it printed %q", got)
	}
}
