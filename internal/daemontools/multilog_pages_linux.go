package daemontools

import (
	"encoding/hex"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// reserve has the file system keep room for a file.
func reserve(file int, size int64) error {
	err := unix.Fallocate(file, 0, 0, size)
	if err == unix.EOPNOTSUPP {
		return fill(file, size)
	}
	return err
}

// bootID is which start of the machine this is.
func bootID() (id [16]byte) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return id
	}
	b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(string(text)), "-", ""))
	if err == nil {
		copy(id[:], b)
	}
	return id
}
