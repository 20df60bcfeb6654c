package cache

// What is stored: by key and variant, in memory and on disk, each up to so many
// bytes. All of it is guarded by the Cache's mutex; methods that need it end in
// Locked.

import (
	"container/list"
	"net/http"
	"time"
)

// page is all that is stored under one key.
type page struct {
	key, place string
	variants   []*variant // the newest first
}

// variant is one of a page's responses: in memory, on disk, or both.
type variant struct {
	page      *page
	vary      []string
	varyValue string
	tags      []string
	came      time.Time // of the response; when it was purged as stale, long ago

	entry *entry // nil: it is on disk alone. Without a body: its body is there
	at    *list.Element
	hot   bool  // it is in store.hot, and was used since it came
	cost  int64 // in memory

	file     string // "": it is not on disk
	fileSize int64
	atDisk   *list.Element
	verified bool
}

// maxVariants is how many responses one key may have; beyond it the oldest
// goes. A response that varies by something that anybody can make up must not
// push out all others.
const maxVariants = 32

// store is the index. Memory is two lists: what was stored and not asked for
// since, and what was; so that a crawler, which asks for everything once, does
// not push out what people read.
type store struct {
	pages  map[string]*page
	places map[string][]*page

	cold, hot         *list.List // of *variant with an entry, the last used in front
	memory, hotMemory int64
	maxMemory         int64

	files   *list.List // of *variant with a file, the last used in front
	used    int64
	maxDisk int64

	evictedMemory, evictedDisk uint64
}

func newStore() *store {
	return &store{pages: map[string]*page{}, places: map[string][]*page{}, cold: list.New(), hot: list.New(), files: list.New()}
}

// selectLocked finds what is stored for a request: nil for nothing. A variant's
// entry may be on disk alone. vary are the headers that the page's newest
// response depends on.
func (s *store) selectLocked(key string, r *http.Request) (v *variant, vary []string) {
	p := s.pages[key]
	if p == nil {
		return nil, nil
	}
	for i, v := range p.variants {
		if i == 0 {
			vary = v.vary
		}
		if len(v.vary) == 0 || varyValue(v.vary, r.Header) == v.varyValue {
			s.touchLocked(v)
			return v, vary
		}
	}
	return nil, vary
}

// touchLocked notes that a variant was used.
func (s *store) touchLocked(v *variant) {
	if v.atDisk != nil {
		s.files.MoveToFront(v.atDisk)
	}
	switch {
	case v.at == nil:
	case v.hot:
		s.hot.MoveToFront(v.at)
	default:
		s.cold.Remove(v.at)
		v.at, v.hot = s.hot.PushFront(v), true
		s.hotMemory += v.cost
		for s.hotMemory > s.maxMemory/5*4 && s.hot.Len() > 1 {
			last := s.hot.Remove(s.hot.Back()).(*variant)
			last.at, last.hot = s.cold.PushFront(last), false
			s.hotMemory -= last.cost
		}
	}
}

// putLocked stores an entry in memory, in place of the one that answered the
// same requests. What it returns are files to remove.
func (s *store) putLocked(e *entry) (v *variant, gone []string) {
	v = s.variantLocked(e)
	s.keepLocked(v, e)
	return v, s.trimLocked()
}

// variantLocked is the place of an entry, which it makes if need be.
func (s *store) variantLocked(e *entry) *variant {
	p := s.pages[e.key]
	if p == nil {
		p = &page{key: e.key, place: e.place}
		s.pages[e.key] = p
		s.places[p.place] = append(s.places[p.place], p)
	}
	for i, v := range p.variants {
		if v.varyValue == e.varyValue && same(v.vary, e.vary) {
			copy(p.variants[1:i+1], p.variants[:i])
			p.variants[0] = v
			v.tags, v.came = e.tags, e.came
			return v
		}
	}
	v := &variant{page: p, vary: e.vary, varyValue: e.varyValue, tags: e.tags, came: e.came}
	p.variants = append([]*variant{v}, p.variants...)
	return v
}

func same(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// keepLocked puts an entry into memory.
func (s *store) keepLocked(v *variant, e *entry) {
	hot := v.hot
	s.forgetLocked(v)
	v.entry, v.cost = e, e.size()
	s.memory += v.cost
	if v.hot = hot; hot {
		v.at = s.hot.PushFront(v)
		s.hotMemory += v.cost
	} else {
		v.at = s.cold.PushFront(v)
	}
}

// forgetLocked takes a variant out of memory.
func (s *store) forgetLocked(v *variant) {
	if v.at == nil {
		return
	}
	s.memory -= v.cost
	if v.hot {
		s.hot.Remove(v.at)
		s.hotMemory -= v.cost
	} else {
		s.cold.Remove(v.at)
	}
	v.at, v.entry, v.hot, v.cost = nil, nil, false, 0
}

// filedLocked notes that a variant has a file now. It returns files to remove.
func (s *store) filedLocked(v *variant, name string, size int64, verified bool) (gone []string) {
	if v.atDisk != nil {
		if v.file != name {
			gone = append(gone, v.file)
		}
		s.used += size - v.fileSize
		s.files.MoveToFront(v.atDisk)
	} else {
		s.used += size
		v.atDisk = s.files.PushFront(v)
	}
	v.file, v.fileSize, v.verified = name, size, verified
	return append(gone, s.trimLocked()...)
}

// unfileLocked notes that a variant has no file any more.
func (s *store) unfileLocked(v *variant) {
	if v.atDisk == nil {
		return
	}
	s.files.Remove(v.atDisk)
	s.used -= v.fileSize
	v.atDisk, v.file, v.fileSize = nil, "", 0
	if v.entry != nil && v.entry.body == nil && v.entry.length > 0 {
		s.forgetLocked(v)
	}
}

// trimLocked makes room. It returns files to remove.
func (s *store) trimLocked() (gone []string) {
	for s.memory > s.maxMemory {
		from := s.cold
		if from.Len() == 0 {
			from = s.hot
		}
		if from.Len() == 0 {
			break
		}
		v := from.Back().Value.(*variant)
		s.forgetLocked(v)
		s.evictedMemory++
		s.dropIfEmptyLocked(v)
	}
	for s.used > s.maxDisk && s.files.Len() > 0 {
		v := s.files.Back().Value.(*variant)
		gone = append(gone, v.file)
		s.unfileLocked(v)
		s.evictedDisk++
		s.dropIfEmptyLocked(v)
	}
	return gone
}

// removeLocked removes a variant. It returns its file, if it has one.
func (s *store) removeLocked(v *variant) (gone []string) {
	if v.file != "" {
		gone = append(gone, v.file)
	}
	s.unfileLocked(v)
	s.forgetLocked(v)
	s.dropIfEmptyLocked(v)
	return gone
}

// dropIfEmptyLocked takes a variant that is nowhere out of the index.
func (s *store) dropIfEmptyLocked(v *variant) {
	if v.at != nil || v.atDisk != nil {
		return
	}
	p := v.page
	for i := range p.variants {
		if p.variants[i] == v {
			p.variants = append(p.variants[:i:i], p.variants[i+1:]...)
			break
		}
	}
	if len(p.variants) > 0 || s.pages[p.key] != p {
		return
	}
	delete(s.pages, p.key)
	all := s.places[p.place]
	for i := range all {
		if all[i] == p {
			all = append(all[:i:i], all[i+1:]...)
			break
		}
	}
	if len(all) == 0 {
		delete(s.places, p.place)
	} else {
		s.places[p.place] = all
	}
}

// crowdedLocked removes the oldest variants of a page that has too many.
func (s *store) crowdedLocked(p *page) (gone []string) {
	for len(p.variants) > maxVariants {
		gone = append(gone, s.removeLocked(p.variants[len(p.variants)-1])...)
	}
	return gone
}

// livesLocked says whether a variant is in the index.
func (s *store) livesLocked(v *variant) bool { return v.at != nil || v.atDisk != nil }
