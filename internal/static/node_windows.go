package static

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

const openFlags = os.O_RDONLY

// hidden says whether err means that there is nothing to be served at a name,
// rather than that something went wrong.
func hidden(err error) bool {
	const invalidName = syscall.Errno(123) // ERROR_INVALID_NAME
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, invalidName)
}
