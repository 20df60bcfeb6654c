//go:build unix

package daemontools

// This file: the programs that start another one in some state: setlock,
// pgrphack, fghack.

import (
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// setlock runs a program with a file locked.
func setlock(args []string, _ io.Reader, _, stderr io.Writer) int {
	mode, quiet := unix.LOCK_EX, false
	rest, ok := options(stderr, args, "nNxX", func(letter byte, _ string) {
		switch letter {
		case 'n':
			mode = unix.LOCK_EX | unix.LOCK_NB
		case 'N':
			mode = unix.LOCK_EX
		default:
			quiet = letter == 'x'
		}
	})
	if !ok || len(rest) < 2 {
		return usage(stderr, "setlock: usage: setlock [ -nNxX ] file program [ arg ... ]")
	}
	file, program := rest[0], rest[1:]
	// Without close-on-exec: the lock is held by whoever has the descriptor.
	fd, err := unix.Open(file, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_APPEND|unix.O_CREAT, 0o600)
	if err != nil {
		if quiet {
			return 0
		}
		return fault(stderr, err, "setlock: fatal: unable to open ", file, ": ")
	}
	err = unix.Flock(fd, mode)
	for err == unix.EINTR {
		err = unix.Flock(fd, mode)
	}
	if err != nil {
		if quiet {
			return 0
		}
		return fault(stderr, err, "setlock: fatal: unable to lock ", file, ": ")
	}
	return fault(stderr, become(program, os.Environ()), "setlock: fatal: unable to run ", program[0], ": ")
}

// pgrphack runs a program in a session, and so a process group, of its own.
func pgrphack(args []string, _ io.Reader, _, stderr io.Writer) int {
	if len(args) < 2 {
		return usage(stderr, "pgrphack: usage: pgrphack child")
	}
	_, _ = unix.Setsid() // who leads a group already goes on in it, as with the original
	return fault(stderr, become(args[1:], os.Environ()), "pgrphack: fatal: unable to run ", args[1], ": ")
}

// fghackCopies is how many descriptors fghack has a program inherit: one that
// puts itself into the background closes some, and rarely so many.
const fghackCopies = 30

// fghack runs a program that puts itself into the background, and ends when it
// and all that it left there have: when nobody has the pipe any more.
func fghack(args []string, _ io.Reader, _, stderr io.Writer) int {
	if len(args) < 2 {
		return usage(stderr, "fghack: usage: fghack child")
	}
	const fatal = "fghack: fatal: "
	var pipe [2]int
	if err := syscall.Pipe(pipe[:]); err != nil {
		return fault(stderr, err, fatal, "unable to create pipe: ")
	}
	syscall.CloseOnExec(pipe[0])
	writers := []int{pipe[1]}
	for range fghackCopies {
		if fd, err := syscall.Dup(pipe[1]); err == nil { // else as many as there may be
			writers = append(writers, fd)
		}
	}
	var pid int
	err := alongPath(args[1], func(path string) (err error) {
		pid, err = syscall.ForkExec(path, args[1:], &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
		return err
	})
	if err == syscall.EAGAIN || err == syscall.ENOMEM {
		return fault(stderr, err, fatal, "unable to fork: ")
	}
	if err != nil {
		return fault(stderr, err, fatal, "unable to run ", args[1], ": ")
	}
	for _, fd := range writers {
		_ = syscall.Close(fd)
	}
	var b [4096]byte
	for {
		n, err := unix.Read(pipe[0], b[:])
		if n <= 0 && err != unix.EINTR {
			break
		}
	}
	var status syscall.WaitStatus
	_, err = syscall.Wait4(pid, &status, 0, nil)
	for err == syscall.EINTR {
		_, err = syscall.Wait4(pid, &status, 0, nil)
	}
	switch {
	case err != nil:
		return fault(stderr, err, fatal, "wait failed: ")
	case status.Signaled():
		say(stderr, fatal, "child crashed")
		return exitFault
	}
	return status.ExitStatus()
}
