//go:build unix && !openbsd

package daemontools

import "golang.org/x/sys/unix"

func limitAS() []int { return []int{unix.RLIMIT_AS} }
