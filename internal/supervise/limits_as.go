//go:build unix && !openbsd

package supervise

import "golang.org/x/sys/unix"

func moreResources() map[string]int { return map[string]int{"as": unix.RLIMIT_AS} }
