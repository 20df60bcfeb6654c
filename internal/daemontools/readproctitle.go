//go:build unix

package daemontools

import (
	"io"
	"os"
	"strings"
	"unsafe"
)

// readproctitleLeast is how short its last argument may be.
const readproctitleLeast = 5

// readproctitle shows the last of what it reads where ps shows a program's
// arguments.
func readproctitle(args []string, stdin io.Reader, _, _ io.Writer) int {
	if len(args) < 2 {
		return exitUsage
	}
	title := argument(args[len(args)-1])
	for i := range title {
		title[i] = '.'
	}
	if len(title) < readproctitleLeast {
		return exitUsage
	}
	var b [4096]byte
	for {
		n, err := stdin.Read(b[:])
		for _, c := range b[:n] {
			if c != 0 {
				copy(title[3:], title[4:])
				title[len(title)-1] = c
			}
		}
		if err == io.EOF {
			return 0
		}
		if err != nil {
			return exitFault
		}
	}
}

// argument is the memory of an argument of this process's, which ps shows: a
// string of os.Args is where the kernel has put it, and that may be written. Of
// any other string it is a copy.
func argument(s string) []byte {
	for _, own := range os.Args {
		if s != "" && unsafe.StringData(own) == unsafe.StringData(s) {
			return unsafe.Slice(unsafe.StringData(own), len(own))
		}
	}
	return []byte(strings.Clone(s))
}
