//go:build unix

package spool

import "os"

// createAndRemove makes a file with a name and takes the name away at once.
func createAndRemove(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "millrace-spool-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close() // the error that counts is the name that stays
		return nil, err
	}
	return f, nil
}
