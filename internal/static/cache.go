package static

import (
	"errors"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// CacheOptions bounds a Cache. The zero value has the defaults.
type CacheOptions struct {
	// Files is how many files' metadata is kept, about 1 KiB each. Default
	// (0): 4096. Negative: nothing is kept at all.
	Files int
	// Bytes is what the contents of small files may take together. Default
	// (0): 16 MiB. Negative: no contents are kept.
	Bytes int64
	// Descriptors is how many files that nobody reads are kept open. Default
	// (0): 256. Negative: none.
	Descriptors int
	// Check is how long what was seen of a file is believed before it is
	// looked at again. Default (0): one second.
	Check time.Duration
}

// Cache keeps what Handlers know of their files, within the bounds of all of
// them together. It is safe for concurrent use; reading it takes no lock.
//
// A file is entered when it is first asked for, and its contents, if it is
// small, the second time. Whoever was not asked for since the clock's hand
// last passed leaves first.
type Cache struct {
	CacheOptions
	seed  maphash.Seed
	start time.Time
	table []atomic.Pointer[entry] // chained by entry.next; changed under mu
	race  time.Duration           // raceTime; another one in tests
	files files

	mu     sync.Mutex
	ring   []*entry // every entry, in the clock's order
	hand   int
	bytes  int64 // of contents
	closed bool
}

// NewCache makes an empty cache. Close it after its Handlers.
func NewCache(o CacheOptions) *Cache {
	set := func(n, standard int) int {
		if n == 0 {
			return standard
		}
		return max(n, 0)
	}
	o.Files, o.Descriptors = set(o.Files, 4096), set(o.Descriptors, 256)
	o.Bytes = int64(set(int(o.Bytes), 16<<20))
	if o.Check <= 0 {
		o.Check = time.Second
	}
	c := &Cache{CacheOptions: o, seed: maphash.MakeSeed(), start: time.Now(), race: raceTime}
	size := 1
	for size < o.Files {
		size *= 2
	}
	c.table = make([]atomic.Pointer[entry], size)
	c.files.max = o.Descriptors
	return c
}

// Close forgets everything, and closes the files that nobody reads.
func (c *Cache) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.forget(nil)
	c.files.close()
}

// now is the time on the cache's own clock, which only goes forward.
func (c *Cache) now() int64 { return int64(time.Since(c.start)) }

// get finds what a handler knows of a path.
func (c *Cache) get(owner *Handler, path string) *entry {
	sum := maphash.String(c.seed, path)
	for e := c.table[sum&uint64(len(c.table)-1)].Load(); e != nil; e = e.next.Load() {
		if e.sum == sum && e.owner == owner && e.path == path {
			if !e.used.Load() { // most often it is: no write to what others read
				e.used.Store(true)
			}
			return e
		}
	}
	return nil
}

// put enters e in place of what was known of its path.
func (c *Cache) put(e *entry) {
	if c.Files == 0 {
		return
	}
	e.sum = maphash.String(c.seed, e.path)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || e.owner.closed.Load() {
		return
	}
	bucket := &c.table[e.sum&uint64(len(c.table)-1)]
	for old := bucket.Load(); old != nil; old = old.next.Load() {
		if old.sum == e.sum && old.owner == e.owner && old.path == e.path {
			c.removeLocked(old)
			break
		}
	}
	for len(c.ring) >= c.Files {
		victim := c.ring[c.hand]
		if victim.used.Swap(false) {
			c.hand = (c.hand + 1) % len(c.ring)
			continue
		}
		c.removeLocked(victim)
	}
	e.slot = len(c.ring)
	c.ring = append(c.ring, e)
	e.next.Store(bucket.Load())
	bucket.Store(e)
	e.entered = true
}

// removeLocked takes e out. Who reads it goes on with what it has.
func (c *Cache) removeLocked(e *entry) {
	if !e.entered {
		return
	}
	e.entered = false
	link := &c.table[e.sum&uint64(len(c.table)-1)]
	for at := link.Load(); at != nil; at = link.Load() {
		if at == e {
			link.Store(e.next.Load()) // e.next stays, for who is at e just now
			break
		}
		link = &at.next
	}
	last := len(c.ring) - 1
	c.ring[e.slot] = c.ring[last]
	c.ring[e.slot].slot = e.slot
	c.ring[last] = nil
	c.ring = c.ring[:last]
	if c.hand >= last {
		c.hand = 0
	}
	for i := range e.reps {
		c.dropLocked(&e.reps[i])
		c.files.retire(&e.reps[i])
	}
}

// remove takes e out, if it is still in.
func (c *Cache) remove(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removeLocked(e)
}

// dropLocked gives a representation's contents back.
func (c *Cache) dropLocked(rep *representation) {
	if b := rep.body.Swap(nil); b != nil {
		c.bytes -= int64(len(*b))
	}
}

// keeps says whether contents of that size may be kept.
func (c *Cache) keeps(size int64) bool { return size <= smallFile && size <= c.Bytes }

// keep holds on to the contents of one of e's representations, if there is
// room or can be made: those leave whose files nobody asked for lately.
func (c *Cache) keep(e *entry, rep *representation, body []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !e.entered || rep.body.Load() != nil {
		return
	}
	for range 2 * len(c.ring) {
		if c.bytes+int64(len(body)) <= c.Bytes {
			break
		}
		victim := c.ring[c.hand]
		c.hand = (c.hand + 1) % len(c.ring)
		if victim != e && !victim.used.Swap(false) {
			for i := range victim.reps {
				c.dropLocked(&victim.reps[i])
			}
		}
	}
	if c.bytes+int64(len(body)) > c.Bytes {
		return
	}
	rep.body.Store(&body)
	c.bytes += int64(len(body))
}

// forget drops all that a handler knows; nil: all handlers.
func (c *Cache) forget(owner *Handler) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := len(c.ring) - 1; i >= 0; i-- { // what moves into i was looked at
		if owner == nil || c.ring[i].owner == owner {
			c.removeLocked(c.ring[i])
		}
	}
}

// entry is what is known of one path of one handler. What is not atomic and
// not said to be guarded never changes.
type entry struct {
	owner *Handler
	path  string // as in r.URL.Path, with single slashes
	sum   uint64
	next  atomic.Pointer[entry]
	used  atomic.Bool

	entered bool // guarded by the cache's mu
	slot    int  // guarded by the cache's mu

	generation uint64       // of the handler's roots, when it was made
	checked    atomic.Int64 // on the cache's clock: so long ago it was surely so
	racy       bool         // the files were so new that a further change may not show
	mu         sync.Mutex   // held by who looks at the files again

	reps         []representation // the file itself, then its encoded siblings
	offers       []string         // codings of reps[1:]
	cacheControl []string         // nil: none
}

// fresh says whether e needs no second look at now.
func (e *entry) fresh(now int64) bool {
	return now-e.checked.Load() < int64(e.owner.cache.Check) && e.generation == e.owner.generation.Load()
}

// errChanged says that a file is not any more what its entry says. Nothing has
// been answered yet, and the file is to be looked up anew.
var errChanged = errors.New("the file changed while it was being served")
