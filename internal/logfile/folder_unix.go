//go:build unix && !linux

package logfile

import "golang.org/x/sys/unix"

// folderFlags open a folder to go on from.
const folderFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC
