//go:build unix

package daemontools

import (
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// superviseProgram keeps one service running.
func superviseProgram(args []string, _ io.Reader, _, stderr io.Writer) int {
	if len(args) != 2 {
		return usage(stderr, "supervise: usage: supervise dir")
	}
	e := newEngine(stderr)
	s := e.openService(args[1], args[1], 0, 1, func() { e.end(0) })
	if s == nil {
		return exitFault
	}
	var signals []os.Signal
	if os.Getpid() == 1 { // to whom a signal without a handler does nothing
		signals = append([]os.Signal{syscall.SIGTERM, syscall.SIGINT}, forwarded()...)
	}
	return e.run(s.step, signals, func(sig syscall.Signal) {
		if sig == syscall.SIGTERM || sig == syscall.SIGINT {
			s.command('d')
			s.command('x')
			return
		}
		s.signal(unix.Signal(sig))
	})
}

// forwarded are the signals that process 1 hands to what it runs.
func forwarded() []os.Signal {
	return []os.Signal{syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGWINCH}
}
