package server

// This file: the pidfile, and whose it is.

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"millrace/internal/config"
)

// WritePID makes the pidfile of a configuration, with this process's id, in one
// step, so that nobody reads half of it. It replaces none but a pidfile that a
// process left behind.
func WritePID(c *config.Config) error {
	path := c.Server.PIDFile
	if path == "" {
		return nil
	}
	if err := claimPID(path, inherits(c)); err != nil {
		return err
	}
	fail := func(err error) error {
		return &Error{Problem: "cannot write the pidfile " + path, Err: cause(err), Fix: "check the folder and its rights"}
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fail(err)
	}
	_, err = fmt.Fprintln(f, os.Getpid())
	// Synced, as a crash of the machine must not leave an empty file: that is
	// no pidfile at the next start.
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fail(err)
	}
	return nil
}

// RemovePID removes the pidfile unless it is another process's by now.
func RemovePID(c *config.Config) error {
	path := c.Server.PIDFile
	if path == "" {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil || strings.TrimSpace(string(text)) != strconv.Itoa(os.Getpid()) {
		return nil
	}
	return os.Remove(path)
}

// inherits reports whether a web server opened an address. It may run several
// of us that share all arguments, and so the pidfile: it is the last one's.
func inherits(c *config.Config) bool {
	for _, app := range c.Apps {
		for _, l := range app.Listen {
			if strings.HasPrefix(l.Address, "fd:") {
				return true
			}
		}
	}
	return false
}

// maxPIDFile is more than any pidfile has, blanks and all.
const maxPIDFile = 4096

// claimPID is an error if there is something at path that must not be
// replaced: another file than a pidfile or, unless shared, the pidfile of a
// millrace that runs.
func claimPID(path string, shared bool) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	foreign := &Error{Problem: path + " is there and is no pidfile", Fix: "name another file as pidfile, or remove this one"}
	var text []byte
	switch {
	case err != nil:
	case !info.Mode().IsRegular() || info.Size() > maxPIDFile:
		return foreign
	default:
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return &Error{Problem: "cannot read the pidfile " + path, Err: cause(err), Fix: "check its rights, or remove it"}
	}
	text = bytes.TrimSpace(text)
	if len(text) == 0 || len(bytes.Trim(text, "0123456789")) > 0 {
		return foreign
	}
	pid, err := strconv.ParseInt(string(text), 10, 32)
	if err != nil || shared || !isMillrace(int(pid)) { // a number that is too large is no process's
		return nil
	}
	return &Error{
		Problem: fmt.Sprintf("pidfile %s belongs to the running pid %d", path, pid),
		Fix:     "stop it, or give this one a pidfile of its own",
	}
}

// isMillrace reports whether pid is another millrace that runs. On Linux it is
// if its program is called as ours; elsewhere any process that runs counts, as
// nothing cheap tells what it is. The parent is the command that waits for this
// daemon to serve; where process ids begin anew, as in a container, an old
// pidfile may well name it.
func isMillrace(pid int) bool {
	if pid <= 0 || pid == os.Getpid() || pid == os.Getppid() {
		return false
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	defer func() { _ = p.Release() }() // it only frees
	if err := p.Signal(syscall.Signal(0)); err != nil && !errors.Is(err, fs.ErrPermission) {
		return false
	}
	if runtime.GOOS != "linux" {
		return true
	}
	its, err := program(strconv.Itoa(pid))
	if errors.Is(err, fs.ErrPermission) { // another user's: its name anybody may read
		return sameName(pid)
	}
	ours, ourErr := program("self")
	return err == nil && ourErr == nil && its == ours
}

// program is the file name of what a process runs, also if that was replaced.
func program(pid string) (string, error) {
	link, err := os.Readlink("/proc/" + pid + "/exe")
	return filepath.Base(strings.TrimSuffix(link, " (deleted)")), err
}

// sameName reports whether a process has our name, as ps shows it.
func sameName(pid int) bool {
	its, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	ours, ourErr := os.ReadFile("/proc/self/comm")
	return err == nil && ourErr == nil && bytes.Equal(its, ours)
}
