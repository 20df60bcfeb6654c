//go:build unix

package testkit

import (
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Program is a running process of a test.
type Program struct {
	Name  string
	Cmd   *exec.Cmd
	Out   *Output
	Ended chan struct{} // closed when it has ended: Cmd.ProcessState says how

	t testing.TB
}

// Run starts a program in a process group of its own. At the end of the test it
// gets SIGTERM, and the test fails if it has not ended then within 20 s; what it
// left of its group is killed.
func Run(t testing.TB, cmd *exec.Cmd) *Program {
	t.Helper()
	p := &Program{t: t, Name: filepath.Base(cmd.Path), Cmd: cmd, Out: &Output{}, Ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.Out, p.Out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait() // how it ended is seen in ProcessState
		close(p.Ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // an error: it has ended already
		select {
		case <-p.Ended:
		case <-time.After(20 * time.Second):
			t.Errorf("%s did not stop within 20 s of SIGTERM", p.Name)
		}
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it left of its group
		<-p.Ended
		if t.Failed() {
			t.Logf("output of %s:\n%s", p.Name, Tail(p.Out.String()))
		}
	})
	return p
}

// Listening waits until addresses ("host:port" or "unix:/path") take connections.
func (p *Program) Listening(addresses ...string) {
	p.t.Helper()
	for _, address := range addresses {
		network := "tcp"
		if path, ok := strings.CutPrefix(address, "unix:"); ok {
			network, address = "unix", path
		}
		p.WaitFor("listens on "+address, func() bool {
			c, err := net.DialTimeout(network, address, time.Second)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
	}
}

// ready is a line of millrace's.
var ready = regexp.MustCompile(`(?m)^ready$`)

// Ready waits until millrace says that it is.
func (p *Program) Ready() {
	p.t.Helper()
	p.WaitFor("is ready", func() bool { return p.Out.Has(ready) })
}

// WaitFor fails the test unless a condition holds within Limit, and before the
// program ends.
func (p *Program) WaitFor(what string, condition func() bool) {
	p.t.Helper()
	switch Poll(Limit, p.Ended, condition) {
	case ErrEnded:
		p.t.Fatalf("%s ended (%v) before it %s:\n%s", p.Name, p.Cmd.ProcessState, what, p.Out)
	case ErrLate:
		p.t.Fatalf("%s: not within %v: it %s\n%s", p.Name, Limit, what, p.Out)
	}
}
