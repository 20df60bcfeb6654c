//go:build !unix

package listen

import "io/fs"

// setMode does nothing: a socket's file has no mode of its own here.
func setMode(uintptr, fs.FileMode) {}
