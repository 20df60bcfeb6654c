package listen

// This file: files, by sendfile.
//
// Package net looks at each file first, and gives its processor away for the
// call. Here that is called as direct_linux.go says, where the end of the piece
// is in the page cache, so that it will not wait for a disk; and a head waits in
// the socket for the file that follows (MSG_MORE), so that a client is woken
// once.

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// WriteMore is Write for what ReadFrom's file follows at once.
func (c *tcpConn) WriteMore(b []byte) (int, error) {
	if quick, ok := c.plain.(*quickConn); ok {
		quick.out.more = true
		defer func() { quick.out.more = false }()
	}
	return c.Write(b)
}

// sendPiece sends until piece is used up or its source ends.
func (c *tcpConn) sendPiece(piece *io.LimitedReader) (n int64, err error) {
	file, ok := piece.R.(*os.File)
	quick, direct := c.plain.(*quickConn)
	if !ok || !direct {
		return c.sendAny(piece)
	}
	defer runtime.KeepAlive(file)
	out := quick.sending()
	out.begin(int(file.Fd()), piece.N)
	s := stall{last: time.Now()}
	c.guard.renew(c.TCPConn, s.last)
	for {
		sent, err := out.send(quick)
		n += sent
		piece.N -= sent
		if n == 0 && errors.Is(err, errors.ErrUnsupported) {
			return c.sendAny(piece)
		}
		if err == nil || !c.guard.again(c.TCPConn, err, sent, &s) {
			return n, err
		}
	}
}

// sending is the writing side of a connection for files.
type sending struct {
	step func(fd uintptr) bool

	file int
	left int64 // of the piece
	hot  bool  // its end is in the page cache

	sent  int64 // since send was called
	errno syscall.Errno
}

func (q *quickConn) sending() *sending {
	if q.files == nil {
		q.files = &sending{}
		q.files.step = q.files.once
	}
	return q.files
}

func (s *sending) begin(file int, piece int64) {
	s.file, s.left, s.hot = file, piece, piece > 0 && isCached(file, piece)
}

// isCached reports whether the last byte of a piece that begins at a file's
// position can be had at once.
func isCached(file int, piece int64) bool {
	at, err := unix.Seek(file, 0, io.SeekCurrent)
	if err != nil {
		return false
	}
	var b [1]byte
	n, err := unix.Preadv2(file, [][]byte{b[:]}, at+piece-1, unix.RWF_NOWAIT)
	return n == 1 && err == nil
}

// send goes on with the piece, and tells how much of it has gone. Without an
// error all has, or the file has ended.
func (s *sending) send(q *quickConn) (int64, error) {
	s.sent, s.errno = 0, 0
	err := q.out.raw.Write(s.step)
	if err == nil && s.errno != 0 {
		err = &net.OpError{Op: "write", Net: q.LocalAddr().Network(), Source: q.LocalAddr(), Addr: q.RemoteAddr(), Err: os.NewSyscallError("sendfile", s.errno)}
	}
	return s.sent, err
}

// once sends as much as the socket takes; false if it is not ready for more.
func (s *sending) once(fd uintptr) bool {
	for s.left > 0 {
		n, errno := s.sendfile(fd)
		switch {
		case errno == syscall.EINTR:
		case errno == syscall.EAGAIN:
			return false
		case errno != 0:
			s.errno = errno
			return true
		case n == 0:
			return true
		default:
			s.left -= int64(n)
			s.sent += int64(n)
		}
	}
	return true
}

func (s *sending) sendfile(fd uintptr) (uintptr, syscall.Errno) {
	if s.hot {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDFILE, fd, uintptr(s.file), 0, uintptr(s.left), 0, 0)
		return n, errno
	}
	n, _, errno := syscall.Syscall6(syscall.SYS_SENDFILE, fd, uintptr(s.file), 0, uintptr(s.left), 0, 0)
	return n, errno
}
