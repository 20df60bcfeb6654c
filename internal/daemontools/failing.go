//go:build unix

package daemontools

import (
	"fmt"
	"syscall"
	"time"
)

// young is how soon after its start a failure is one to start.
const young = 5 * time.Second

// reckon says when a service that has ended may start again. One that is killed
// or ends well starts after the pause, at the latest. One that fails while
// it is young, again and again, waits longer each time.
func (s *service) reckon(status syscall.WaitStatus, lived time.Duration) {
	s.next = s.started.Add(pause)
	if !failure(status) || lived > young || s.ready.yes {
		s.failures = 0
		s.backoff.Reset()
		return
	}
	s.failures++
	if s.failures < patience || s.want != wantUp {
		return
	}
	wait := s.backoff.Next()
	s.next = time.Now().Add(wait)
	if s.failures == patience {
		say(s.e.stderr, fmt.Sprintf("supervise: warning: %s has failed %d times in a row, the last time with %s; its starts are put off for up to a minute (svc -u starts it at once)",
			s.label, s.failures, howEnded(status)))
	}
}

// failure reports whether a program ended by a fault of its own.
func failure(status syscall.WaitStatus) bool {
	if !status.Signaled() {
		return status.ExitStatus() != 0
	}
	switch status.Signal() {
	case syscall.SIGABRT, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGILL, syscall.SIGSEGV, syscall.SIGSYS, syscall.SIGTRAP:
		return true
	}
	return false
}

func howEnded(status syscall.WaitStatus) string {
	if status.Signaled() {
		return "signal " + status.Signal().String()
	}
	return fmt.Sprintf("exit status %d", status.ExitStatus())
}
