//go:build unix

package pool

import "syscall"

// ownGroup puts a process in a group of its own, so that a Ctrl-C in the
// terminal reaches millrace alone.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
