//go:build unix

package daemontools

// This file: how svscan ends with all that it keeps, in the order of the
// dependencies: first what nobody depends on; the log of a service when that
// has ended, by the end of what it reads.

import (
	"time"

	"golang.org/x/sys/unix"
)

// logTime is how long a log may take to end by itself, and then how long to end
// when it is asked to.
const logTime = 2 * time.Second

// stop begins to stop.
func (sc *scanner) stop() {
	if sc.stopping {
		return
	}
	sc.stopping = true
	sc.e.after(sc.grace, func() {
		sc.late = true
		sc.stopNext()
	})
	sc.stopNext()
}

// stopNext asks those to end that may.
func (sc *scanner) stopNext() {
	needed := map[string]bool{}
	for _, en := range sc.entries {
		if s, ok := en.service.(*service); ok && s.pid != 0 {
			for _, name := range s.needs {
				needed[name] = true
			}
		}
	}
	left, ending := 0, 0
	for _, en := range sc.entries {
		if en.service != nil {
			left++
			if !en.ending && (sc.late || sc.circle || !needed[en.name]) {
				en.ending = true
				en.service.command('d')
				en.service.command('x')
			}
			if en.ending {
				ending++
			}
			if sc.late && en.service != nil {
				en.service.signal(unix.SIGKILL)
			}
			continue
		}
		if en.log == nil {
			continue
		}
		left, ending = left+1, ending+1
		if !en.logEnding {
			sc.endLog(en)
		}
	}
	switch {
	case left == 0:
		sc.e.end(0)
	case ending == 0: // those that are left depend on each other
		sc.circle = true
		sc.stopNext()
	}
}

// drain has a log that has ended by a fault started once more before supervision
// ends, if something waits for it in its pipe.
func (s *service) drain(pipe int) {
	waits := []unix.PollFd{{Fd: int32(pipe), Events: unix.POLLIN}}
	if s.running() || s.want != wantUp {
		return
	}
	if _, err := unix.Poll(waits, 0); err != nil || waits[0].Revents&unix.POLLIN == 0 {
		return
	}
	fd, err := unix.FcntlInt(uintptr(pipe), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return
	}
	s.drains, s.stdin, s.pipe = true, fd, fd // svscan's own is closed before that
}

// endLog has a log end: by the end of what it reads, which is when svscan has
// closed its ends of the pipe, or else by signals.
func (sc *scanner) endLog(en *entry) {
	en.logEnding = true
	if s, ok := en.log.(*service); ok {
		s.drain(en.pipe[0])
	}
	en.log.command('x')
	en.closePipe()
	sc.e.after(logTime, func() {
		if en.log != nil {
			en.log.command('d')
		}
	})
	sc.e.after(2*logTime, func() {
		if en.log != nil {
			en.log.signal(unix.SIGKILL)
		}
	})
}
