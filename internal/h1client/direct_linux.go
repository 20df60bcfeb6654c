//go:build linux && (amd64 || arm64)

package h1client

// This file: reads and writes of a socket without telling Go's scheduler, as in
// package listen: a call that does not block is over within microseconds and
// is made like a computation.

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// direct is a socket's.
type direct struct {
	nc  net.Conn
	raw syscall.RawConn

	// Of the call that is made.
	step      func(fd uintptr) bool
	talkStep  func(fd uintptr) bool
	in, out   []byte
	look      bool
	begun     bool // out was written
	stale     bool
	short     bool
	n         int
	errno     syscall.Errno
	writeFail bool
}

func newDirect(nc net.Conn) *direct {
	switch nc.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return nil
	}
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil
	}
	d := &direct{nc: nc, raw: raw}
	d.step, d.talkStep = d.readOnce, d.talkOnce
	return d
}

func (d *direct) read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	d.in = b
	err := d.raw.Read(d.step)
	return d.result(err)
}

// result is what a read has come to; err is of waiting for it.
func (d *direct) result(err error) (int, error) {
	n, errno := d.n, d.errno
	d.in, d.out, d.n, d.errno = nil, nil, 0, 0
	switch {
	case err != nil:
		return 0, err
	case errno != 0:
		return 0, d.failed("read", errno)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

func (d *direct) failed(op string, errno syscall.Errno) error {
	return &net.OpError{Op: op, Net: d.nc.LocalAddr().Network(), Source: d.nc.LocalAddr(), Addr: d.nc.RemoteAddr(), Err: os.NewSyscallError(op, errno)}
}

// readOnce reads; false if nothing is there.
func (d *direct) readOnce(fd uintptr) bool {
	n, errno := call(syscall.SYS_RECVFROM, fd, d.in, syscall.MSG_DONTWAIT)
	if errno == syscall.EAGAIN {
		return false
	}
	d.n, d.errno = n, errno
	return true
}

// call is recvfrom or sendto, without an address.
func call(number uintptr, fd uintptr, b []byte, flags uintptr) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(number, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), flags, 0, 0)
		if errno != syscall.EINTR {
			return int(n), errno
		}
	}
}

// talk is conn.talk.
func (d *direct) talk(out, in []byte, look bool) (n int, err error) {
	d.out, d.in, d.look, d.begun, d.stale, d.short, d.writeFail = out, in, look, false, false, false, false
	err = d.raw.Read(d.talkStep)
	switch {
	case d.stale:
		d.in, d.out = nil, nil
		return 0, errStale
	case err != nil && !d.begun: // the deadline, or it is closed
		d.in, d.out = nil, nil
		return 0, err
	case d.writeFail:
		errno := d.errno
		d.in, d.out, d.errno = nil, nil, 0
		return 0, d.failed("write", errno)
	case d.short: // there was no room for all
		sent := d.n
		d.in, d.out, d.n = nil, nil, 0
		if _, err := d.nc.Write(out[sent:]); err != nil {
			return 0, err
		}
		return d.read(in)
	}
	return d.result(err)
}

// talkOnce writes when it is called first, and reads when it is called again.
// The poller notes what comes from before the first call on, so that an answer
// that is quicker than the wait for it is not missed; and as no answer can be
// there before the request was sent, no read is tried in vain.
func (d *direct) talkOnce(fd uintptr) bool {
	if d.begun {
		return d.readOnce(fd)
	}
	d.begun = true
	if d.look {
		var one [1]byte
		if _, errno := call(syscall.SYS_RECVFROM, fd, one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT); errno != syscall.EAGAIN {
			d.stale = true
			return true
		}
	}
	n, errno := call(syscall.SYS_SENDTO, fd, d.out, syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
	switch {
	case errno == syscall.EAGAIN:
		d.short, d.n = true, 0
		return true
	case errno != 0:
		d.writeFail, d.errno = true, errno
		return true
	case n < len(d.out):
		d.short, d.n = true, n
		return true
	}
	return false
}
