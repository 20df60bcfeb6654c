package keeper

import (
	"os"
	"os/signal"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// nameless is a file in memory: a state holds secrets.
func nameless() (*os.File, error) {
	fd, err := unix.MemfdCreate("millrace state", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	return os.NewFile(uintptr(fd), "state"), nil
}

// blockSignals keeps signals from ending the next program before it listens to
// them. The Go runtime takes SIGTERM and SIGINT as soon as it runs, whatever is
// blocked: then the keeper ends, and the fronts answer what they have and end,
// which is what was asked for. A SIGHUP that comes in these milliseconds is
// ignored: the configuration is read anew by the upgrade itself. SIGUSR1 and
// SIGUSR2 wait. undo is for when it comes to nothing.
//
// Processes that the new program starts would have them blocked as well; the
// launcher of package supervise, which starts all but fronts, undoes it.
func blockSignals() (undo func()) {
	signal.Ignore(unix.SIGHUP)
	runtime.LockOSThread()
	var set, old unix.Sigset_t
	for _, s := range []unix.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2} {
		bits := uint(8 * unsafe.Sizeof(set.Val[0]))
		set.Val[uint(s-1)/bits] |= 1 << (uint(s-1) % bits)
	}
	_ = unix.PthreadSigmask(unix.SIG_BLOCK, &set, &old) // fails on wrong arguments alone
	return func() {
		_ = unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil)
		runtime.UnlockOSThread()
	}
}
