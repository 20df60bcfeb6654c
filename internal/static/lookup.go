package static

import (
	"time"
)

// found is what the roots have for a name: a regular file or a folder.
type found struct {
	root *root // nil: nothing
	rel  string
	node node // open; to be closed
	meta meta
}

// look finds what answers for a name: the file or folder of the first root
// that has one; for a name with a slash at its end an index file, and where
// there is none and folders are listed, the folder. An error comes with the
// root and the name that it is about.
func (h *Handler) look(rel string, isFolder bool) (found, error) {
	if !isFolder {
		for _, root := range h.roots {
			if f, err := find(root, rel); err != nil || f.root != nil {
				return f, err
			}
		}
		return found{}, nil
	}
	for _, root := range h.roots {
		for _, index := range h.o.Index {
			name := index
			if rel != "" {
				name = rel + "/" + index
			}
			f, err := find(root, name)
			if err != nil || f.root != nil && f.meta.mode.IsRegular() {
				return f, err
			}
			if f.root != nil {
				f.node.close()
			}
		}
	}
	if h.o.Listing == nil {
		return found{}, nil
	}
	for _, root := range h.roots {
		f, err := find(root, rel)
		if err != nil || f.root != nil && f.meta.mode.IsDir() {
			return f, err
		}
		if f.root != nil {
			f.node.close()
		}
	}
	return found{}, nil
}

// find opens a name in one root. That there is nothing to be served is no
// error: a FIFO, a device and a socket are nothing.
func find(root *root, rel string) (found, error) {
	f := found{root: root, rel: rel}
	n, err := root.open(rel)
	if err == nil {
		f.node = n
		if f.meta, err = n.stat(); err == nil && (f.meta.mode.IsRegular() || f.meta.mode.IsDir()) {
			return f, nil
		}
		n.close()
	}
	if err == nil || hidden(err) {
		return found{}, nil
	}
	return f, err
}

// known is what the cache has on a path, if it still holds: it was seen a
// short while ago, or is seen to be so now.
func (h *Handler) known(path string, now int64) *entry {
	e := h.cache.get(h, path)
	if e == nil || e.fresh(now) {
		return e
	}
	e.mu.Lock() // one looks, and the others wait for what it sees
	defer e.mu.Unlock()
	if e.fresh(now) {
		return e
	}
	if e.racy || e.generation != h.generation.Load() || !h.unchanged(e) {
		h.cache.remove(e)
		return nil
	}
	e.checked.Store(now)
	return e
}

// unchanged looks the entry's names up again.
func (h *Handler) unchanged(e *entry) bool {
	rel, isFolder, _ := h.name(e.path)
	f, err := h.look(rel, isFolder)
	if err != nil || f.root == nil {
		return false
	}
	f.node.close()
	rep := &e.reps[0]
	if f.root != rep.root || f.rel != rep.rel || !f.meta.mode.IsRegular() || f.meta.identity != rep.identity {
		return false
	}
	count := 1
	for s := range h.siblings(&f) {
		if count == len(e.reps) || e.offers[count-1] != s.coding || e.reps[count].identity != s.identity {
			return false
		}
		count++
	}
	return count == len(e.reps)
}

// raceTime is how new a file must be for a change to be possible that leaves
// its size and times as they are: of a filesystem that knows seconds alone,
// one second, and one for its rounding.
const raceTime = 2 * time.Second

// describe makes the entry of a regular file, seen at now.
func (h *Handler) describe(path string, f *found, now int64) *entry {
	e := &entry{owner: h, path: path}
	e.checked.Store(now)
	wall := time.Now()
	e.reps = make([]representation, 1, 4)
	e.reps[0].root, e.reps[0].rel, e.reps[0].identity = f.root, f.rel, f.meta.identity
	contentType := h.o.Types.ByName(f.rel)
	e.reps[0].describe(contentType, "", wall)
	for s := range h.siblings(f) {
		e.reps = e.reps[:len(e.reps)+1]
		rep := &e.reps[len(e.reps)-1]
		rep.root, rep.rel, rep.identity = f.root, f.rel+s.suffix, s.identity
		rep.describe(contentType, s.coding, wall)
		e.offers = append(e.offers, s.coding)
	}
	for i := range e.reps {
		id := &e.reps[i].identity
		e.racy = e.racy || max(id.mtime, id.ctime) > wall.Add(-h.cache.race).UnixNano()
	}
	switch e.cacheControl = h.cacheControl; {
	case h.o.Immutable != nil && h.o.Immutable(path):
		e.cacheControl = h.immutable
	}
	return e
}
