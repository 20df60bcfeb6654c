package supervise

import "golang.org/x/sys/unix"

// waitExited returns true when a child has ended, and leaves it to be reaped.
func waitExited(pid int) bool {
	for {
		if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != unix.EINTR {
			return err == nil
		}
	}
}
