package encode

import (
	"container/list"
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Engine is what Policies share: encoders, and compressed files. It holds no
// goroutine and no descriptor, so that it needs no end.
type Engine struct {
	coders *coders

	limit atomic.Int64 // of size

	mu    sync.Mutex
	size  int64 // of all bodies
	files map[fileKey]*file
	order *list.List // of *file that are done, the one used last in front
}

// Defaults of an Engine.
const (
	DefaultMemory = 64 << 20
	DefaultCache  = 16 << 20
)

// maxFile is the size up to which a file is compressed in whole, and kept.
const maxFile = 1 << 20

// entryCost is what an entry takes beside its body.
const entryCost = 512

// NewEngine makes an Engine. memory is what the encoders of all streams may
// take together, cache what compressed files may, in bytes; 0: DefaultMemory,
// and no files are kept.
func NewEngine(memory, cache int64) *Engine {
	if memory == 0 {
		memory = DefaultMemory
	}
	e := &Engine{coders: newCoders(memory), files: map[fileKey]*file{}, order: list.New()}
	e.limit.Store(cache)
	return e
}

// SetCache changes what compressed files may take.
func (e *Engine) SetCache(limit int64) {
	e.limit.Store(limit)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.trimLocked()
}

// FileID is a file as it is now: whatever changes in it changes its times.
type FileID struct {
	Device, Inode     uint64
	Size              int64
	Modified, Changed int64 // Unix time in nanoseconds: of the content, and of anything
}

// OfFile says that the body which the handler will write is the whole of a
// file. Where nobody compresses, it does nothing. It must be called before the
// head is written. A zero id is of no file.
func OfFile(w http.ResponseWriter, id FileID) {
	for {
		switch t := w.(type) {
		case *writer:
			t.file = id
			return
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return
		}
	}
}

type fileKey struct {
	id FileID
	kind
}

// file is a compressed file, or one that is being compressed.
type file struct {
	key  fileKey
	done chan struct{} // closed when what follows is set
	body []byte
	fail bool // it could not be compressed

	// plain says that compression gains nothing.
	plain bool

	at *list.Element // nil: not kept
}

// settle is how long a file must have been left alone: one that is written to
// again within a tick of the file system's clock looks as it did before.
const settle = 50 * time.Millisecond

// settleCoarse is the same for a file system that knows whole seconds alone, or
// every second one.
const settleCoarse = 3 * time.Second

// keeps says whether compressed files like this one are kept.
func (e *Engine) keeps(id FileID, now time.Time) bool {
	if id.Inode == 0 || id.Size > maxFile || e.limit.Load() <= 0 {
		return false
	}
	since := settle
	if id.Changed%int64(time.Second) == 0 && id.Modified%int64(time.Second) == 0 {
		since = settleCoarse
	}
	return now.UnixNano()-max(id.Changed, id.Modified) > int64(since)
}

// get returns the compressed file, or an empty entry that the caller fills and
// gives to put. Another's that is being made is waited for; nil: that failed,
// or ctx ended.
func (e *Engine) get(ctx context.Context, key fileKey) (f *file, mine bool) {
	e.mu.Lock()
	f = e.files[key]
	if f == nil {
		f = &file{key: key, done: make(chan struct{})}
		e.files[key] = f
		e.mu.Unlock()
		return f, true
	}
	if f.at != nil {
		e.order.MoveToFront(f.at)
		e.mu.Unlock()
		return f, false
	}
	e.mu.Unlock()
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, false
	}
	if f.fail {
		return nil, false
	}
	return f, false
}

// put ends what get began.
func (e *Engine) put(f *file) {
	e.mu.Lock()
	defer e.mu.Unlock()
	close(f.done)
	cost := int64(len(f.body)) + entryCost
	if f.fail || cost > e.limit.Load() {
		delete(e.files, f.key)
		return
	}
	f.at = e.order.PushFront(f)
	e.size += cost
	e.trimLocked()
}

// has returns the compressed file if it is there by now.
func (e *Engine) has(key fileKey) *file {
	e.mu.Lock()
	defer e.mu.Unlock()
	if f := e.files[key]; f != nil && f.at != nil {
		return f
	}
	return nil
}

func (e *Engine) trimLocked() {
	for e.size > e.limit.Load() && e.order.Len() > 0 {
		f := e.order.Remove(e.order.Back()).(*file)
		e.size -= int64(len(f.body)) + entryCost
		delete(e.files, f.key)
	}
}
