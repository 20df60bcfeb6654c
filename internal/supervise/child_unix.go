//go:build unix

package supervise

import (
	"os"
	"sync"
	"syscall"
)

// Child returns the process pid, which is a child of ours that this program has
// not started: the one before it did, which executed this one. lifeline is what
// keeps it alive as long as we are; nil: nothing. It is the Process's.
func Child(pid int, lifeline *os.File) Process { return &bequeathed{pid: pid, lifeline: lifeline} }

type bequeathed struct {
	pid      int
	lifeline *os.File

	mu    sync.Mutex // held while signalling: the process is not reaped meanwhile
	ended bool
}

func (p *bequeathed) PID() int { return p.pid }

// Lifeline is what keeps the process alive; nil: nothing.
func (p *bequeathed) Lifeline() *os.File { return p.lifeline }

func (p *bequeathed) Wait() Exit {
	peeked := waitExited(p.pid)
	if peeked {
		p.mu.Lock()
		defer p.mu.Unlock()
	}
	var status syscall.WaitStatus
	_, err := syscall.Wait4(p.pid, &status, 0, nil)
	for err == syscall.EINTR {
		_, err = syscall.Wait4(p.pid, &status, 0, nil)
	}
	if !peeked {
		p.mu.Lock()
		defer p.mu.Unlock()
	}
	p.ended = true
	if p.lifeline != nil {
		p.lifeline.Close()
	}
	switch {
	case err != nil:
		return Exit{Err: os.NewSyscallError("wait4", err)}
	case status.Signaled():
		return Exit{Signal: status.Signal()}
	}
	return Exit{Code: status.ExitStatus()}
}

func (p *bequeathed) Signal(sig syscall.Signal) error { return p.kill(p.pid, sig) }

func (p *bequeathed) Kill() error { return p.kill(-p.pid, syscall.SIGKILL) }

func (p *bequeathed) kill(pid int, sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return nil
	}
	if err := syscall.Kill(pid, sig); err != nil && err != syscall.ESRCH {
		return os.NewSyscallError("kill", err)
	}
	return nil
}
