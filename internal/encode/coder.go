package encode

import (
	"io"
	"runtime"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Window sizes. A text page is smaller; larger windows cost memory for each
// stream, and the client's as well.
const (
	brotliWindow = 18      // 256 KiB
	zstdWindow   = 1 << 18 // the same
)

// Default levels: about what each gives for about the same time.
const (
	DefaultGzipLevel   = 5
	DefaultBrotliLevel = 5
	DefaultZstdLevel   = 3
)

// coder is an encoder of one coding, to be used again and again.
type coder interface {
	io.WriteCloser
	Flush() error
	Reset(io.Writer)
}

var (
	_ coder = (*gzip.Writer)(nil)
	_ coder = (*brotli.Writer)(nil)
	_ coder = (*zstd.Encoder)(nil)
)

// kind is a coding with its level.
type kind struct {
	coding string
	level  int
}

// make makes a coder. Levels that a library has not are its nearest.
func (k kind) make() coder {
	switch k.coding {
	case Brotli:
		return brotli.NewWriterOptions(io.Discard, brotli.WriterOptions{Quality: min(max(k.level, 0), 11), LGWin: brotliWindow})
	case Zstd:
		z, err := zstd.NewWriter(nil,
			zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(k.level)),
			zstd.WithEncoderConcurrency(1), // no goroutines that would outlive a request
			zstd.WithWindowSize(zstdWindow),
			zstd.WithLowerEncoderMem(true))
		if err == nil {
			return z
		}
	}
	g, err := gzip.NewWriterLevel(io.Discard, min(max(k.level, 1), 9))
	if err != nil { // not with these levels
		g = gzip.NewWriter(io.Discard)
	}
	return g
}

// memory is what a coder takes, by measurement, rounded up.
func (k kind) memory() int64 {
	const mib = 1 << 20
	switch {
	case k.coding == Brotli && k.level >= 7:
		return 36 * mib
	case k.coding == Brotli && k.level == 6:
		return 4 * mib
	case k.coding == Brotli && k.level == 5:
		return 3 * mib
	case k.coding == Brotli:
		return 2 * mib
	case k.coding == Zstd && k.level >= 6:
		return 6 * mib
	case k.coding == Zstd && k.level >= 3:
		return 2 * mib
	}
	return mib + mib/2
}

// coders lends coders of all kinds.
type coders struct {
	places chan struct{} // holds a token for each whole body that is being compressed

	mu    sync.Mutex
	left  int64 // of the memory for streams
	pools map[kind]*sync.Pool
}

func newCoders(memory int64) *coders {
	return &coders{places: make(chan struct{}, 2*runtime.GOMAXPROCS(0)), left: memory, pools: map[kind]*sync.Pool{}}
}

func (c *coders) pool(k kind) *sync.Pool {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pools[k]
	if p == nil {
		p = &sync.Pool{New: func() any { return k.make() }}
		c.pools[k] = p
	}
	return p
}

// reserve takes the memory of a stream, if it is there.
func (c *coders) reserve(k kind) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	need := k.memory()
	if c.left < need {
		return false
	}
	c.left -= need
	return true
}

func (c *coders) giveBack(k kind) {
	c.mu.Lock()
	c.left += k.memory()
	c.mu.Unlock()
}

// whole compresses what from gives to out, in one of the places. from must not
// wait for a client.
func (c *coders) whole(p *sync.Pool, out io.Writer, from func(io.Writer) error) error {
	c.places <- struct{}{}
	defer func() { <-c.places }()
	enc := p.Get().(coder)
	enc.Reset(out)
	err := from(enc)
	if err == nil {
		err = enc.Close()
	}
	enc.Reset(io.Discard) // it must not hold on to out
	p.Put(enc)
	return err
}
