package listen

import (
	"net"

	"golang.org/x/sys/unix"
)

// outQueue is how many bytes of a TCP connection the client's system has not
// acknowledged, sent or not (tcp(7), SIOCOUTQ). It costs a system call.
func outQueue(c net.Conn) (n int64, ok bool) {
	if q, isQuick := c.(*quickConn); isQuick {
		c = q.Conn
	}
	t, isTCP := c.(*net.TCPConn)
	if !isTCP {
		return 0, false
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return 0, false
	}
	var queued int
	if closed := raw.Control(func(fd uintptr) { queued, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }); closed != nil || err != nil {
		return 0, false
	}
	return int64(queued), true
}
