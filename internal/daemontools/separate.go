//go:build unix

package daemontools

// This file: svscan --separate, which has a process supervise for each service
// and each log, as the original has.

import (
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// apart is a process supervise.
type apart struct {
	sc   *scanner
	path string // of its folder, from the root
	pid  int
}

// keepApart starts one. In its messages a log is "log", in the folder of its
// service.
func (sc *scanner) keepApart(k *keeper, name, log string, stdin, stdout int) bool {
	label, dir := name, name
	err := sc.enter()
	if log != "" {
		label, dir = name+"/"+log, log
		if err == nil {
			err = unix.Chdir(name)
		}
	}
	if err != nil {
		sc.warn(err, "unable to switch to ", name, ": ")
		return true
	}
	a := &apart{sc: sc, path: label}
	attr := &syscall.ProcAttr{Files: []uintptr{uintptr(stdin), uintptr(stdout), 2}}
	ended := func(syscall.WaitStatus) {
		*k = nil
		sc.changed()
	}
	start := func(path string) (err error) {
		a.pid, err = sc.e.spawn(path, []string{"supervise", dir}, attr, ended)
		return err
	}
	err = alongPath("supervise", start)
	if err == syscall.ENOENT { // there are no links: this binary is one, too
		if own, failed := self(); failed == nil {
			err = start(own)
		}
	}
	switch err {
	case nil:
		*k = a
		return true
	case syscall.EAGAIN, syscall.ENOMEM:
		sc.warn(err, "unable to fork for ", label, ": ")
		return false
	}
	sc.warn(err, "unable to start supervise ", label, ": ")
	return true
}

// command writes to supervise/control.
func (a *apart) command(letter byte) {
	fd, err := -1, a.sc.enter()
	if err == nil {
		fd, err = unix.Open(filepath.Join(a.path, "supervise/control"), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	}
	if err == nil {
		_, err = unix.Write(fd, []byte{letter})
		_ = unix.Close(fd)
	}
	if err != nil && letter == 'x' { // so that it ends whatever it says
		_ = unix.Kill(a.pid, unix.SIGTERM)
	}
}

// signal signals what runs, which the status names.
func (a *apart) signal(signals ...unix.Signal) {
	if a.sc.enter() != nil {
		return
	}
	text, err := readFile(filepath.Join(a.path, "supervise/status"), statusSize)
	if err != nil {
		return
	}
	if status, err := DecodeStatus(text); err == nil && status.PID > 1 && status.PID < 1<<30 {
		for _, sig := range signals {
			_ = unix.Kill(int(status.PID), sig)
		}
	}
}
