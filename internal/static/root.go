package static

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// errOutside says that a name leads out of its root.
var errOutside = fmt.Errorf("the name leads out of the root: %w", fs.ErrNotExist)

// root is one folder of a tree, held open. Names are opened relative to the
// descriptor, so no race with a rename can lead out of it.
//
// The folder that its path names may change: a deploy replaces it, a first
// upload makes it. So the path is looked at again at most once a second.
type root struct {
	dir    string // absolute
	follow bool
	check  func(fs.FileInfo) error // see Options.Check
	looked atomic.Int64            // when, on the cache's clock

	mu     sync.RWMutex // held for reading while the folder is used
	folder *folder      // nil: there is none now
	closed bool
}

// folder is a root's folder as it was found.
type folder struct {
	root *os.Root
	self *os.File // the same folder; its descriptor is for openQuickly
	info fs.FileInfo
	real string // its path without symlinks
}

func (f *folder) close() error { return errors.Join(f.root.Close(), f.self.Close()) }

// newRoot opens dir. That it does not exist is no error: it may come.
func newRoot(dir string, o *Options) (*root, error) {
	if dir == "" {
		return nil, errors.New("cannot serve files from a root that is empty: name a folder")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot serve files from %s: %w", dir, err)
	}
	r := &root{dir: abs, follow: o.FollowSymlinks, check: o.Check}
	if r.folder, err = r.openFolder(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return r, nil
}

// openFolder opens a root's folder, unless it is one that must not be served.
func (r *root) openFolder() (*folder, error) {
	f, err := openFolder(r.dir)
	if err != nil || r.check == nil {
		return f, err
	}
	if err := r.check(f.info); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

func openFolder(dir string) (f *folder, err error) {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot serve files from %s: %w", dir, err)
	}
	if filepath.Dir(real) == real {
		return nil, fmt.Errorf("cannot serve files from %s: it is %s, the whole machine; name the folder that holds the files", dir, real)
	}
	r, err := os.OpenRoot(real)
	if err != nil {
		return nil, fmt.Errorf("cannot serve files from %s: %w", dir, err)
	}
	defer func() {
		if err != nil {
			_ = r.Close() // the other error counts
		}
	}()
	if _, err := r.Lstat("manage.py"); err == nil {
		return nil, fmt.Errorf("cannot serve files from %s: it holds a manage.py, so it is a project's source, settings and secrets; name the folder of the files alone, such as its STATIC_ROOT", dir)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot serve files from %s: %w", dir, err)
	}
	self, err := r.Open(".")
	if err != nil {
		return nil, fmt.Errorf("cannot serve files from %s: %w", dir, err)
	}
	info, err := self.Stat()
	if err != nil {
		_ = self.Close() // the other error counts
		return nil, fmt.Errorf("cannot serve files from %s: %w", dir, err)
	}
	return &folder{root: r, self: self, info: info, real: real}, nil
}

// open opens what rel, a clean relative path with slashes, names below the
// root; rel "" is the root itself. A name that is not there, or that may not
// be followed, is an error that hidden knows.
func (r *root) open(rel string) (node, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	switch {
	case r.closed:
		return node{}, os.ErrClosed
	case r.folder == nil:
		return node{}, fs.ErrNotExist
	case rel == "":
		rel = "."
	case !filepath.IsLocal(filepath.FromSlash(rel)): // Windows has names for devices
		return node{}, fs.ErrNotExist
	}
	if n, decided, err := openQuickly(int(r.folder.self.Fd()), rel, r.follow); decided {
		return n, err
	}
	return r.folder.open(rel, r.follow)
}

// open is the slow way, and the one that decides.
func (f *folder) open(rel string, follow bool) (node, error) {
	name := filepath.FromSlash(rel)
	if follow {
		file, err := os.OpenFile(filepath.Join(f.real, name), openFlags, 0)
		return node{f: file}, err
	}
	file, err := f.root.OpenFile(name, openFlags, 0)
	if err == nil {
		return node{f: file}, nil
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return node{}, err
	}
	// Not the system's error but os.Root's: a link that leads out, or one that
	// is absolute. The second kind may well end inside the root.
	target, err := filepath.EvalSymlinks(filepath.Join(f.real, name))
	if err != nil {
		return node{}, err
	}
	if name, err = filepath.Rel(f.real, target); err != nil || !filepath.IsLocal(name) {
		return node{}, errOutside
	}
	if file, err = f.root.OpenFile(name, openFlags, 0); err != nil {
		if !errors.As(err, &errno) {
			err = errOutside
		}
		return node{}, err
	}
	return node{f: file}, nil
}

// lookEvery is how often a root looks at its path.
const lookEvery = int64(time.Second)

// due says whether it is time to look at the path, to one of those who ask.
func (r *root) due(now int64) bool {
	last := r.looked.Load()
	return now-last >= lookEvery && r.looked.CompareAndSwap(last, now)
}

// refresh looks whether the root's path names another folder than the one
// held, and changes over to that. It returns what is wrong with the new one,
// once.
func (r *root) refresh() (changed bool, problem error) {
	info, err := os.Stat(r.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, nil // it cannot be told: what is held stays
	}
	r.mu.RLock()
	same := r.folder == nil && err != nil || r.folder != nil && err == nil && os.SameFile(info, r.folder.info)
	r.mu.RUnlock()
	if same {
		return false, nil
	}
	var next *folder
	if err == nil {
		next, problem = r.openFolder()
		if errors.Is(problem, fs.ErrNotExist) {
			problem = nil // gone again
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.folder
	if r.closed {
		old = next
	} else {
		r.folder = next
	}
	if old != nil {
		problem = errors.Join(problem, old.close())
	}
	return true, problem
}

func (r *root) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.folder == nil {
		return nil
	}
	f := r.folder
	r.folder = nil
	return f.close()
}
