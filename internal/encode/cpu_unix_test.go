//go:build unix

package encode

import "syscall"

// cpuTime is what the process has taken of the processors, in nanoseconds: on
// a busy machine it says more than the clock.
func cpuTime() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
