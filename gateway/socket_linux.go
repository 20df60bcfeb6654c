//go:build linux && (amd64 || arm64)

package gateway

// This file: reads and writes of a socket without telling Go's scheduler, as in
// package listen: a call that does not block is over within microseconds and
// is made like a computation.

import (
	"io"
	"net"
	"os"
	"syscall"
)

// Socket reads from a connection to a back end, and asks over it, with less work
// for Go's scheduler than the connection's own methods make. It is for one
// goroutine at a time; deadlines and Close are the connection's, and may come
// from any.
type Socket struct {
	nc  net.Conn
	raw syscall.RawConn

	readStep func(fd uintptr) bool
	askStep  func(fd uintptr) bool

	// Of the call that is made.
	in, out []byte
	look    bool
	begun   bool // out was written, or could not be
	stale   bool
	sent    int
	got     int
	errno   syscall.Errno // of the read
	failed  syscall.Errno // of the write
}

// NewSocket returns one for nc; nil: nc is not a socket of TCP or Unix, or the
// system is not Linux.
func NewSocket(nc net.Conn) *Socket {
	switch nc.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return nil
	}
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil
	}
	s := &Socket{nc: nc, raw: raw}
	s.readStep, s.askStep = s.readOnce, s.askOnce
	return s
}

// Read is the connection's.
func (s *Socket) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	s.in = b
	return s.result(s.raw.Read(s.readStep))
}

// Ask writes a request and reads the first bytes of what comes back into in,
// which may be out's own memory. With look it sees first, as Alive does, that
// the connection is at the end of a message: ErrStale says that it is not, and
// that nothing was written. Where sent is less than all of out, err is the
// write's.
func (s *Socket) Ask(out, in []byte, look bool) (sent, n int, err error) {
	s.out, s.in, s.look, s.begun, s.stale, s.sent, s.failed = out, in, look, false, false, 0, 0
	err = s.raw.Read(s.askStep)
	switch {
	case s.stale:
		err = ErrStale
	case !s.begun: // the deadline, or it is closed
	case s.failed == syscall.EAGAIN: // there was no room for all
		sent = s.sent
		s.in, s.out = nil, nil
		rest, err := s.nc.Write(out[sent:])
		if sent += rest; err != nil {
			return sent, 0, err
		}
		n, err = s.Read(in)
		return sent, n, err
	case s.failed != 0:
		err = s.failure("write", s.failed)
	default:
		sent = s.sent
		n, err = s.result(err)
		return sent, n, err
	}
	s.in, s.out = nil, nil
	return 0, 0, err
}

// result is what a read has come to; err is of waiting for it.
func (s *Socket) result(err error) (int, error) {
	n, errno := s.got, s.errno
	s.in, s.out, s.got, s.errno = nil, nil, 0, 0
	switch {
	case err != nil:
		return 0, err
	case errno != 0:
		return 0, s.failure("read", errno)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

func (s *Socket) failure(op string, errno syscall.Errno) error {
	return &net.OpError{Op: op, Net: s.nc.LocalAddr().Network(), Source: s.nc.LocalAddr(), Addr: s.nc.RemoteAddr(), Err: os.NewSyscallError(op, errno)}
}

// readOnce reads; false if nothing is there.
func (s *Socket) readOnce(fd uintptr) bool {
	n, errno := socketReceive(fd, s.in)
	if errno == syscall.EAGAIN {
		return false
	}
	s.got, s.errno = n, errno
	return true
}

// askOnce writes when it is called first, and reads when it is called again.
// The poller notes what comes from before the first call on, so that an answer
// that is quicker than the wait for it is not missed; and as no answer can be
// there before the request was sent, no read is tried in vain.
func (s *Socket) askOnce(fd uintptr) bool {
	if s.begun {
		return s.readOnce(fd)
	}
	s.begun = true
	if s.look {
		if !socketQuiet(fd) {
			s.stale = true
			return true
		}
	}
	n, errno := socketSend(fd, s.out)
	switch {
	case errno != 0:
		s.failed = errno
		return true
	case n < len(s.out):
		s.sent, s.failed = n, syscall.EAGAIN
		return true
	}
	s.sent = n
	return false
}
