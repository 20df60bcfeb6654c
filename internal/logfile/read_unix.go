//go:build unix

package logfile

import (
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// readFlags let a named pipe not hold us.
const readFlags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC | unix.O_NOCTTY

// read opens a file to read; careful: as root does, for whom a link, or a
// second name, could lead to a file that whoever made it may not read.
func read(path string, careful bool) (*os.File, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if careful {
		return readCarefully(path)
	}
	fd, err := unix.Open(path, readFlags, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return readable(path, fd, false)
}

func readCarefully(path string) (*os.File, error) {
	dir, name, own, err := walk(path)
	if err != nil {
		return nil, err
	}
	if own != nil {
		_ = own.Close()
		return nil, &Error{path, "it is no file", "name a file"}
	}
	defer func() { _ = unix.Close(dir) }()
	fd, err := unix.Openat(dir, name, readFlags|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return readable(path, fd, true)
}

// readable is a descriptor that was opened with readFlags, if it is of a file.
func readable(path string, fd int, careful bool) (*os.File, error) {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	switch {
	case err != nil:
		err = &fs.PathError{Op: "stat", Path: path, Err: err}
	case uint32(st.Mode)&unix.S_IFMT != unix.S_IFREG:
		err = &Error{path, "it is no file", "name a file"}
	case careful && st.Nlink > 1:
		err = &Error{path, "the file has other names, and may be another's", "remove the other hard links, or name another file"}
	default:
		return os.NewFile(uintptr(fd), path), nil
	}
	_ = unix.Close(fd)
	return nil, err
}
