package spool

import (
	"errors"
	"os"
	"syscall"
)

// tmpfile is Linux's O_TMPFILE, which package syscall lacks. The value is the
// kernel's asm-generic one, which every architecture that Go has uses.
const tmpfile = 0x400000 | syscall.O_DIRECTORY

// createUnnamed uses O_TMPFILE: there is no name at any moment, so even
// SIGKILL leaves nothing behind. O_EXCL forbids giving it a name later.
func createUnnamed(dir string) (*os.File, error) {
	f, err := os.OpenFile(dir, os.O_RDWR|tmpfile|syscall.O_EXCL, 0o600)
	// Filesystems without it (NFS, some FUSE) say EOPNOTSUPP, and where the
	// flag itself is unknown it is an attempt to write to a folder: EISDIR.
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.EISDIR) || errors.Is(err, syscall.EINVAL) {
		return createAndRemove(dir)
	}
	return f, err
}
