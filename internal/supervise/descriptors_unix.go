//go:build unix

package supervise

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// markOneByOne marks the descriptors that a folder lists close-on-exec.
func markOneByOne(first int, folder string) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return // no /proc: this package's own are marked anyway
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd >= first {
			unix.CloseOnExec(fd)
		}
	}
}
