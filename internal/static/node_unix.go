//go:build unix && !linux

package static

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// openFlags: a FIFO without a writer must not block, nor a terminal take us.
const openFlags = os.O_RDONLY | syscall.O_NONBLOCK | syscall.O_NOCTTY

// hidden says whether err means that there is nothing to be served at a name,
// rather than that something went wrong.
func hidden(err error) bool {
	for _, e := range []error{
		syscall.ENOTDIR,      // /file.txt/more
		syscall.ELOOP,        // links in a circle
		syscall.ENAMETOOLONG, // longer than any name here can be
		syscall.ENXIO,        // a socket, or a device without a driver
		syscall.ENODEV,
		syscall.EOPNOTSUPP, // a socket on the BSDs
		syscall.EINVAL,     // a name this filesystem cannot have
		syscall.EILSEQ,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return errors.Is(err, fs.ErrNotExist)
}
