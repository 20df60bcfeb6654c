//go:build unix

package main

import (
	"os"
	"syscall"
)

// reopenSignal asks for the logs to be opened anew.
const reopenSignal = syscall.SIGUSR1

func ownedByUs(info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Getuid()
}
