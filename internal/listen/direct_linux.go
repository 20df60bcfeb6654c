package listen

// This file: reads and writes of a connection without telling Go's scheduler.
//
// A system call in the ordinary way marks its processor as one that another
// thread may take over. On a machine whose cores are busy, and the workers see
// to that, the thread is often descheduled right then; the runtime's monitor
// takes the processor away, wakes a thread for it, and goes on looking every
// 20 µs: 10% of the front's time. A read or write of a socket that does not
// block is over within microseconds, so it is made like a computation.

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// quickConn is a connection whose Read and Write are direct. As with every
// connection of net/http, there is one reader and one writer at a time.
type quickConn struct {
	net.Conn
	in, out direct
	files   *sending // nil: none was sent
}

// quick returns c with direct reads and writes.
func quick(c net.Conn) net.Conn {
	s, ok := c.(syscall.Conn)
	if !ok {
		return c
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return c
	}
	q := &quickConn{Conn: c, in: direct{raw: raw, call: syscall.SYS_READ}, out: direct{raw: raw, call: syscall.SYS_WRITE}}
	q.in.step, q.out.step = q.in.once, q.out.once
	return q
}

func (q *quickConn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	q.in.bytes = b
	err := q.in.raw.Read(q.in.step)
	n, err := q.in.result(q, "read", err)
	if err == nil && n == 0 {
		err = io.EOF
	}
	return n, err
}

// readLate is Read into what l lends; nothing is lent while it waits.
func (q *quickConn) readLate(l lender) (int, error) {
	q.in.lender = l
	n, err := q.in.result(q, "read", q.in.raw.Read(q.in.step))
	q.in.lender = nil
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err != nil {
		l.TakeBack()
	}
	return n, err
}

func (q *quickConn) Write(b []byte) (int, error) {
	sent := 0
	for sent < len(b) {
		q.out.bytes = b[sent:]
		err := q.out.raw.Write(q.out.step)
		n, err := q.out.result(q, "write", err)
		sent += n
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// direct is one direction of a connection.
type direct struct {
	raw    syscall.RawConn
	call   uintptr // SYS_READ or SYS_WRITE
	step   func(fd uintptr) bool
	bytes  []byte
	lender lender // of bytes, for each try; nil: they are there
	more   bool   // is to be written at once, so these may wait for it (a socket of TCP)
	n      int
	errno  syscall.Errno
}

// once makes the call; false if the socket is not ready.
func (d *direct) once(fd uintptr) bool {
	if d.lender != nil {
		d.bytes = d.lender.Lend()
	}
	for {
		n, errno := d.invoke(fd)
		switch errno {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			if d.lender != nil {
				d.bytes = nil
				d.lender.TakeBack()
			}
			return false
		}
		d.n, d.errno = int(n), errno
		return true
	}
}

func (d *direct) invoke(fd uintptr) (uintptr, syscall.Errno) {
	at, size := uintptr(unsafe.Pointer(unsafe.SliceData(d.bytes))), uintptr(len(d.bytes))
	if d.more {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, at, size, unix.MSG_MORE, 0, 0)
		return n, errno
	}
	n, _, errno := syscall.RawSyscall(d.call, fd, at, size)
	return n, errno
}

// result is what the call gave; err is of waiting for it: a deadline, or a
// connection that was closed.
func (d *direct) result(c net.Conn, op string, err error) (int, error) {
	n, errno := d.n, d.errno
	d.bytes, d.n, d.errno = nil, 0, 0
	switch {
	case err != nil:
		return 0, err
	case errno != 0:
		return 0, &net.OpError{Op: op, Net: c.LocalAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(op, errno)}
	}
	return n, nil
}
