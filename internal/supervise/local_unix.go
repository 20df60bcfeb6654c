//go:build unix

package supervise

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Local starts processes as children of this one.
type Local struct{}

var _ Starter = Local{}

// Start starts a process. It returns once the program runs, or cannot.
func (Local) Start(s Start) (Process, error) {
	c := s.Command
	launched := needsLauncher(c)
	var path string
	var err error
	if !launched {
		if path, err = lookUp(c.Path, c.Env); err != nil {
			return nil, fmt.Errorf("cannot start %s: %s: %w", c.Name, c.Path, err)
		}
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	files := slices.Clone(s.Files)
	for len(files) < 3 {
		files = append(files, nil)
	}
	for i, f := range files {
		if f == nil {
			files[i] = null
		}
	}
	cmd := &exec.Cmd{
		Path: path, Args: append(replaced(c.Args, s.Replace), s.Args...), Env: added(s.Env, c.Env), Dir: c.Dir,
		Stdin: files[0], Stdout: files[1], Stderr: files[2], ExtraFiles: files[3:],
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true}, // a Ctrl-C in the terminal reaches millrace alone
	}
	if c.Stdin != nil {
		text, err := stdin(c.Stdin)
		if err != nil {
			return nil, fmt.Errorf("cannot start %s: %w", c.Name, err)
		}
		defer text.Close()
		cmd.Stdin = text
	}
	if launched {
		return startLaunched(&s, cmd)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", c.Name, err)
	}
	return &child{cmd: cmd, whole: c.Whole}, nil
}

// lookUp finds a program on the PATH that it will have.
func lookUp(program string, env []string) (string, error) {
	if strings.ContainsRune(program, '/') {
		return program, nil
	}
	for _, v := range slices.Backward(env) {
		dirs, ok := strings.CutPrefix(v, "PATH=")
		if !ok {
			continue
		}
		for dir := range strings.SplitSeq(dirs, ":") {
			if !strings.HasPrefix(dir, "/") {
				continue // one that is relative is whatever the working folder makes it
			}
			path := dir + "/" + program
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				return path, nil
			}
		}
		break
	}
	return "", exec.ErrNotFound
}

// added is env with those variables before it that it has not itself.
func added(more, env []string) []string {
	if len(more) == 0 {
		return env
	}
	own := make(map[string]bool, len(env))
	for _, v := range env {
		name, _, _ := strings.Cut(v, "=")
		own[name] = true
	}
	all := make([]string, 0, len(more)+len(env))
	for _, v := range more {
		if name, _, _ := strings.Cut(v, "="); !own[name] {
			all = append(all, v)
		}
	}
	return append(all, env...)
}

// replaced are the arguments with what stands for {port} and {socket}.
func replaced(args []string, values map[string]string) []string {
	var pairs []string
	for name, value := range values {
		pairs = append(pairs, "{"+name+"}", value)
	}
	r := strings.NewReplacer(pairs...)
	out := make([]string, len(args))
	for i, arg := range args {
		out[i] = r.Replace(arg)
	}
	return out
}

// child is a process of Local.
type child struct {
	cmd      *exec.Cmd
	lifeline *os.File // its end is the process's; nil: it has none
	whole    bool     // see Command

	mu    sync.Mutex // held while signalling: the process is not reaped meanwhile
	ended bool
}

func (p *child) PID() int { return p.cmd.Process.Pid }

func (p *child) Wait() Exit {
	peeked := waitExited(p.PID())
	if peeked {
		p.mu.Lock()
		defer p.mu.Unlock()
	}
	if p.whole && peeked {
		_ = syscall.Kill(-p.PID(), syscall.SIGKILL) // the number is still its own
	}
	err := p.cmd.Wait()
	if p.whole && !peeked {
		// The number is not given to another while the group has a member, and,
		// as numbers are given out in a circle, not right after.
		_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
	}
	if !peeked {
		p.mu.Lock()
		defer p.mu.Unlock()
	}
	p.ended = true
	if p.lifeline != nil {
		p.lifeline.Close()
	}
	return exitOf(p.cmd.ProcessState, err)
}

func exitOf(state *os.ProcessState, err error) Exit {
	status, ok := syscall.WaitStatus(0), false
	if state != nil {
		status, ok = state.Sys().(syscall.WaitStatus)
	}
	switch {
	case !ok:
		return Exit{Err: err}
	case status.Signaled():
		return Exit{Signal: status.Signal()}
	}
	return Exit{Code: status.ExitStatus()}
}

func (p *child) Signal(sig syscall.Signal) error { return p.kill(p.PID(), sig) }

// Lifeline is what keeps the process alive, as long as some process has it
// open; nil without Command.Lifeline. It stays the child's.
func (p *child) Lifeline() *os.File { return p.lifeline }

func (p *child) Kill() error { return p.kill(-p.PID(), syscall.SIGKILL) }

func (p *child) kill(pid int, sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return nil
	}
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return os.NewSyscallError("kill", err)
	}
	return nil
}
