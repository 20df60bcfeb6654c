//go:build unix

package daemontools

// logging are those that write logs, and that change as what a program runs.
func logging() []Program {
	return []Program{}
}
