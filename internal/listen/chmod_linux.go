package listen

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// chmodMade opens what the path names, looks at that, and changes that: who may
// write in the folder can put anything in its place at any moment. An O_PATH
// descriptor of a socket has no fchmod, hence the way by /proc; without /proc
// there is fchmodat2(2), of Linux 6.6.
func chmodMade(path string, made fs.FileInfo, mode fs.FileMode) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	now, err := f.Stat()
	if err != nil {
		return err
	}
	if !same(now, made) {
		return errReplaced(path)
	}
	if now.Mode().Perm() == mode.Perm() {
		return nil
	}
	err = os.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), mode.Perm())
	if errors.Is(err, fs.ErrNotExist) {
		err = unix.Fchmodat(fd, "", uint32(mode.Perm()), unix.AT_EMPTY_PATH)
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	if err != nil {
		return &fs.PathError{Op: "chmod", Path: path, Err: err}
	}
	return nil
}
