//go:build !unix

package listen

import "io/fs"

func chmodMade(string, fs.FileInfo, fs.FileMode) error { return nil }
