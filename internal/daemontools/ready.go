//go:build unix

package daemontools

// This file: when a service is ready. It says so itself, by a line on the
// descriptor whose number is in the file notification-fd, as with s6; or the
// program check in its folder says so for it, by its exit status 0, as with
// runit.

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	checkEvery = time.Second     // how often check is run, until it says yes
	checkTime  = 5 * time.Second // then it is killed, and run again
)

// ready is whether a service is.
type ready struct {
	told    bool // the service says so
	checked bool // check says so
	yes     bool
	at      time.Time
	pipe    *os.File // what the service writes to
	writer  int      // its end, until the service has it
	probe   int      // process of check; 0: none
}

// prepareReady has the service given a descriptor, if it asks for one.
func (s *service) prepareReady(attr *syscall.ProcAttr) {
	s.ready.writer = -1
	s.ready.checked = unix.Access("check", unix.X_OK) == nil
	text, err := readFile("notification-fd", 64)
	if err != nil {
		return
	}
	number, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || number < 3 || number > 1023 {
		say(s.e.stderr, "supervise: warning: ", s.label, "/notification-fd holds no number from 3 to 1023")
		return
	}
	read, write, err := pipe()
	if err != nil {
		say(s.e.stderr, "supervise: warning: unable to create pipe for ", s.label, ": ", words(err))
		return
	}
	for len(attr.Files) <= number {
		attr.Files = append(attr.Files, inherited(len(attr.Files)))
	}
	attr.Files[number] = uintptr(write)
	_ = unix.SetNonblock(read, true)
	s.ready.told, s.ready.writer, s.ready.pipe = true, write, os.NewFile(uintptr(read), "ready")
}

// inherited is a descriptor that a child gets if nothing else is done; none if
// it is closed there.
func inherited(fd int) uintptr {
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC != 0 {
		return ^uintptr(0)
	}
	return uintptr(fd)
}

// pipe makes a pipe that no other child gets, whose ends block.
func pipe() (read, write int, err error) {
	var fds [2]int
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := syscall.Pipe(fds[:]); err != nil {
		return 0, 0, err
	}
	syscall.CloseOnExec(fds[0])
	syscall.CloseOnExec(fds[1])
	return fds[0], fds[1], nil
}

// begun goes on when the service was started, or could not be.
func (r *ready) begun(s *service) {
	if r.writer >= 0 {
		_ = unix.Close(r.writer)
		r.writer = -1
	}
	started := s.started
	if r.pipe != nil {
		go listenReady(r.pipe, func() { s.e.post(func() { s.isReady(started) }) })
	}
	if r.checked {
		s.e.after(0, func() { s.check(started) })
	}
}

// listenReady reads until a line has come. Its end without one says nothing.
func listenReady(pipe *os.File, ready func()) {
	defer pipe.Close()
	var b [64]byte
	for {
		n, err := pipe.Read(b[:])
		if strings.IndexByte(string(b[:n]), '\n') >= 0 {
			ready()
			return
		}
		if err != nil {
			return
		}
	}
}

// isReady notes that what was started then is ready.
func (s *service) isReady(started time.Time) {
	if s.started != started || !s.running() || s.ready.yes {
		return
	}
	s.ready.yes, s.ready.at = true, time.Now()
	s.writeDetails()
	s.e.changed()
}

// check runs check for what was started then.
func (s *service) check(started time.Time) {
	if s.started != started || !s.running() || s.ready.yes {
		return
	}
	again := func() { s.e.after(checkEvery, func() { s.check(started) }) }
	if s.enter() != nil {
		again()
		return
	}
	var late *time.Timer
	attr := &syscall.ProcAttr{Files: []uintptr{uintptr(s.stdin), uintptr(s.stdout), 2}}
	pid, err := s.e.spawn("./check", []string{"./check"}, attr, func(status syscall.WaitStatus) {
		late.Stop()
		if s.started == started {
			s.ready.probe = 0
		}
		if status.ExitStatus() == 0 && !status.Signaled() {
			s.isReady(started)
			return
		}
		again()
	})
	if err != nil {
		say(s.e.stderr, "supervise: warning: unable to start ", s.label, "/check: ", words(err))
		again()
		return
	}
	s.ready.probe = pid
	late = s.e.after(checkTime, func() {
		if s.ready.probe == pid {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	})
}

// end is of what was started, and so of its check.
func (r *ready) end() {
	if r.probe != 0 {
		_ = unix.Kill(r.probe, unix.SIGKILL)
	}
	if r.pipe != nil {
		r.pipe.Close()
	}
	*r = ready{writer: -1}
}

// usable reports whether others may rely on the service.
func (s *service) usable() bool {
	return s.running() && (s.ready.yes || !s.ready.told && !s.ready.checked)
}
