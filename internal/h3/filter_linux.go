package h3

import (
	"net"

	"golang.org/x/sys/unix"
)

// refuseNew has the kernel drop the packets that begin a connection: their
// clients send them again, and find who has the socket by then. They are those
// with a long header whose connection id is not of our length: the first is
// the client's choice, and at least 8 bytes long (RFC 9000, section 7.2).
//
// The socket may be shared with the process that is to have it next, which calls
// takeNew.
func refuseNew(c *net.UDPConn) bool {
	const header = 8 // of UDP, which the filter sees too
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: header},
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: 0x80, Jf: 2}, // a short header: to the last but one
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: header + 5},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: idLength, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xffff},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}
	return control(c, func(fd int) error {
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	})
}

// takeNew undoes refuseNew.
func takeNew(c *net.UDPConn) {
	control(c, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0) })
}

func control(c *net.UDPConn, do func(fd int) error) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	if failed := raw.Control(func(fd uintptr) { err = do(int(fd)) }); failed != nil {
		return false
	}
	return err == nil
}
