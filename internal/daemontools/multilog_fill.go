//go:build unix

package daemontools

import "golang.org/x/sys/unix"

// fill makes a file that is empty as long as it is to be, and leaves one that is.
func fill(file int, size int64) error {
	var st unix.Stat_t
	if err := unix.Fstat(file, &st); err != nil || st.Size == size {
		return err
	}
	zeros := make([]byte, 4096)
	for at := int64(0); at < size; at += int64(len(zeros)) {
		if _, err := unix.Pwrite(file, zeros, at); err != nil {
			return err
		}
	}
	return nil
}
