//go:build unix

package listen

import (
	"io/fs"
	"syscall"
)

// setMode gives a socket that is not bound yet its mode; see unixListener.
func setMode(fd uintptr, mode fs.FileMode) { _ = syscall.Fchmod(int(fd), uint32(mode)) }
