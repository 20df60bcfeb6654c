//go:build unix

package cgi

import (
	"os"
	"syscall"
)

// newGroup has a process lead a group of its own.
func newGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// terminate asks the process and what it started to end.
func terminate(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGTERM) }

// kill ends them. The process may have been reaped a moment ago: its number is
// not given to another while its group has a member, and, as numbers are given
// out in a circle, not right after.
func kill(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) }
