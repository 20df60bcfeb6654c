//go:build !linux

package docroot

import (
	"io/fs"
	"os"
	"path/filepath"
)

// Folder is an open folder. It is for one goroutine at a time.
type Folder struct {
	real string
	info fs.FileInfo
}

// Open opens a folder; symbolic links on the way to it are followed.
func Open(dir string) (*Folder, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	real, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(real)
	if err != nil {
		return nil, err
	}
	return &Folder{real, info}, nil
}

// Beneath opens a folder below f, which no symbolic link may lead out of.
func (f *Folder) Beneath(rel string) (*Folder, error) {
	next, err := Open(filepath.Join(f.real, filepath.FromSlash(rel)))
	if err != nil {
		return nil, err
	}
	if inside, err := filepath.Rel(f.real, next.real); err != nil || !filepath.IsLocal(inside) {
		return nil, &fs.PathError{Op: "open", Path: next.real, Err: fs.ErrNotExist}
	}
	return next, nil
}

// Close closes the folder.
func (f *Folder) Close() error { return nil }

func (f *Folder) look(rel string, follow bool) (Info, error) { return slowly(f.real, rel, follow) }

// Same reports whether info is of this very folder.
func (f *Folder) Same(info fs.FileInfo) bool { return os.SameFile(f.info, info) }
