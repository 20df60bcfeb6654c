//go:build !unix

package logfile

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
)

// Rotate renames the log path to path.1, what was path.1 to path.2, and so on;
// what was path.KEEP is replaced. keep is at least 1. A log that is not there is
// no error.
func Rotate(path string, keep int) error {
	for i := max(keep, 1); i > 0; i-- {
		from := path
		if i > 1 {
			from += "." + strconv.Itoa(i-1)
		}
		if err := os.Rename(from, path+"."+strconv.Itoa(i)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
