//go:build unix

package daemontools

import "golang.org/x/sys/unix"

// readFile reads a file, of which it takes so many bytes at most. It does not
// wait for who writes to a FIFO: whoever has a service's folder could hold up
// all that is supervised beside it.
func readFile(path string, most int) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var content []byte
	var b [4096]byte
	for len(content) < most {
		n, err := unix.Read(fd, b[:min(len(b), most-len(content))])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return nil, err
		case n == 0:
			return content, nil
		default:
			content = append(content, b[:n]...)
		}
	}
	return content, nil
}
