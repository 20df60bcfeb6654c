//go:build unix

package sendfile

import (
	"os"
	"syscall"
)

// openFlags: a FIFO without a writer must not block, nor a terminal take us.
const openFlags = os.O_RDONLY | syscall.O_NONBLOCK | syscall.O_NOCTTY
