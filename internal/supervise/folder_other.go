//go:build unix && !linux

package supervise

import (
	"os/user"
	"syscall"
)

// chooseOwned is choose with AsOwner, which is Linux's: it has descriptors of
// folders and files that may be entered and executed, and not read.
func (f *Folder) chooseOwned(string, *user.User, string) (*chosen, error) {
	return nil, refused("programs run as their owners on Linux alone")
}

func (c *chosen) run(path string, args, env []string) error { return syscall.Exec(path, args, env) }

func enterFolder(fd int) error { return syscall.Fchdir(fd) }
