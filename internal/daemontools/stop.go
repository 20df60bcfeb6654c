//go:build unix

package daemontools

// This file: how svscan ends with all that it keeps, in the order of the
// dependencies: first what nobody depends on; the log of a service when that
// has ended, by the end of what it reads.

import (
	"time"

	"golang.org/x/sys/unix"
)

// logTime is how long a log may take to end by itself.
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
	left := 0
	for _, en := range sc.entries {
		if en.service != nil {
			left++
			if !en.ending && (sc.late || !needed[en.name]) {
				en.ending = true
				en.service.command('d')
				en.service.command('x')
			}
			if sc.late && en.service != nil {
				en.service.signal(unix.SIGKILL)
			}
			continue
		}
		if en.log == nil {
			continue
		}
		left++
		if !en.logEnding {
			en.logEnding = true
			en.log.command('x')
			en.closePipe() // ours: it reads the end of the service's output
			sc.e.after(logTime, func() {
				if en.log != nil {
					en.log.command('d')
				}
			})
		}
		if sc.late && en.log != nil {
			en.log.signal(unix.SIGKILL)
		}
	}
	if left == 0 {
		sc.e.end(0)
	}
}
