//go:build unix && !linux

package supervise

// waitExited is Linux's. Elsewhere a signal may be sent in the moment between
// a child's reaping and the return of its Wait.
func waitExited(int) bool { return false }
