//go:build unix

package supervise

// This file: the launcher, which is what a program is started through that
// runs as somebody else or within limits: this same binary, which changes
// itself step by step and then becomes the program. Package syscall, which
// starts everything else, knows a user and a root folder, but no umask, no
// limits and no lifeline; and what must happen between fork and exec cannot be
// written in Go.
//
// It costs 1.4 ms in a small program (BenchmarkStart: 2.0 ms against 0.6, on two
// cores), and up to 5 in the whole of millrace on a busy machine, which is why
// only those commands that need it get it.
//
// PR_SET_NO_NEW_PRIVS is not set: sudo and the setgid programs by which mail
// is sent are used by apps. A systemd unit may set it for all (NoNewPrivileges).

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// launcherName is the argv[0] of a launcher; argv[1] is the number of the
// socket that its instructions come over, and its report goes.
const launcherName = "millrace: launch"

// maxInstructions bounds what a launcher reads: Linux gives arguments and
// environment 6 MiB at most, and JSON makes a third more of them.
const maxInstructions = 32 << 20

// launching says that Launch was called: without it the program that is
// started as a launcher would do whatever it does.
var launching atomic.Bool

// Launch is to be called first of all in main, and in the TestMain of packages
// that start commands with rights. In a launcher it does not return.
// Descriptors beyond the third that the process was started with are not
// passed on to those that it starts, from here on.
func Launch() {
	if len(os.Args) != 2 || os.Args[0] != launcherName {
		launching.Store(true)
		closeOnExecFrom(3)
		return
	}
	fd, err := strconv.Atoi(os.Args[1])
	if err != nil || fd < 3 {
		os.Exit(2) // nobody of ours started this
	}
	unix.CloseOnExec(fd)
	wire := os.NewFile(uintptr(fd), "launch")
	var in instructions
	text, err := io.ReadAll(io.LimitReader(wire, maxInstructions))
	if err == nil {
		err = json.Unmarshal(text, &in)
	}
	if err != nil {
		err = &stepError{"instructions", err}
	} else {
		runtime.LockOSThread() // capabilities are a thread's, and those of the one that becomes the program count
		unblockSignals()
		err = in.become(fd)
	}
	report, _ := json.Marshal(failureOf(err)) // of strings and a number
	_, _ = wire.Write(report)                 // who started this is gone, or will see its end
	os.Exit(1)
}

// instructions are what a launcher is told. Byte strings are what JSON would
// change: names need not be UTF-8.
type instructions struct {
	Path   []byte
	Args   [][]byte
	Env    [][]byte
	Dir    []byte
	Rights Rights
	Chroot []byte // Rights' own is not used

	Folder  *Folder // nil: Path is the program
	Program []byte  // in Folder
	Owner   string  // too

	Files    int // descriptors from 0 on that are the program's
	Lifeline int // the descriptor that arms; -1: none
}

// stepError is what a launcher could not do.
type stepError struct {
	step string
	err  error
}

func (e *stepError) Error() string { return e.step + ": " + e.err.Error() }
func (e *stepError) Unwrap() error { return e.err }

// launchFailure is a stepError on its way.
type launchFailure struct {
	Step    string
	Errno   syscall.Errno // 0: Text says it
	Text    string
	Refused bool // it is a Refusal
}

func failureOf(err error) launchFailure {
	f := launchFailure{Text: err.Error(), Refused: errors.Is(err, ErrRefused)}
	var at *stepError
	if errors.As(err, &at) {
		f.Step, f.Text = at.step, at.err.Error()
		errors.As(at.err, &f.Errno)
	}
	return f
}

func (f *launchFailure) error() error {
	switch {
	case f.Refused:
		return &Refusal{f.Text}
	case f.Errno != 0:
		return &stepError{f.Step, f.Errno}
	case f.Text == exec.ErrNotFound.Error():
		return &stepError{f.Step, exec.ErrNotFound}
	}
	return &stepError{f.Step, errors.New(f.Text)}
}

// become makes this process the program. It returns if that failed. The
// order: what needs privilege, then who, then what is to be done as that user.
func (in *instructions) become(wire int) error {
	c := &chosen{folder: -1, file: -1}
	if in.Folder != nil {
		var err error
		if c, err = in.enter(); err != nil {
			return &stepError{"program", err}
		}
	}
	r := &in.Rights
	steps := []struct {
		name string
		do   func() error
	}{
		{"setrlimit", func() error { return raise(r.Limits) }},
		{"umask", func() error { setUmask(r.Umask); return nil }},
		{"lifeline", func() error { return armLifeline(in.Lifeline) }},
		{"chroot " + string(in.Chroot), func() error { return changeRoot(string(in.Chroot)) }},
		{"setgroups", func() error { return r.User.setGroups() }},
		{"setgid", func() error { return r.User.setGID() }},
		{"setuid", func() error { return r.User.setUID() }},
		{"ambient capabilities", dropAmbient},
		{"chdir " + string(in.Dir), func() error { return c.changeDir(string(in.Dir)) }},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			var named *stepError
			if errors.As(err, &named) {
				return named
			}
			return &stepError{s.name, err}
		}
	}
	path, err := lookUp(string(in.Path), strs(in.Env))
	if err != nil {
		return &stepError{"exec " + string(in.Path), err}
	}
	args, env := strs(in.Args), strs(in.Env)
	keep := in.Files
	if in.Lifeline >= 0 {
		keep = in.Lifeline + 1
	}
	closeOnExecFrom(keep)
	unix.CloseOnExec(wire)
	// The last thing: this process may need more than the program is to have.
	if err := bound(r.Limits); err != nil {
		return err
	}
	return &stepError{"exec " + path, c.run(path, args, env)}
}

func setUmask(mask *int) {
	if mask != nil {
		unix.Umask(*mask)
	}
}

func changeRoot(dir string) error {
	if dir == "" {
		return nil
	}
	if err := unix.Chroot(dir); err != nil {
		return err
	}
	return unix.Chdir("/")
}

func (c *chosen) changeDir(dir string) error {
	switch {
	case c.folder >= 0:
		return enterFolder(c.folder)
	case dir == "":
		return nil
	}
	return unix.Chdir(dir)
}

// Package syscall's calls, unlike package unix's, are for all threads.

func (u *User) setGroups() error {
	if u == nil {
		return nil
	}
	groups := make([]int, len(u.Groups))
	for i, g := range u.Groups {
		groups[i] = int(g)
	}
	return syscall.Setgroups(groups)
}

func (u *User) setGID() error {
	if u == nil {
		return nil
	}
	return syscall.Setgid(int(u.GID))
}

func (u *User) setUID() error {
	if u == nil {
		return nil
	}
	return syscall.Setuid(int(u.UID))
}

func strs(all [][]byte) []string {
	out := make([]string, len(all))
	for i, b := range all {
		out[i] = string(b)
	}
	return out
}

func byteses(all []string) [][]byte {
	out := make([][]byte, len(all))
	for i, s := range all {
		out[i] = []byte(s)
	}
	return out
}
