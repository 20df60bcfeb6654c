//go:build unix

package daemontools

// This file: softlimit.

import (
	"io"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// softLimits are the resources of an option, in the order that they are set in.
func softLimits(letter byte) []int {
	switch letter {
	case 'a':
		return limitAS()
	case 'c':
		return []int{unix.RLIMIT_CORE}
	case 'd':
		return []int{unix.RLIMIT_DATA}
	case 'f':
		return []int{unix.RLIMIT_FSIZE}
	case 'l':
		return []int{unix.RLIMIT_MEMLOCK}
	case 'm':
		return append([]int{unix.RLIMIT_DATA, unix.RLIMIT_STACK, unix.RLIMIT_MEMLOCK}, limitAS()...)
	case 'o':
		return []int{unix.RLIMIT_NOFILE}
	case 'p':
		return []int{unix.RLIMIT_NPROC}
	case 'r':
		return []int{unix.RLIMIT_RSS}
	case 's':
		return []int{unix.RLIMIT_STACK}
	case 't':
		return []int{unix.RLIMIT_CPU}
	}
	return nil
}

const softlimitUsage = "softlimit: usage: softlimit [-a allbytes] [-c corebytes] [-d databytes] [-f filebytes] [-l lockbytes] [-m membytes] [-o openfiles] [-p processes] [-r residentbytes] [-s stackbytes] [-t cpusecs] child"

// limitOption is one option.
type limitOption struct {
	letter byte
	value  string // a number, or "=": as high as may be
}

// limitOptions reads the options, which all have a value. problem is in the words
// of the original.
func limitOptions(args []string) (all []limitOption, command []string, problem string) {
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		letter, value := args[0][1], args[0][2:]
		args = args[1:]
		if letter == '-' {
			break
		}
		if softLimits(letter) == nil {
			return nil, nil, "illegal option -- " + string(rune(letter))
		}
		if value == "" {
			if len(args) == 0 {
				return nil, nil, "option requires an argument -- " + string(rune(letter))
			}
			value, args = args[0], args[1:]
		}
		all = append(all, limitOption{letter, value})
	}
	return all, args, ""
}

func runSoftlimit(args []string, _ io.Reader, _, stderr io.Writer) int {
	all, command, problem := limitOptions(args[1:])
	if problem != "" {
		say(stderr, "softlimit: ", problem)
		return usage(stderr, softlimitUsage)
	}
	for _, o := range all {
		if _, digits := leadingNumber(o.value); o.value != "=" && digits < len(o.value) {
			return usage(stderr, softlimitUsage)
		}
	}
	if len(command) == 0 {
		return usage(stderr, softlimitUsage)
	}
	// This program has to go on within the limits until it is the other one: with
	// memory that it has already, and without its collector.
	debug.SetGCPercent(-1)
	clear(make([]byte, 4<<20))
	for _, o := range all {
		for _, resource := range softLimits(o.letter) {
			if what, err := o.apply(resource); err != nil {
				return fault(stderr, err, "softlimit: fatal: ", what, " failed: ")
			}
		}
	}
	return run("softlimit", stderr, command)
}

// apply sets the soft limit, to no more than the hard one.
func (o *limitOption) apply(resource int) (what string, err error) {
	var r unix.Rlimit
	if err := unix.Getrlimit(resource, &r); err != nil {
		return "getrlimit", err
	}
	r.Cur = r.Max
	if n, _ := leadingNumber(o.value); o.value != "=" && n < uint64(r.Max) {
		put(&r.Cur, n)
	}
	return "setrlimit", unix.Setrlimit(resource, &r)
}

// put writes a limit as the system has it: some have signed numbers.
func put[T int64 | uint64](field *T, value uint64) { *field = T(value) }
