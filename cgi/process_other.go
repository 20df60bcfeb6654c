//go:build !unix

package cgi

import (
	"os"
	"syscall"
)

// newGroup does nothing here: there are no process groups to signal.
func newGroup() *syscall.SysProcAttr { return nil }

// terminate cannot ask here: it ends the process.
func terminate(p *os.Process) { _ = p.Kill() }

// kill ends the process.
func kill(p *os.Process) { _ = p.Kill() }
