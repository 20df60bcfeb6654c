package cgi

import (
	"os/exec"
)

// Process is a program that was started, and leads a group of processes where
// the system has them.
type Process interface {
	PID() int

	// Wait returns when the program has ended. It is called once.
	Wait() Exit

	// Terminate asks the program and what it started to end; Kill ends them.
	// They may be called when it has ended.
	Terminate()
	Kill()
}

// Exit is the end of a program.
type Exit struct {
	Code   int    // its exit status; -1: a signal ended it, or nobody knows
	Status string // in words: "exit status 1"
}

// child is a Process of package os/exec.
type child struct{ cmd *exec.Cmd }

func startChild(cmd *exec.Cmd) (Process, error) { return child{cmd}, cmd.Start() }

func (c child) PID() int { return c.cmd.Process.Pid }

func (c child) Wait() Exit {
	_ = c.cmd.Wait() // its status is in ProcessState
	return Exit{c.cmd.ProcessState.ExitCode(), c.cmd.ProcessState.String()}
}

func (c child) Terminate() { terminate(c.cmd.Process) }
func (c child) Kill()      { kill(c.cmd.Process) }
