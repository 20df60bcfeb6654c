//go:build unix && !linux

package daemontools

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// cgroup is Linux's.
type cgroup struct{}

func (s *service) takeCgroup() {}

func (s *service) prepareCgroup(*syscall.ProcAttr) {
	if unix.Access("cgroup", unix.F_OK) == nil && !s.noCgroupSaid {
		s.noCgroupSaid = true
		say(s.e.stderr, "supervise: warning: ", s.label, " has no control group of its own, so what it leaves behind is not killed: this system has none")
	}
}

func (s *service) cgroupFailed(error, *syscall.ProcAttr) bool { return false }

func (s *service) sweep(then func()) { then() }

func (s *service) removeCgroup() {}
