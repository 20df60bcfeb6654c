package pool

// What a worker asks for while it runs a request: the parts of it that its
// packet did not hold.

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
)

// replies are the buffers of what is sent to workers that asked.
var replies = sync.Pool{New: func() any { return new([]byte) }}

// reply gives the worker the parts of the request that its packet did not
// hold. Only this goroutine writes to the stream, and the worker is reading.
func (r *reader) reply(c *call) error {
	buf := replies.Get().(*[]byte)
	defer replies.Put(buf)
	b, files, err := r.replyTo(c, (*buf)[:0])
	*buf = b
	defer func() {
		for _, fd := range files {
			closeFD(fd)
		}
	}()
	if err != nil {
		return err
	}
	fds := files
	for len(b) > 0 {
		var n int
		var sendErr error
		err := r.ch.raw.Write(func(fd uintptr) bool {
			n, sendErr = sendWith(int(fd), b, fds...)
			return !wouldBlock(sendErr)
		})
		if err = errors.Join(err, sendErr); err != nil {
			return err
		}
		b, fds = b[n:], nil
	}
	return nil
}

// replyTo appends the reply to b, and makes descriptors of the files that go
// with it (the caller's, also with an error). It holds the lock, and copies: a
// time-out may give the call back to its handler at any moment.
func (r *reader) replyTo(c *call, b []byte) (_ []byte, files []int, err error) {
	p := r.ch.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(r.ch.held) == 0 || r.ch.held[0] != c || len(c.frame) == 0 {
		return b, nil, errTimeout // a stand-in has taken its place
	}
	flags := binary.LittleEndian.Uint32(c.frame[12:])
	var body []byte
	come := uint32(0)
	if flags&bodyByStream != 0 {
		body = c.bodyBytes()
	}
	if flags&bodyByFile != 0 {
		come |= replyBody
		if files, err = appendDescriptor(files, c.body.File()); err != nil {
			return b, files, err
		}
	}
	if flags&dataByFile != 0 && c.data.File() != nil {
		come |= replyData
		if files, err = appendDescriptor(files, c.data.File()); err != nil {
			return b, files, err
		}
	}
	b = slices.Grow(b, askHead+len(c.rest)+len(body))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(c.rest)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(body)))
	b = binary.LittleEndian.AppendUint32(b, come)
	return append(append(b, c.rest...), body...), files, nil
}

// appendDescriptor appends a duplicate of a file's descriptor, at the file's
// start.
func appendDescriptor(fds []int, f *os.File) ([]int, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fds, err
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return fds, err
	}
	duplicated, dupErr := -1, error(nil)
	err = conn.Control(func(fd uintptr) { duplicated, dupErr = duplicate(int(fd)) })
	if err = errors.Join(err, dupErr); err != nil {
		return fds, err
	}
	return append(fds, duplicated), nil
}
