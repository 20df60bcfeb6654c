package static

import (
	"cmp"
	"context"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// Listing says how folders are listed. What a listing costs is bounded by Max,
// and what it sends by Page; no more than maxListings are made at a time.
type Listing struct {
	// Sort is the order at first: "name", "size" or "time" of modification,
	// with "-" in front the largest or newest first. Default: "name".
	Sort string
	// Page is how many entries a page has. Default (0): 500.
	Page int
	// Max is how many entries of a folder are looked at; a listing of a larger
	// one says that it is not whole. Default (0): 20000.
	Max int
	// Hide tells of a name that no listing shows; nil: none. Who asks for it by its
	// name gets it all the same.
	Hide func(name string) bool
}

// maxListings is how many listings of one Handler are made at a time: others
// wait, and the rest of the machine is left to who asks for files.
const maxListings = 2

// listOptions are the defaults filled in.
func listOptions(l *Listing) *Listing {
	if l == nil {
		return nil
	}
	filled := *l
	filled.Sort = cmp.Or(filled.Sort, "name")
	filled.Page = cmp.Or(filled.Page, 500)
	filled.Max = cmp.Or(filled.Max, 20000)
	return &filled
}

// item is one entry of a folder.
type item struct {
	name   string
	folder bool
	size   int64
	mtime  int64 // Unix time in nanoseconds
	in     int   // of which root's folder
	known  bool  // size and mtime are
}

// page is what one listing shows.
type page struct {
	path    string // of the folder, with a slash at its end
	top     string // the highest folder that is listed, as path is
	sort    string
	query   string
	number  int // from 1
	pages   int
	folders int // in all
	files   int
	whole   bool
	items   []item
}

// asked is what a reader wants to see.
type asked struct {
	sort, query string
	page        int
}

// folders are the folders of a name in all roots, open.
type folders struct {
	roots []*root
	open  []*os.File
}

func (f *folders) close() {
	for _, dir := range f.open {
		_ = dir.Close() // nothing was written
	}
}

// openFolders opens a folder in each root that has it.
func (h *Handler) openFolders(rel string) (all folders, at found, err error) {
	for _, root := range h.roots {
		f, err := find(root, rel)
		if err != nil {
			all.close()
			return folders{}, f, err
		}
		if f.root == nil || !f.meta.mode.IsDir() {
			if f.root != nil {
				f.node.close()
			}
			continue
		}
		all.roots = append(all.roots, root)
		all.open = append(all.open, f.node.folder(rel))
	}
	return all, found{}, nil
}

// read makes a page of the folder rel. The names of a folder are read up to
// Max; sizes and times are looked up for the page alone, unless they sort.
func (h *Handler) read(ctx context.Context, path, rel string, want asked) (*page, found, error) {
	dirs, at, err := h.openFolders(rel)
	if err != nil {
		return nil, at, err
	}
	defer dirs.close()
	p := &page{path: path, top: strings.TrimSuffix(h.strip, "/") + "/", sort: want.sort, query: want.query, whole: true}
	var all []item
	for i := range dirs.open {
		if all, err = h.names(ctx, &dirs, i, rel, want.query, all, p); err != nil {
			return nil, found{root: dirs.roots[i], rel: rel}, err
		}
	}
	key := strings.TrimPrefix(want.sort, "-")
	if key != "name" {
		all = h.lookUp(&dirs, rel, all)
	}
	slices.SortFunc(all, order(want.sort))
	for i := range all {
		if all[i].folder {
			p.folders++
		}
	}
	p.files = len(all) - p.folders
	size := h.o.Listing.Page
	p.pages = max(1, (len(all)+size-1)/size)
	p.number = min(max(want.page, 1), p.pages)
	from := (p.number - 1) * size
	p.items = all[from:min(from+size, len(all))]
	if key == "name" {
		p.items = h.lookUp(&dirs, rel, p.items)
	}
	return p, found{}, nil
}

// names reads the names of one root's folder that may be served.
func (h *Handler) names(ctx context.Context, dirs *folders, i int, rel, query string, all []item, p *page) ([]item, error) {
	const batch = 1024
	query = strings.ToLower(query)
	seen := map[string]bool{} // in the folders of the roots before
	for _, it := range all {
		seen[it.name] = true
	}
	for read := 0; ; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		entries, err := dirs.open[i].ReadDir(batch)
		for _, d := range entries {
			if read++; read > h.o.Listing.Max {
				p.whole = false
				return all, nil
			}
			name := d.Name()
			if !listed(name) || h.o.Listing.Hide != nil && h.o.Listing.Hide(name) || seen[name] || query != "" && !strings.Contains(strings.ToLower(name), query) {
				continue
			}
			it := item{name: name, in: i, folder: d.IsDir()}
			switch d.Type() {
			case 0, fs.ModeDir:
			case fs.ModeSymlink: // what it leads to, if it may be followed
				f, err := find(dirs.roots[i], join(rel, name))
				if err != nil || f.root == nil {
					continue
				}
				f.node.close()
				it.folder, it.size, it.mtime, it.known = f.meta.mode.IsDir(), f.meta.size, f.meta.mtime, true
			default:
				continue
			}
			all = append(all, it)
		}
		if err == io.EOF || err == nil && len(entries) == 0 {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// listed says whether a name could be asked for at all.
func listed(name string) bool {
	return name != "" && name[0] != '.' && !hasControl(name) && !strings.Contains(name, "\\")
}

func join(rel, name string) string {
	if rel == "" {
		return name
	}
	return rel + "/" + name
}

// lookUp finds sizes and times; what is gone by now is left out.
func (h *Handler) lookUp(dirs *folders, rel string, items []item) []item {
	kept := items[:0]
	for _, it := range items {
		if !it.known {
			m, err := statIn(dirs.open[it.in], it.name)
			if err != nil {
				continue
			}
			it.size, it.mtime, it.known = m.size, m.mtime, true
		}
		kept = append(kept, it)
	}
	return kept
}

// order compares as a reader wants it: folders first, and by name where
// nothing else decides.
func order(sort string) func(a, b item) int {
	key, down := strings.CutPrefix(sort, "-")
	by := func(a, b item) int { return 0 }
	switch key {
	case "size":
		by = func(a, b item) int {
			if a.folder {
				return 0
			}
			return cmp.Compare(a.size, b.size)
		}
	case "time":
		by = func(a, b item) int { return cmp.Compare(a.mtime, b.mtime) }
	default:
		if down {
			return func(a, b item) int { return cmp.Or(foldersFirst(a, b), -compareNames(a.name, b.name)) }
		}
	}
	return func(a, b item) int {
		c := by(a, b)
		if down {
			c = -c
		}
		return cmp.Or(foldersFirst(a, b), c, compareNames(a.name, b.name))
	}
}

func foldersFirst(a, b item) int {
	switch {
	case a.folder == b.folder:
		return 0
	case a.folder:
		return -1
	}
	return 1
}

// compareNames orders as people do: numbers by their value ("2" before "10"),
// letters whatever their case, and bytes where that leaves a choice.
func compareNames(a, b string) int {
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		if isDigit(a[i]) && isDigit(b[j]) {
			startA, startB := i, j
			for i < len(a) && isDigit(a[i]) {
				i++
			}
			for j < len(b) && isDigit(b[j]) {
				j++
			}
			numberA, numberB := strings.TrimLeft(a[startA:i], "0"), strings.TrimLeft(b[startB:j], "0")
			if c := cmp.Or(cmp.Compare(len(numberA), len(numberB)), cmp.Compare(numberA, numberB)); c != 0 {
				return c
			}
			continue
		}
		if c := cmp.Compare(lower(a[i]), lower(b[j])); c != 0 {
			return c
		}
		i++
		j++
	}
	return cmp.Or(cmp.Compare(len(a)-i, len(b)-j), cmp.Compare(a, b))
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
