package h1client

import "sync"

const (
	// bufferSize is that of the buffers. Responses that fit one, head and body,
	// are had in one piece.
	bufferSize = 16 << 10
	// smallBody is up to which size a request's body leaves in one write with
	// the head.
	smallBody = 32 << 10
	// partSize is what is read of a larger one at a time.
	partSize = 32 << 10
)

// buffer is bytes that are used again.
type buffer struct{ b []byte }

var buffers = sync.Pool{New: func() any { return &buffer{make([]byte, bufferSize)} }}

func getBuffer() *buffer { return buffers.Get().(*buffer) }

// free gives the buffer to whoever comes next.
func (b *buffer) free() {
	if cap(b.b) == bufferSize {
		b.b = b.b[:bufferSize]
		buffers.Put(b)
	}
}
