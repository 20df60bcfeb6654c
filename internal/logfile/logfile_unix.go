//go:build unix

package logfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// openFlags have a named pipe without a reader fail rather than wait.
const openFlags = unix.O_WRONLY | unix.O_APPEND | unix.O_CREAT | unix.O_NONBLOCK | unix.O_CLOEXEC | unix.O_NOCTTY

// open opens a log; careful: as root does.
func open(path string, careful bool) (*os.File, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if n, ok := streams[path]; ok {
		return stream(path, n)
	}
	if careful {
		return openCarefully(path)
	}
	fd, err := unix.Open(path, openFlags, mode)
	if err != nil {
		return nil, openError(path, err)
	}
	return checked(path, fd, false)
}

// streams are our own, by the names that people have for them. They are
// duplicated and not opened: a socket, as systemd's journal is, has no open,
// and a file would be written from its start again.
var streams = map[string]int{
	"/dev/stdout": 1, "/dev/fd/1": 1, "/proc/self/fd/1": 1,
	"/dev/stderr": 2, "/dev/fd/2": 2, "/proc/self/fd/2": 2,
}

func stream(path string, n int) (*os.File, error) {
	fd, err := unix.FcntlInt(uintptr(n), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// openError is of a last component that could not be opened.
func openError(path string, err error) error {
	if errors.Is(err, unix.ENXIO) {
		return errKind(path, "a named pipe or a socket")
	}
	return &fs.PathError{Op: "open", Path: path, Err: err}
}

func errKind(path, what string) error {
	return &Error{path, "it is " + what + ", and a log is a file", "name a file; a program that reads logs can be given /dev/stdout"}
}

// checked is a descriptor that was opened with openFlags, if it is of a log.
func checked(path string, fd int, careful bool) (*os.File, error) {
	f, err := func() (*os.File, error) {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return nil, &fs.PathError{Op: "stat", Path: path, Err: err}
		}
		switch kind := uint32(st.Mode) & unix.S_IFMT; {
		case kind == unix.S_IFREG && careful && st.Nlink > 1:
			return nil, &Error{path, "the file has other names, and may be another's", "remove the other hard links, or name another file"}
		case kind == unix.S_IFREG, kind == unix.S_IFCHR:
		case kind == unix.S_IFIFO && ours(&st):
		case kind == unix.S_IFIFO:
			return nil, errKind(path, "a named pipe")
		default:
			return nil, errKind(path, "no file")
		}
		if err := unix.SetNonblock(fd, false); err != nil {
			return nil, &fs.PathError{Op: "open", Path: path, Err: err}
		}
		return os.NewFile(uintptr(fd), path), nil
	}()
	if err != nil {
		_ = unix.Close(fd)
	}
	return f, err
}

// ours reports whether a pipe is our stdout or stderr, to which a symbolic link
// has led.
func ours(pipe *unix.Stat_t) bool {
	for n := 1; n <= 2; n++ {
		var st unix.Stat_t
		if unix.Fstat(n, &st) == nil && st.Dev == pipe.Dev && st.Ino == pipe.Ino {
			return true
		}
	}
	return false
}
