//go:build unix && !linux

package keeper

import (
	"os"
	"os/signal"
	"syscall"
)

// nameless is a file without a name.
func nameless() (*os.File, error) {
	f, err := os.CreateTemp("", "millrace-state-")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}

// blockSignals has those that only ask for something ignored until the next
// program listens to them: they would end it before. undo is for when it comes
// to nothing.
func blockSignals() (undo func()) {
	signal.Ignore(syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	return func() {}
}
