package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Config bounds what a Cache holds. The zero value holds nothing.
type Config struct {
	Memory      int64  // bytes of responses in memory, heads and all; 0: none is kept there
	MemoryEntry int64  // the longest body in memory, in bytes; a longer one is on disk alone. Default: 1 MiB, at most an eighth of Memory
	Folder      string // of responses on disk; empty: there are none. It is made
	Disk        int64  // bytes of files in Folder; default: 1 GiB
	MaxEntry    int64  // the longest body that is stored, in bytes; default: 128 MiB, at most half of Disk
}

// Defaults of a Config.
const (
	DefaultMemory      = 64 << 20
	DefaultMemoryEntry = 1 << 20
	DefaultDisk        = 1 << 30
	DefaultMaxEntry    = 128 << 20
)

func (c *Config) defaults() {
	if c.MemoryEntry <= 0 {
		c.MemoryEntry = DefaultMemoryEntry
	}
	c.MemoryEntry = min(c.MemoryEntry, c.Memory/8)
	if c.Folder == "" {
		c.Disk = 0
	} else if c.Disk <= 0 {
		c.Disk = DefaultDisk
	}
	if c.MaxEntry <= 0 {
		c.MaxEntry = DefaultMaxEntry
	}
	c.MaxEntry = min(c.MaxEntry, max(c.Disk/2, c.MemoryEntry))
}

// Cache is what Handlers share: the stored responses, and the fetches under
// way. It is safe for concurrent use. Close it after use.
type Cache struct {
	log *slog.Logger
	now func() time.Time

	ctx     context.Context // of fetches: done when the cache is closed
	cancel  context.CancelFunc
	running sync.WaitGroup // fetches, and the scan of the folder

	flying atomic.Int64 // bytes in memory of responses that come
	serial atomic.Uint64
	counts counts

	writing sync.Mutex // held while a file takes its place in the folder

	mu      sync.Mutex // guards what follows; held for moments
	closed  bool
	cfg     Config
	disk    *disk // nil: there is none
	scanned chan struct{}
	store   *store
	flights map[string]*flight // those that others may join
	marks   map[string]time.Time
	purges  []purge
	seq     uint64          // of purges
	early   map[string]bool // places that were invalidated while the folder was not known; nil: none
	active  int             // fetches
	mute    time.Time
}

// New makes a Cache that holds nothing before Configure is called.
func New(log *slog.Logger) *Cache {
	ctx, cancel := context.WithCancel(context.Background())
	scanned := make(chan struct{})
	close(scanned)
	return &Cache{
		log: log, now: time.Now, ctx: ctx, cancel: cancel, scanned: scanned,
		store: newStore(), flights: map[string]*flight{}, marks: map[string]time.Time{},
	}
}

// Configure changes the bounds. Another folder than before is opened, and what
// it holds is found in the background; an error is that it cannot be, and then
// nothing has changed.
func (c *Cache) Configure(cfg Config) error {
	apply, err := c.Prepare(cfg)
	if err == nil {
		apply()
	}
	return err
}

// Prepare is Configure up to what can fail: apply is the rest. It may be left
// out.
func (c *Cache) Prepare(cfg Config) (apply func(), err error) {
	cfg.defaults()
	c.mu.Lock()
	folder, closed := c.cfg.Folder, c.closed
	c.mu.Unlock()
	var fresh *disk
	if cfg.Folder != "" && cfg.Folder != folder {
		if closed {
			return nil, errors.New("the cache is closed")
		}
		if fresh, err = openDisk(cfg.Folder); err != nil {
			return nil, fmt.Errorf("cannot use the folder %s for the cache: %w", cfg.Folder, cause(err))
		}
	}
	return func() { c.apply(cfg, fresh) }, nil
}

// apply changes the bounds; fresh is the folder that was opened for them.
func (c *Cache) apply(cfg Config, fresh *disk) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	if cfg.Folder != c.cfg.Folder {
		for c.store.files.Len() > 0 { // they stay where they are
			v := c.store.files.Back().Value.(*variant)
			c.store.unfileLocked(v)
			c.store.dropIfEmptyLocked(v)
		}
		c.disk = fresh
	}
	c.cfg = cfg
	c.store.maxMemory, c.store.maxDisk = cfg.Memory, cfg.Disk
	gone := c.store.trimLocked()
	if fresh != nil {
		scanned := make(chan struct{})
		c.scanned = scanned
		c.running.Go(func() {
			defer close(scanned)
			c.scan(fresh)
		})
	}
	if d := c.disk; d != nil && len(gone) > 0 {
		c.running.Go(func() { c.remove(d, gone) })
	}
}

// Close ends all fetches that nobody waits for, and waits until all have ended.
// What is on disk stays.
func (c *Cache) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.running.Wait()
}

// scan finds what an earlier process has left in the folder.
func (c *Cache) scan(d *disk) {
	began, n := c.now(), 0
	defer func() {
		c.mu.Lock()
		if c.disk == d {
			c.early = nil
		}
		c.mu.Unlock()
	}()
	err := d.scan(func(name string, e *entry, size int64) bool {
		c.mu.Lock()
		var gone []string
		stop := c.closed || c.disk != d
		if !stop && c.store.used+size <= c.store.maxDisk {
			gone = c.foundLocked(name, e, size)
			n++
		} else if !stop {
			gone = []string{name}
		}
		c.mu.Unlock()
		c.remove(d, gone)
		return !stop
	})
	if err != nil {
		c.log.Error("cannot look through the folder of the cache; what is in it is not used", "folder", d.dir, "error", cause(err))
		return
	}
	c.log.Info("the cache on disk is known", "entries", n, "took", c.now().Sub(began).Round(time.Millisecond))
}

// foundLocked puts a file into the index, unless there is something newer. It
// is older than all that was stored since the start.
func (c *Cache) foundLocked(name string, e *entry, size int64) (gone []string) {
	if c.early[e.place] {
		return []string{name}
	}
	if p := c.store.pages[e.key]; p != nil {
		for _, v := range p.variants {
			if v.varyValue == e.varyValue && same(v.vary, e.vary) {
				return nil // which has the same name, or will have
			}
		}
	}
	v := c.store.variantLocked(e)
	v.file, v.fileSize = name, size
	v.atDisk = c.store.files.PushBack(v)
	c.store.used += size
	return c.store.crowdedLocked(v.page)
}

// remove removes files that the index has given up.
func (c *Cache) remove(d *disk, names []string) {
	if d == nil {
		return
	}
	for _, name := range names {
		if err := d.remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.diskFailed(d, err)
		}
	}
}

// muted is how long a failing disk is not told of again, nor written to.
const muted = 30 * time.Second

// diskFailed notes that a file could not be written or removed.
func (c *Cache) diskFailed(d *disk, err error) {
	c.counts.diskErrors.Add(1)
	now := c.now()
	c.mu.Lock()
	told := now.Before(c.mute)
	if !told {
		c.mute = now.Add(muted)
	}
	c.mu.Unlock()
	if !told {
		c.log.Error("the cache cannot write to its folder; for a while it stores in memory alone", "folder", d.dir, "error", cause(err))
	}
}

// writable is the disk, if there is one that works.
func (c *Cache) writable() *disk {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Before(c.mute) {
		return nil
	}
	return c.disk
}

func (c *Cache) config() Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cfg
}

// cause drops what package os says twice.
func cause(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	var link *os.LinkError
	if errors.As(err, &link) {
		return link.Err
	}
	return err
}
