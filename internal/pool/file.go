package pool

// Bodies that are files: the worker sends a descriptor with the answer
// (wsgi.file_wrapper), and the front sends the file's bytes.
//
// The worker may be hostile and have fewer rights than the front, so only what
// the descriptor itself allows is done with it.

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// fileBody is a body that is a file.
type fileBody struct {
	file         *os.File
	offset, size int64
	shared       bool // the app's process moves the file's own offset too
}

// newFileBody takes a worker's descriptor over, also with an error: one of a
// regular file, open for reading.
func newFileBody(fd int, offset, size int64) (*fileBody, error) {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	var info unix.Stat_t
	if err == nil {
		err = unix.Fstat(fd, &info)
	}
	switch {
	case err != nil:
	case flags&pathOnly != 0 || flags&unix.O_ACCMODE == unix.O_WRONLY:
		err = fmt.Errorf("%w: a file's answer with a descriptor that does not read", errFrame)
	case info.Mode&unix.S_IFMT != unix.S_IFREG:
		err = fmt.Errorf("%w: a file's answer with a descriptor of another kind", errFrame)
	}
	if err != nil {
		closeFD(fd)
		return nil, err
	}
	if own := reopen(fd); own != nil {
		closeFD(fd)
		return &fileBody{file: own, offset: offset, size: size}, nil
	}
	return &fileBody{file: os.NewFile(uintptr(fd), "wsgi.file_wrapper"), offset: offset, size: size, shared: true}, nil
}

// reader returns the first n bytes of the body. Those of a file with an offset
// of its own come in a shape that sendfile takes.
func (b *fileBody) reader(n int64) (io.Reader, error) {
	if b.shared {
		return io.NewSectionReader(b.file, b.offset, n), nil
	}
	if _, err := b.file.Seek(b.offset, io.SeekStart); err != nil {
		return nil, err
	}
	return io.LimitReader(b.file, n), nil
}

func (b *fileBody) close() { b.file.Close() }
