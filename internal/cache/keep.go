package cache

// How entries come into memory and onto the disk, and from there.

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
)

// find returns what is stored for a request, whatever its age: an entry with
// its body, or with the file that has it, which the caller closes. vary are the
// headers that the newest response of the key depends on.
func (c *Cache) find(key string, r *http.Request) (e *entry, f *os.File, vary []string) {
	for {
		c.mu.Lock()
		v, vary := c.store.selectLocked(key, r)
		if v == nil {
			c.mu.Unlock()
			return nil, nil, vary
		}
		if v.entry != nil {
			e := v.entry
			c.mu.Unlock()
			return e, nil, vary
		}
		d, name, verified, keep := c.disk, v.file, v.verified, c.cfg.MemoryEntry
		c.mu.Unlock()
		if d == nil {
			return nil, nil, vary
		}
		e, f, err := d.open(name, key, keep, verified)
		if err == nil {
			e.serial = c.serial.Add(1)
			c.loaded(v, name, e, f == nil)
			return e, f, vary
		}
		if !c.lost(d, v, name, err) {
			return nil, nil, vary
		}
	}
}

// loaded notes that an entry was read from its file.
func (c *Cache) loaded(v *variant, name string, e *entry, whole bool) {
	c.mu.Lock()
	var gone []string
	if v.file == name && v.atDisk != nil {
		v.verified, v.came = true, e.came
		if whole && v.entry == nil {
			c.store.keepLocked(v, e)
			gone = c.store.trimLocked()
		}
	}
	d := c.disk
	c.mu.Unlock()
	c.remove(d, gone)
}

// lost notes that a file is not what it should be, and reports whether it is
// worth to look again.
func (c *Cache) lost(d *disk, v *variant, name string, err error) (again bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.disk != d || v.file != name || v.atDisk == nil {
		return true // it was replaced or removed meanwhile
	}
	if errors.Is(err, errEntry) {
		c.counts.corrupt.Add(1)
		_ = d.remove(name)
	} else if !errors.Is(err, fs.ErrNotExist) {
		c.counts.diskErrors.Add(1)
	}
	c.store.unfileLocked(v)
	c.store.dropIfEmptyLocked(v)
	return false
}

// keep stores an entry: of a fetch that began after since purges. A body that is
// too long for memory is in nf, whose file it becomes. It reports whether it was
// stored.
func (c *Cache) keep(e *entry, nf *newFile, since uint64) bool {
	if nf != nil {
		return c.keepFile(e, nf, since)
	}
	c.mu.Lock()
	if c.closed || c.cfg.Memory <= 0 || c.purgedLocked(e, since) {
		c.mu.Unlock()
		return false
	}
	if e.reusable(c.now()) {
		delete(c.marks, e.key)
	}
	v, gone := c.store.putLocked(e)
	gone = append(gone, c.store.crowdedLocked(v.page)...)
	d, lives := c.disk, c.store.livesLocked(v)
	c.mu.Unlock()
	c.remove(d, gone)
	if lives {
		c.counts.stored.Add(1)
	}
	return lives
}

// toDisk writes an entry that is in memory to its file.
func (c *Cache) toDisk(e *entry, since uint64) {
	d := c.writable()
	if d == nil || e.body == nil && e.length > 0 {
		return
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	if !c.current(e) { // something newer is on its way, or it was purged
		return
	}
	name, size, err := d.write(e)
	if err != nil {
		c.diskFailed(d, err)
		return
	}
	c.filed(d, e, name, size, since)
}

// current reports whether an entry is the one that is in memory for its
// requests.
func (c *Cache) current(e *entry) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.store.pages[e.key]
	if p == nil {
		return false
	}
	for _, v := range p.variants {
		if v.entry == e {
			return true
		}
	}
	return false
}

// filed puts a file into the index that has just got its name; or removes it, if
// the entry was purged meanwhile.
func (c *Cache) filed(d *disk, e *entry, name string, size int64, since uint64) bool {
	c.mu.Lock()
	var gone []string
	kept := false
	if c.disk != d || c.purgedLocked(e, since) || size > c.store.maxDisk {
		gone = []string{name}
	} else {
		v := c.store.variantLocked(e)
		gone = c.store.filedLocked(v, name, size, true)
		gone = append(gone, c.store.crowdedLocked(v.page)...)
		kept = c.store.livesLocked(v)
	}
	c.mu.Unlock()
	c.remove(d, gone)
	return kept
}

// keepFile gives the file of an entry its name.
func (c *Cache) keepFile(e *entry, nf *newFile, since uint64) bool {
	temporary := nf.f.Name()
	size, err := nf.finish(e)
	if err != nil {
		os.Remove(temporary)
		c.diskFailed(nf.d, err)
		return false
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	c.mu.Lock()
	purged := c.closed || c.disk != nf.d || c.purgedLocked(e, since)
	c.mu.Unlock()
	if purged {
		os.Remove(temporary)
		return false
	}
	name, err := nf.publish(e)
	if err != nil {
		os.Remove(temporary)
		c.diskFailed(nf.d, err)
		return false
	}
	c.mu.Lock()
	if e.reusable(c.now()) {
		delete(c.marks, e.key)
	}
	if v := c.variantOfLocked(e); v != nil {
		c.store.forgetLocked(v) // a shorter one that it takes the place of
	}
	c.mu.Unlock()
	e.file = name
	if !c.filed(nf.d, e, name, size, since) {
		return false
	}
	c.counts.stored.Add(1)
	return true
}

func (c *Cache) variantOfLocked(e *entry) *variant {
	if p := c.store.pages[e.key]; p != nil {
		for _, v := range p.variants {
			if v.varyValue == e.varyValue && same(v.vary, e.vary) {
				return v
			}
		}
	}
	return nil
}

// confirm stores an entry that was freshened: its body is where it was.
func (c *Cache) confirm(e *entry, since uint64) {
	if e.body != nil || e.length == 0 {
		if c.keep(e, nil, since) {
			c.toDisk(e, since)
		}
		return
	}
	d := c.writable()
	if d == nil || e.file == "" {
		return
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	size, err := d.freshen(e)
	if err != nil {
		if !errors.Is(err, errSlack) && !errors.Is(err, errEntry) && !errors.Is(err, fs.ErrNotExist) {
			c.diskFailed(d, err)
		}
		return
	}
	c.filed(d, e, e.file, size, since)
}

// drop removes an entry from the index: it must not be used again.
func (c *Cache) drop(e *entry) {
	c.mu.Lock()
	var gone []string
	if v := c.variantOfLocked(e); v != nil && !v.came.After(e.came) {
		gone = c.store.removeLocked(v)
	}
	d := c.disk
	c.mu.Unlock()
	c.remove(d, gone)
}
