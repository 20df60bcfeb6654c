//go:build unix

package logfile

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Rotate renames the log path to path.1, what was path.1 to path.2, and so on;
// what was path.KEEP is replaced. keep is at least 1. A log that is not there is
// no error. Root finds the folder as Open does, and renames within it alone.
func Rotate(path string, keep int) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	dir, name := unix.AT_FDCWD, path
	if os.Geteuid() == 0 {
		var own *os.File
		if dir, name, own, err = walk(path); err != nil {
			return err
		}
		if own != nil {
			own.Close()
			return errKind(path, "one of this program's streams")
		}
		defer func() { _ = unix.Close(dir) }()
	}
	for i := max(keep, 1); i > 0; i-- {
		from, to := name, name+"."+strconv.Itoa(i)
		if i > 1 {
			from = name + "." + strconv.Itoa(i-1)
		}
		if err := unix.Renameat(dir, from, dir, to); err != nil && !errors.Is(err, unix.ENOENT) {
			return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
		}
	}
	return nil
}
