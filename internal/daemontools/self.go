//go:build unix

package daemontools

// This file: this binary, run once more by itself.

import (
	"io"
	"os"
	"runtime"
	"syscall"
)

// runName is the name by which this binary is run when a service's run cannot
// be. Its argument is the service.
const runName = "millrace: run"

// runScript becomes ./run. If it can't, it says so as the original's supervise
// does between fork and exec, where nothing of Go's can be run.
func runScript(args []string, _ io.Reader, _, stderr io.Writer) int {
	if len(args) != 2 {
		return exitUsage
	}
	err := execute("./run", []string{"./run"}, os.Environ())
	return fault(stderr, err, "supervise: fatal: unable to start ", args[1], "/run: ")
}

// self is the path of this binary.
func self() (string, error) {
	const path = "/proc/self/exe" // even if its name is another's by now
	if runtime.GOOS == "linux" {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return os.Executable()
}

// spawnSelf starts this binary by another name.
func (e *engine) spawnSelf(name string, args []string, attr *syscall.ProcAttr, ended func(syscall.WaitStatus)) (int, error) {
	path, err := self()
	if err != nil {
		return 0, err
	}
	return e.spawn(path, append([]string{name}, args...), attr, ended)
}
