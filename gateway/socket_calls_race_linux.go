//go:build linux && (amd64 || arm64) && race

package gateway

// This file: the calls of a Socket for the race detector, which takes what
// happens before a write for what happens before the read of it at the other
// end, if both are package syscall's.

import "syscall"

func socketReceive(fd uintptr, b []byte) (int, syscall.Errno) { return repeat(syscall.Read, fd, b) }
func socketSend(fd uintptr, b []byte) (int, syscall.Errno)    { return repeat(syscall.Write, fd, b) }

// socketQuiet reports whether nothing has come, not even the end.
func socketQuiet(fd uintptr) bool {
	var one [1]byte
	_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return err == syscall.EAGAIN || err == syscall.EINTR
}

func repeat(call func(int, []byte) (int, error), fd uintptr, b []byte) (int, syscall.Errno) {
	for {
		n, err := call(int(fd), b)
		if err == syscall.EINTR {
			continue
		}
		errno, _ := err.(syscall.Errno) //nolint:errorlint // it is never wrapped
		return n, errno
	}
}
