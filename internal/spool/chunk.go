package spool

import "sync"

// Memory comes in a few sizes, each with a pool of its own, so that a small
// body does not hold a large piece and a freed piece always fits the next use.
const (
	smallest = 4 << 10
	ioPiece  = 64 << 10 // one read or write of a file
)

// chunk is a piece of pooled memory. The pools hold pointers to chunks, as a
// slice in an interface would be allocated on each Put.
type chunk struct {
	b    []byte
	pool *sync.Pool // where it goes back to; nil: nowhere
}

// chunkPools hold chunks of smallest bytes, four times that, and so on to 1 MiB.
// What is larger is left to the garbage collector.
var chunkPools [5]sync.Pool

// newChunk returns a chunk of n bytes or more.
func newChunk(n int) *chunk {
	size := smallest
	for i := range chunkPools {
		if n <= size {
			pool := &chunkPools[i]
			if c, ok := pool.Get().(*chunk); ok {
				return c
			}
			return &chunk{b: make([]byte, size), pool: pool}
		}
		size *= 4
	}
	return &chunk{b: make([]byte, n)}
}

// free gives c back; nobody may use it, or a slice of it, afterwards.
func (c *chunk) free() {
	if c.pool != nil {
		c.pool.Put(c)
	}
}
