//go:build !unix

package sendfile

import "os"

const openFlags = os.O_RDONLY
