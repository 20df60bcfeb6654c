//go:build !linux

package spool

import "os"

// creators are the ways to make a file on this system.
var creators = map[string]func(string) (*os.File, error){"unnamed": createUnnamed}
