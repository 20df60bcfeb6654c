//go:build unix

package supervise

import (
	"errors"
	"maps"
	"syscall"

	"golang.org/x/sys/unix"
)

// resources are the numbers of what can be limited.
func resources() map[string]int {
	all := map[string]int{
		"core": unix.RLIMIT_CORE, "cpu": unix.RLIMIT_CPU, "data": unix.RLIMIT_DATA, "fsize": unix.RLIMIT_FSIZE,
		"memlock": unix.RLIMIT_MEMLOCK, "nofile": unix.RLIMIT_NOFILE, "nproc": unix.RLIMIT_NPROC,
		"rss": unix.RLIMIT_RSS, "stack": unix.RLIMIT_STACK,
	}
	maps.Copy(all, moreResources())
	return all
}

var errNoLimit = errors.New("this system does not know the limit")

// raise lifts the hard limits that are below what they are to be, which takes
// privilege; what takes effect stays as it is.
func raise(limits []Limit) error {
	known := resources()
	for _, l := range limits {
		number, ok := known[l.Resource]
		if !ok {
			return &stepError{"setrlimit " + l.Resource, errNoLimit}
		}
		var r unix.Rlimit
		if err := unix.Getrlimit(number, &r); err != nil {
			return &stepError{"getrlimit " + l.Resource, err}
		}
		want := valueFor(&r.Max, l.Value)
		if want <= uint64(r.Max) {
			continue
		}
		put(&r.Max, want)
		if err := unix.Setrlimit(number, &r); err != nil {
			return &stepError{"setrlimit " + l.Resource, err}
		}
	}
	return nil
}

// bound sets the limits, which takes no privilege after raise.
func bound(limits []Limit) error {
	known := resources()
	for _, l := range limits {
		var r unix.Rlimit
		want := valueFor(&r.Max, l.Value)
		put(&r.Cur, want)
		put(&r.Max, want)
		if err := unix.Setrlimit(known[l.Resource], &r); err != nil {
			return &stepError{"setrlimit " + l.Resource, err}
		}
	}
	return nil
}

// valueFor is a limit as the system writes it: some have signed numbers.
func valueFor[T int64 | uint64](_ *T, value uint64) uint64 {
	const infinity = uint64(syscall.RLIM_INFINITY & (1<<64 - 1))
	return min(value, infinity)
}

func put[T int64 | uint64](field *T, value uint64) { *field = T(value) }
