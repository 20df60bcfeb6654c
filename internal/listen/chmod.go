package listen

// This file: the mode of a Unix socket's file, and of no other.

import (
	"fmt"
	"io/fs"
	"os"
)

// ChmodSocket changes the mode of a Unix socket that this process made. It is
// an error, and nothing is changed, if what is at path by now is anything but
// made: a symbolic link, or another file, that the folder's owner has put there.
func ChmodSocket(path string, made fs.FileInfo, mode fs.FileMode) error {
	return chmodMade(path, made, mode)
}

func same(now, made fs.FileInfo) bool {
	return made != nil && now.Mode().Type() == fs.ModeSocket && os.SameFile(now, made)
}

func errReplaced(path string) error {
	return fmt.Errorf("%s is not the socket that was made there any more", path)
}
