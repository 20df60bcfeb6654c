package sendfile

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode/utf8"
)

// root is a folder out of which may be sent. It is opened for each file: who
// replaces it needs no reload, and next to what the app has done the time for
// that is nothing.
type root struct{ dir string }

func newRoot(dir string) (root, error) {
	abs, err := filepath.Abs(dir)
	if err != nil || dir == "" {
		return root{}, fmt.Errorf("cannot send files from %q: it is no folder", dir)
	}
	return root{abs}, nil
}

var (
	errRelative  = errors.New("the path is not absolute")
	errOutside   = errors.New("the path is outside of the folders that x_sendfile names")
	errIrregular = fmt.Errorf("it is not a regular file: %w", fs.ErrNotExist)
)

// open opens the regular file that an app has named: as it stands there, or as
// it has come into a header.
func (s *Sender) open(named string) (*os.File, fs.FileInfo, error) {
	f, info, err := s.openExactly(named)
	for _, spelling := range spellings(named) {
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			break
		}
		f, info, err = s.openExactly(spelling)
	}
	return f, info, err
}

// spellings are what else a name in a header may mean: a percent-encoded one,
// or one in Latin-1, as Python's frameworks write headers.
func spellings(named string) (all []string) {
	if decoded, err := url.PathUnescape(named); err == nil && decoded != named {
		all = append(all, decoded)
	}
	if text := fromLatin1(named); text != named {
		all = append(all, text)
	}
	return all
}

// fromLatin1 is what a text says that is not UTF-8.
func fromLatin1(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	b := make([]rune, 0, len(text))
	for i := range len(text) {
		b = append(b, rune(text[i]))
	}
	return string(b)
}

func (s *Sender) openExactly(named string) (*os.File, fs.FileInfo, error) {
	if strings.ContainsRune(named, 0) || !filepath.IsAbs(named) {
		return nil, nil, errRelative
	}
	clean := filepath.Clean(named)
	err := errOutside
	for _, r := range s.roots {
		rel, ok := r.below(clean)
		if !ok {
			continue
		}
		f, info, why := r.open(rel)
		if why == nil {
			return f, info, nil
		}
		if errors.Is(err, errOutside) {
			err = why
		}
	}
	return nil, nil, err
}

// below is a path's name within the root: by the root's path as it was given,
// or as it is without symlinks.
func (r root) below(clean string) (string, bool) {
	for _, dir := range []func() (string, error){
		func() (string, error) { return r.dir, nil },
		func() (string, error) { return filepath.EvalSymlinks(r.dir) },
	} {
		base, err := dir()
		if err != nil {
			continue
		}
		if rel, err := filepath.Rel(base, clean); err == nil && filepath.IsLocal(rel) && rel != "." {
			return rel, true
		}
	}
	return "", false
}

// open opens a regular file, which no symlink may lead out of the root.
func (r root) open(rel string) (*os.File, fs.FileInfo, error) {
	dir, err := os.OpenRoot(r.dir)
	if err != nil {
		return nil, nil, err
	}
	defer dir.Close()
	f, err := dir.OpenFile(rel, openFlags, 0)
	var errno syscall.Errno
	if err != nil && !errors.As(err, &errno) {
		// Not the system's error but os.Root's: a link that leads out, or an
		// absolute one, which may well end inside.
		if rel, err = r.resolve(rel); err == nil {
			f, err = dir.OpenFile(rel, openFlags, 0)
		}
	}
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errIrregular
	}
	if err != nil {
		_ = f.Close() // the other error counts
		return nil, nil, err
	}
	return f, info, nil
}

// resolve is a name within the root without symlinks.
func (r root) resolve(rel string) (string, error) {
	base, err := filepath.EvalSymlinks(r.dir)
	if err != nil {
		return "", err
	}
	target, err := filepath.EvalSymlinks(filepath.Join(base, rel))
	if err != nil {
		return "", err
	}
	rel, err = filepath.Rel(base, target)
	if err != nil || !filepath.IsLocal(rel) {
		return "", errOutside
	}
	return rel, nil
}
