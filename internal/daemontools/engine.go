//go:build unix

package daemontools

import (
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// engine owns services: everything that happens to them happens in the
// goroutine that runs it, one thing after the other. Others post what is to be
// done there.
//
// The process's working folder is the engine's too. It enters a service's
// folder by its descriptor before it does anything there, as the original
// supervise, which lives in the folder, would: so a service stays itself when
// its folder is renamed, and messages and paths are the same.
type engine struct {
	stderr   io.Writer
	env      []string
	posted   chan func()
	quit     chan struct{} // closed at the end: nothing is posted any more
	children map[int]func(syscall.WaitStatus)
	lookup   func(name string) *service // of those that others depend on; nil: there are none
	onChange func()                     // told when a service has started, ended or become ready; nil: nobody
	over     bool
	status   int // exit status
}

func newEngine(stderr io.Writer) *engine {
	return &engine{
		stderr: stderr, env: os.Environ(), posted: make(chan func(), 64), quit: make(chan struct{}),
		children: map[int]func(syscall.WaitStatus){},
	}
}

// post has something done by the engine's goroutine. It is for others: the
// engine itself would wait for itself.
func (e *engine) post(do func()) {
	select {
	case e.posted <- do:
	case <-e.quit:
	}
}

// after has something done later.
func (e *engine) after(d time.Duration, do func()) *time.Timer {
	return time.AfterFunc(d, func() { e.post(do) })
}

// end ends run, with an exit status.
func (e *engine) end(status int) { e.over, e.status = true, status }

// changed tells that a service is another by now. It may enter other folders.
func (e *engine) changed() {
	if e.onChange != nil {
		e.onChange()
	}
}

// run does what is posted, and reaps, until the engine is ended. begin is done
// first; signalled is told of the signals that were asked for.
func (e *engine) run(begin func(), signals []os.Signal, signalled func(syscall.Signal)) int {
	defer close(e.quit)
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	defer signal.Stop(ended)
	// Nobody reads what is said on stderr: that is no reason to end. Ignored, the
	// signal would be so by all that is started, too.
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	defer signal.Stop(broken)
	told := make(chan os.Signal, 16)
	if len(signals) > 0 { // with none, Notify would ask for all
		signal.Notify(told, signals...)
		defer signal.Stop(told)
	}
	begin()
	for !e.over {
		select {
		case do := <-e.posted:
			do()
		case <-ended:
			e.reap()
		case s := <-told:
			signalled(s.(syscall.Signal))
		}
	}
	return e.status
}

// reap takes what has ended: children, and as process 1 whatever lost its
// parent.
func (e *engine) reap() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if ended, ok := e.children[pid]; ok {
			delete(e.children, pid)
			ended(status)
		}
	}
}

// spawn starts a process in the working folder; ended is told of its end.
func (e *engine) spawn(path string, args []string, attr *syscall.ProcAttr, ended func(syscall.WaitStatus)) (int, error) {
	if attr.Env == nil {
		attr.Env = e.env
	}
	pid, err := syscall.ForkExec(path, args, attr)
	if err != nil {
		return 0, err
	}
	e.children[pid] = ended
	return pid, nil
}
