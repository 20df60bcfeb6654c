//go:build unix

package supervise

import (
	"fmt"
	"syscall"
)

// signals are those that end processes, and that they are asked by.
var signals = map[string]syscall.Signal{
	"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT, "ILL": syscall.SIGILL,
	"TRAP": syscall.SIGTRAP, "ABRT": syscall.SIGABRT, "BUS": syscall.SIGBUS, "FPE": syscall.SIGFPE,
	"KILL": syscall.SIGKILL, "USR1": syscall.SIGUSR1, "SEGV": syscall.SIGSEGV, "USR2": syscall.SIGUSR2,
	"PIPE": syscall.SIGPIPE, "ALRM": syscall.SIGALRM, "TERM": syscall.SIGTERM,
	"XCPU": syscall.SIGXCPU, "XFSZ": syscall.SIGXFSZ, "SYS": syscall.SIGSYS,
}

// SignalNamed returns the signal of a name like "TERM".
func SignalNamed(name string) (syscall.Signal, bool) {
	s, ok := signals[name]
	return s, ok
}

// signalName is "SIGKILL".
func signalName(s syscall.Signal) string {
	for name, number := range signals {
		if number == s {
			return "SIG" + name
		}
	}
	return fmt.Sprintf("signal %d", int(s))
}
