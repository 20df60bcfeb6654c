package h1

// This file: the buffers, which belong to a connection only while it has
// something in them.

import "sync"

const (
	smallBuffer  = 4 << 10  // a head with its few hundred bytes, or a small response
	mediumBuffer = 32 << 10 // a response of some length, or what passes through
	largeBuffer  = 64 << 10 // a response that leaves in one system call
)

// buffer is a piece of memory that goes back to where it came from.
type buffer struct {
	b    []byte
	pool *sync.Pool // nil: it was made for one large head
}

func (b *buffer) release() {
	if b != nil && b.pool != nil {
		b.pool.Put(b)
	}
}

// buffers are a Server's.
type buffers struct {
	small, medium, large sync.Pool
	scanners             sync.Pool
}

func get(pool *sync.Pool, size int) *buffer {
	if b, ok := pool.Get().(*buffer); ok {
		return b
	}
	return &buffer{make([]byte, size), pool}
}

func (p *buffers) getSmall() *buffer  { return get(&p.small, smallBuffer) }
func (p *buffers) getMedium() *buffer { return get(&p.medium, mediumBuffer) }

// getFor returns one of at least size bytes.
func (p *buffers) getFor(size int) *buffer {
	switch {
	case size <= smallBuffer:
		return p.getSmall()
	case size <= mediumBuffer:
		return p.getMedium()
	case size <= largeBuffer:
		return get(&p.large, largeBuffer)
	}
	return &buffer{b: make([]byte, size)}
}

func (p *buffers) getScanner() *scanner {
	if s, ok := p.scanners.Get().(*scanner); ok {
		return s
	}
	return &scanner{lines: make([]int, 0, 32)}
}
