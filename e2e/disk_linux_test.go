package e2e

import (
	"os"
	"syscall"
	"testing"
)

// smallDisk makes dir a disk of 1 MiB until the test ends; false where that
// takes rights that the test has not.
func smallDisk(t *testing.T, dir string) bool {
	t.Helper()
	if os.Geteuid() != 0 || syscall.Mount("none", dir, "tmpfs", 0, "size=1m") != nil {
		return false
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return true
}
