//go:build unix && !linux

package daemontools

import "golang.org/x/sys/unix"

// adopt is Linux's: elsewhere there is no handle of a process that is no child.
func (s *service) adopt() bool { return false }

func birthOf(int) string { return "" }

func openFolder(dir string) (int, error) {
	return unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
}

func endOfPipe(_, _, _ int) (int, error) { return -1, unix.ENOSYS }
