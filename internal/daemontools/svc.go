//go:build unix

package daemontools

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

const svcUsage = "svc options: u up, d down, o once, x exit, p pause, c continue, h hup, a alarm, i interrupt, t term, k kill"

// svc sends commands to services.
func svc(args []string, _ io.Reader, _, stderr io.Writer) int {
	letters, dirs, ok := svcCommands(stderr, args)
	if !ok {
		return usage(stderr, svcUsage)
	}
	return eachFolder(dirs, stderr, "svc", func(dir string, chdir error) {
		if chdir != nil {
			say(stderr, "svc: warning: unable to chdir to ", dir, ": ", words(chdir))
			return
		}
		fd, err := unix.Open("supervise/control", unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err == unix.ENXIO {
			say(stderr, "svc: warning: unable to control ", dir, ": supervise not running")
			return
		}
		if err != nil {
			say(stderr, "svc: warning: unable to control ", dir, ": ", words(err))
			return
		}
		defer unix.Close(fd)
		if err := send(fd, letters); err != nil {
			say(stderr, "svc: warning: error writing commands to ", dir, ": ", words(err))
		}
	})
}

// send writes all of what is sent, however slowly it is read.
func send(fd int, letters []byte) error {
	if err := unix.SetNonblock(fd, false); err != nil {
		return err
	}
	for len(letters) > 0 {
		n, err := unix.Write(fd, letters)
		if err != nil && err != unix.EINTR {
			return err
		}
		letters = letters[max(n, 0):]
	}
	return nil
}

// eachFolder enters each folder from where the program was started, and calls
// do, with the error if that was impossible.
func eachFolder(dirs []string, stderr io.Writer, name string, do func(dir string, chdir error)) int {
	home, err := unix.Open(".", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return fault(stderr, err, name, ": fatal: unable to open current directory: ")
	}
	defer unix.Close(home)
	for _, dir := range dirs {
		do(dir, unix.Chdir(dir))
		if err := unix.Fchdir(home); err != nil {
			return fault(stderr, err, name, ": fatal: unable to set directory: ")
		}
	}
	return 0
}

// svok says by its exit status whether supervise runs.
func svok(args []string, _ io.Reader, _, stderr io.Writer) int {
	if len(args) < 2 {
		return usage(stderr, "svok: usage: svok dir")
	}
	if err := os.Chdir(args[1]); err != nil {
		return fault(stderr, err, "svok: fatal: unable to chdir to ", args[1], ": ")
	}
	switch err := supervised(); err {
	case nil:
		return 0
	case unix.ENOENT, unix.ENXIO:
		return exitUsage
	default:
		return fault(stderr, err, "svok: fatal: unable to open ", args[1], "/supervise/ok: ")
	}
}

// supervised returns nil if somebody has supervise/ok open for reading, in the
// working folder.
func supervised() error {
	fd, err := unix.Open("supervise/ok", unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}
