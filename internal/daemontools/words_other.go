//go:build unix && !linux

package daemontools

import "golang.org/x/sys/unix"

func moreErrnoWords() map[unix.Errno]string { return nil }
