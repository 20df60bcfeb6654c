package spool

import (
	"crypto/rand"
	"os"
	"path/filepath"
)

// deleteOnClose is FILE_FLAG_DELETE_ON_CLOSE, which os.OpenFile passes on.
const deleteOnClose = 0x04000000

// createUnnamed makes a file that Windows itself removes with its last handle,
// also when the process is killed. (An open file cannot be removed by name.)
func createUnnamed(dir string) (*os.File, error) {
	name := filepath.Join(dir, "millrace-spool-"+rand.Text())
	return os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL|deleteOnClose, 0o600)
}
