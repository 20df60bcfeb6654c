//go:build unix

package daemontools

// This file: the script that cleans up after run. As with s6, its arguments are
// the exit status of run (256: a signal ended it; -1: nobody knows, as of what
// was taken back), the signal, and the service.

import (
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	finishTime = 5 * time.Second // then it is killed
	noUse      = 125             // its exit status that says: never start this again
)

// finish runs the script, if there is one, and then goes on.
func (s *service) finish() {
	if s.last == nil || s.enter() != nil || unix.Access("finish", unix.X_OK) != nil {
		s.step()
		return
	}
	code := s.last.Code
	if s.last.Signal != 0 {
		code = 256
	}
	args := []string{"./finish", strconv.Itoa(code), strconv.Itoa(s.last.Signal), s.label}
	attr := &syscall.ProcAttr{Files: []uintptr{uintptr(s.stdin), uintptr(s.stdout), 2}}
	var late *time.Timer
	pid, err := s.e.spawn("./finish", args, attr, func(status syscall.WaitStatus) {
		late.Stop()
		s.finishing = 0
		s.finished(status)
	})
	if err != nil {
		say(s.e.stderr, "supervise: warning: unable to start ", s.label, "/finish: ", words(err))
		s.step()
		return
	}
	s.finishing = pid
	late = s.e.after(finishTime, func() {
		if s.finishing == pid {
			say(s.e.stderr, "supervise: warning: ", s.label, "/finish takes too long and is killed")
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	})
}

// finished hears how the script ended.
func (s *service) finished(status syscall.WaitStatus) {
	if status.ExitStatus() == noUse && s.want != wantDown {
		s.want, s.starts, s.failed = wantDown, false, true
		say(s.e.stderr, "supervise: warning: ", s.label, "/finish says that it is of no use to start it again (svc -u does)")
		s.announce()
		s.e.changed()
	}
	s.step()
}
