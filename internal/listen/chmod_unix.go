//go:build unix && !linux

package listen

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// chmodMade never follows a symbolic link; between the look and the change
// another file of the folder's owner may come in the socket's place.
func chmodMade(path string, made fs.FileInfo, mode fs.FileMode) error {
	now, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !same(now, made) {
		return errReplaced(path)
	}
	if err := unix.Fchmodat(unix.AT_FDCWD, path, uint32(mode.Perm()), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &fs.PathError{Op: "chmod", Path: path, Err: err}
	}
	return nil
}
