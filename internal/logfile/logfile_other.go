//go:build !unix

package logfile

import "os"

func open(path string, _ bool) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, mode)
}

func read(path string, _ bool) (*os.File, error) { return os.Open(path) }
