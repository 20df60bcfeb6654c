//go:build linux && (amd64 || arm64) && !race

package gateway

// This file: the calls of a Socket.

import (
	"syscall"
	"unsafe"
)

func socketReceive(fd uintptr, b []byte) (int, syscall.Errno) {
	return transfer(syscall.SYS_RECVFROM, fd, b, syscall.MSG_DONTWAIT)
}

func socketSend(fd uintptr, b []byte) (int, syscall.Errno) {
	return transfer(syscall.SYS_SENDTO, fd, b, syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
}

// socketQuiet reports whether nothing has come, not even the end.
func socketQuiet(fd uintptr) bool {
	var one [1]byte
	_, errno := transfer(syscall.SYS_RECVFROM, fd, one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return errno == syscall.EAGAIN
}

// transfer is recvfrom or sendto, without an address.
func transfer(number uintptr, fd uintptr, b []byte, flags uintptr) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(number, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), flags, 0, 0)
		if errno != syscall.EINTR {
			return int(n), errno
		}
	}
}
