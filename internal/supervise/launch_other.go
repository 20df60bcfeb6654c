//go:build unix && !linux

package supervise

import "os"

// lifelines says that this system has none.
const lifelines = false

func armLifeline(int) error { return nil }

func unblockSignals() {}

func hasAmbient() bool { return false }

func dropAmbient() error { return nil }

func closeOnExecFrom(first int) { markOneByOne(first, "/dev/fd") }

func ourselves() (string, error) { return os.Executable() }
