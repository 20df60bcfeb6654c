//go:build unix && !linux

package daemontools

import (
	"crypto/sha256"

	"golang.org/x/sys/unix"
)

func reserve(file int, size int64) error { return fill(file, size) }

// bootID is which start of the machine this is.
func bootID() (id [16]byte) {
	when, err := unix.SysctlRaw("kern.boottime")
	if err != nil {
		return id
	}
	sum := sha256.Sum256(when)
	copy(id[:], sum[:])
	return id
}
