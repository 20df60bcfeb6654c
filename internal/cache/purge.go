package cache

// What is stored goes because somebody says so: `millrace purge`, or a request
// that changes something (RFC 9111, 4.4).

import (
	"slices"
	"strings"
)

// What says what is to be purged: what any of its fields names.
type What struct {
	URLs     []string // of hosts and paths: "https://example.com/a?x=1", "example.com/a", "/a" for every host
	Prefixes []string // the same, and all that begins like it
	Tags     []string // of Cache-Tag, Surrogate-Key or X-Cache-Tags
	All      bool
	Stale    bool // not removed but stale: it is asked for anew, and answers while that fails
}

// purge is what was purged while fetches were under way: what they bring is
// older.
type purge struct {
	seq             uint64
	places          map[string]bool
	prefixes, paths []string // paths: on every host, with "=" or "^" before them
	tags            []string
	all             bool
}

// maxPurges is how many purges are remembered for running fetches; beyond it,
// those that began before are not stored at all.
const maxPurges = 256

// place is the Place of what a person writes as a URL, and whether it names a
// host.
func placeOfText(text string) (place string, host bool) {
	if strings.HasPrefix(text, "/") {
		return Place("", text), false
	}
	if i := strings.Index(text, "://"); i >= 0 {
		text = text[i+3:]
	}
	name, target := text, "/"
	if i := strings.IndexAny(text, "/?"); i >= 0 {
		name, target = text[:i], text[i:]
		if target[0] == '?' {
			target = "/" + target
		}
	}
	return Place(name, target), true
}

func (w *What) compile() purge {
	p := purge{places: map[string]bool{}, tags: w.Tags, all: w.All}
	for _, text := range w.URLs {
		if place, host := placeOfText(text); host {
			p.places[place] = true
		} else {
			p.paths = append(p.paths, "="+place)
		}
	}
	for _, text := range w.Prefixes {
		if place, host := placeOfText(text); host {
			p.prefixes = append(p.prefixes, place)
		} else {
			p.paths = append(p.paths, "^"+place)
		}
	}
	return p
}

// matches says whether something that is stored is meant.
func (p *purge) matches(place string, tags []string) bool {
	if p.all || p.places[place] {
		return true
	}
	for _, prefix := range p.prefixes {
		if strings.HasPrefix(place, prefix) {
			return true
		}
	}
	if len(p.paths) > 0 {
		if i := strings.IndexByte(place, '/'); i >= 0 {
			for _, path := range p.paths {
				if path[0] == '=' && place[i:] == path[1:] || path[0] == '^' && strings.HasPrefix(place[i:], path[1:]) {
					return true
				}
			}
		}
	}
	for _, tag := range p.tags {
		if slices.Contains(tags, tag) {
			return true
		}
	}
	return false
}

// Purge removes what is meant, and returns how many responses that were. What
// is being fetched meanwhile is not stored. When it returns, nothing of it is
// served any more, and nothing is on disk.
func (c *Cache) Purge(w What) int {
	c.mu.Lock()
	scanned := c.scanned
	c.mu.Unlock()
	select {
	case <-scanned: // what is not known cannot be purged
	case <-c.ctx.Done():
	}
	c.writing.Lock() // a file that takes its place now is there afterwards, or will not be
	defer c.writing.Unlock()
	n := c.purge(w.compile(), w.Stale)
	c.counts.purged.Add(uint64(n))
	return n
}

func (c *Cache) purge(p purge, stale bool) (n int) {
	c.mu.Lock()
	c.rememberLocked(p)
	var hit []*variant
	if only := p.places; len(only) > 0 && len(p.prefixes)+len(p.paths)+len(p.tags) == 0 && !p.all {
		for place := range only {
			for _, page := range c.store.places[place] {
				hit = append(hit, page.variants...)
			}
		}
	} else {
		for _, page := range c.store.pages {
			for _, v := range page.variants {
				if p.matches(page.place, v.tags) {
					hit = append(hit, v)
				}
			}
		}
	}
	var gone []string
	for _, v := range hit {
		if stale && v.entry != nil {
			old := *v.entry
			old.lifetime = 0
			v.entry = &old
			if v.file != "" { // which says that it is fresh
				gone = append(gone, v.file)
				c.store.unfileLocked(v)
			}
			continue
		}
		gone = append(gone, c.store.removeLocked(v)...)
	}
	d := c.disk
	c.mu.Unlock()
	c.remove(d, gone)
	return len(hit)
}

// rememberLocked has fetches that run not be stored, if they are meant, and
// nobody join them.
func (c *Cache) rememberLocked(p purge) {
	c.seq++
	for key, f := range c.flights {
		if p.matches(f.place, nil) || len(p.tags) > 0 {
			delete(c.flights, key)
		}
	}
	if c.active == 0 {
		c.purges = nil
		return
	}
	p.seq = c.seq
	if len(c.purges) >= maxPurges {
		c.purges = []purge{{seq: c.seq, all: true}}
		return
	}
	c.purges = append(c.purges, p)
}

// purgedLocked says whether an entry of a fetch that began after since purges
// was purged meanwhile.
func (c *Cache) purgedLocked(e *entry, since uint64) bool {
	for i := range c.purges {
		if p := &c.purges[i]; p.seq > since && p.matches(e.place, e.tags) {
			return true
		}
	}
	return false
}

// invalidate removes what is stored for places: something has changed there.
func (c *Cache) invalidate(places []string) {
	p := purge{places: map[string]bool{}}
	for _, place := range places {
		p.places[place] = true
	}
	c.mu.Lock()
	select {
	case <-c.scanned:
	default: // what is found yet is older
		if c.early == nil {
			c.early = map[string]bool{}
		}
		for place := range p.places {
			c.early[place] = true
		}
	}
	if c.active == 0 {
		known := false
		for place := range p.places {
			known = known || c.store.places[place] != nil
		}
		if !known { // nearly always
			c.mu.Unlock()
			return
		}
	}
	c.mu.Unlock()
	c.counts.invalidated.Add(uint64(c.purge(p, false)))
}
