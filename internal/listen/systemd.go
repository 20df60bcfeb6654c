package listen

import (
	"errors"
	"strconv"
)

// passed listens on a socket that systemd opened: it is shared with it, and
// stays open for the next process when this one ends.
func (l *socket) passed(name string, find func(name string) (int, error)) error {
	err := errors.New("systemd passed no sockets")
	fd := 0
	if find != nil {
		fd, err = find(name)
	}
	if err != nil {
		return &Error{Address: l.address, Err: err, Do: "start millrace by a socket unit of systemd, with FileDescriptorName=" + name + " in it, or give an address"}
	}
	return l.inherit(strconv.Itoa(fd))
}

// opened listens on the socket that systemd has opened for an address, if there
// is one: nobody else could.
func (l *socket) opened(address string, find func(name string) (int, error)) bool {
	if find == nil {
		return false
	}
	fd, err := find(address)
	if err != nil || l.inherit(strconv.Itoa(fd)) != nil {
		return false
	}
	l.shared = true
	return true
}
