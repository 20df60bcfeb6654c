// Package logfile opens logs to append to, and rotates them.
//
// A log is a regular file, which is made if need be with mode 0640, or a
// character device as /dev/null. /dev/stdout and /dev/stderr, and what links to
// them, are this process's own streams, whatever those are. Anything else, as a
// named pipe, is an error at once: opening or writing it could wait for ever.
//
// Root writes where the configuration says, and not where an app's user would
// like it to: see root_unix.go. Read opens a file that may be root's alone with
// the same care, for a process that has fewer rights.
package logfile

import (
	"fmt"
	"os"
)

// Open opens the file path. An error says what to do by its method Hint.
func Open(path string) (*os.File, error) { return open(path, os.Geteuid() == 0) }

// Read opens the file path, which is a regular one, to be read.
func Read(path string) (*os.File, error) { return read(path, os.Geteuid() == 0) }

// mode is that of a log that is made.
const mode = 0o640

// Error says why a file cannot be opened as asked.
type Error struct {
	Path string
	Why  string
	Do   string
}

func (e *Error) Error() string { return fmt.Sprintf("cannot open %s: %s", e.Path, e.Why) }

// Hint says what to do.
func (e *Error) Hint() string { return e.Do }
