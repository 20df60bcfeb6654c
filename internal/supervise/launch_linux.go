package supervise

// This file: what only Linux has of a launcher's steps.

import (
	"errors"

	"golang.org/x/sys/unix"
)

// lifelines says that this system has them.
const lifelines = true

// unblockSignals has this thread take all signals: a keeper that executed
// another program in its place left it with some that are blocked.
func unblockSignals() {
	var none unix.Sigset_t
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &none, nil)
}

// armLifeline has the kernel send SIGKILL to this process's group, which
// Local.Start made its own, when the last writer of the pipe fd is gone. Exec
// keeps that: it is the open pipe's, and the number of the process. Whose right
// to signal counts is who armed it, so that what the program starts with more
// rights dies as well.
func armLifeline(fd int) error {
	if fd < 0 {
		return nil
	}
	pid := unix.Getpid()
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	for _, set := range []struct{ cmd, arg int }{
		{unix.F_SETOWN, -pid}, {unix.F_SETSIG, int(unix.SIGKILL)}, {unix.F_SETFL, flags | unix.O_ASYNC},
	} {
		if err == nil {
			_, err = unix.FcntlInt(uintptr(fd), set.cmd, set.arg)
		}
	}
	if err != nil {
		return err
	}
	polled := []unix.PollFd{{Fd: int32(fd)}}
	if n, err := unix.Poll(polled, 0); err == nil && n > 0 { // it ended before it was armed
		return unix.Kill(pid, unix.SIGKILL)
	}
	return nil
}

// hasAmbient reports whether this thread has ambient capabilities, as all of
// this process's have that were not changed one by one: an exec would give them
// to the program.
func hasAmbient() bool {
	for c := range uintptr(64) {
		switch set, err := unix.PrctlRetInt(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_IS_SET, c, 0, 0); {
		case err != nil:
			return false // c is more than the last that there is
		case set != 0:
			return true
		}
	}
	return false
}

func dropAmbient() error {
	err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	if errors.Is(err, unix.EINVAL) {
		return nil // before Linux 4.3, which has none
	}
	return err
}

// closeOnExecFrom marks all descriptors from the first on.
func closeOnExecFrom(first int) {
	if unix.CloseRange(uint(first), ^uint(0)>>32, unix.CLOSE_RANGE_CLOEXEC) != nil { // before Linux 5.11
		markOneByOne(first, "/proc/self/fd")
	}
}

// ourselves is the program that this process runs, also when its file has been
// replaced: another version's launcher would not know our instructions.
func ourselves() (string, error) { return "/proc/self/exe", nil }
