package pool

import (
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// pathOnly is the flag of a descriptor that names a file and gives no right to
// read it: open(2) with O_PATH needs none.
const pathOnly = unix.O_PATH

// plainSystems are file systems whose files give the same bytes to whoever has
// them open. In /proc, /sys and their like, and on some remote systems, it
// matters who opened.
var plainSystems = []uint32{
	unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC,
	unix.OVERLAYFS_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.RAMFS_MAGIC, unix.SQUASHFS_MAGIC, unix.EROFS_SUPER_MAGIC_V1,
	zfsMagic,
}

const zfsMagic = 0x2fc12fc1

// reopen opens the file of a descriptor that reads, for an offset of its own;
// nil: it must not, or cannot. It opens with our rights, which is harmless
// where they give no more than the descriptor does.
func reopen(fd int) *os.File {
	var system unix.Statfs_t
	if err := unix.Fstatfs(fd, &system); err != nil || !slices.Contains(plainSystems, uint32(system.Type)) {
		return nil
	}
	// O_NONBLOCK: a lease that the worker holds on the file would delay us.
	f, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fd), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	return f
}
