//go:build unix && !solaris && !aix

package cache

import (
	"os"
	"syscall"
)

// lockFile locks a file for as long as it is open, or fails at once. The system
// unlocks it when the process is killed.
func lockFile(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
