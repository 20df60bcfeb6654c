//go:build unix

package main

// This file: a daemon. The command starts itself again in a session of its
// own, and waits on a pipe: what comes before the first NUL is for its stderr;
// the NUL says that the daemon serves. The end of the pipe without one says
// that the daemon ends, and its exit status becomes the command's.
//
// Forking, as daemons used to, is not for a process with threads.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
)

// readyVariable names the pipe's descriptor in the environment of a daemon.
const readyVariable = "MILLRACE_READY_FD"

const readyDescriptor = 3 // the first of exec.Cmd.ExtraFiles

// daemonize starts this program again with the same arguments. It returns
// when the daemon serves; an error says that there is none.
func daemonize(ctx context.Context, args []string, stderr io.Writer) error {
	path, err := os.Executable()
	if err != nil {
		return &failure{"cannot go to the background: " + err.Error(), "write daemonize=false"}
	}
	read, write, err := os.Pipe()
	if err != nil {
		return &failure{"cannot go to the background: " + err.Error(), "raise the limit of open files (ulimit -n)"}
	}
	defer read.Close()
	cmd := &exec.Cmd{
		Path:        path,
		Args:        append([]string{os.Args[0]}, args...),
		Env:         append(os.Environ(), readyVariable+"="+strconv.Itoa(readyDescriptor)),
		ExtraFiles:  []*os.File{write},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	// Before the start, so that no signal finds the daemon without its guard.
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt, syscall.SIGHUP)
	defer signal.Stop(signals)
	err = cmd.Start()
	write.Close()
	if err != nil {
		return &failure{"cannot go to the background: " + err.Error(), "write daemonize=false"}
	}
	told := make(chan struct{})
	go stopWith(ctx, cmd.Process, signals, told)
	ready, said, err := copyUntilReady(stderr, read)
	close(told)
	if ready {
		return cmd.Process.Release()
	}
	if ended := cmd.Wait(); ended != nil {
		err = ended
	}
	var exit *exec.ExitError
	if said && errors.As(err, &exit) && exit.Exited() {
		return &exitStatus{exit.ExitCode()}
	}
	return &failure{fmt.Sprintf("the daemon ended before it was ready: %v", err), "write daemonize=false to see why, or name an errlog"}
}

// stopWith passes on to the daemon, which has left the terminal, what was to
// end the command that waits for it.
func stopWith(ctx context.Context, daemon *os.Process, signals <-chan os.Signal, told <-chan struct{}) {
	done := ctx.Done()
	for {
		select {
		case <-told:
			return
		case <-done:
			done = nil
		case <-signals:
		}
		_ = daemon.Signal(syscall.SIGTERM) // a second one stops at once; none if it has just ended
	}
}

// copyUntilReady copies what the daemon says.
func copyUntilReady(to io.Writer, from io.Reader) (ready, said bool, err error) {
	b := make([]byte, 4096)
	for {
		n, err := from.Read(b)
		text, _, ready := bytes.Cut(b[:n], []byte{0})
		if len(text) > 0 {
			said = true
			if _, err := to.Write(text); err != nil {
				return ready, said, err
			}
		}
		if ready || err != nil {
			return ready, said, err
		}
	}
}

// waiting is the command that waits for this daemon; nil: this is none.
type waiting struct{ pipe *os.File }

// whoWaits finds it, once: the app must not inherit the variable.
func whoWaits() *waiting {
	number := os.Getenv(readyVariable)
	os.Unsetenv(readyVariable)
	if number != strconv.Itoa(readyDescriptor) {
		return nil
	}
	syscall.CloseOnExec(readyDescriptor)
	return &waiting{os.NewFile(readyDescriptor, "ready")}
}

// Write is for the command's stderr. Nobody may be there any more.
func (w *waiting) Write(b []byte) (int, error) { return w.pipe.Write(b) }

// ready lets the command end.
func (w *waiting) ready() {
	_, _ = w.pipe.Write([]byte{0}) // nobody waits any more: then nobody is to be told
	_ = w.pipe.Close()
}

// failed says why there is no daemon.
func (w *waiting) failed(err error) {
	report(w, err) // after ready: the pipe is closed, and this is nobody's
	_ = w.pipe.Close()
}
