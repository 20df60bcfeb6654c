package systemd

import (
	"time"

	"golang.org/x/sys/unix"
)

// monotonic is the clock by which systemd tells what it was told before it
// asked for a reload from what it was told since.
func monotonic() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0
	}
	return time.Duration(now.Nano())
}
