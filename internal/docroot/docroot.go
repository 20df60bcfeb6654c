// Package docroot looks names up below a folder that others may write in, such
// as the root of a site's scripts, in a way that leads nowhere else.
//
// A Folder is opened for one request and closed after it: so what its path
// names is always what it names now, also after a deploy has changed a symbolic
// link. A name is looked up relative to the open folder; with Follow a link may
// lead out of it, else what is outside is not there (a link that stays inside
// may always be).
//
// On Linux a look costs one openat2, which the kernel keeps beneath the folder;
// elsewhere, and where the kernel can't, os.Root does it.
package docroot

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Kind is what a name stands for.
type Kind uint8

const (
	None    Kind = iota // nothing, or nothing that may be seen
	Regular             // a file
	Dir                 // a folder
	Other               // a device, a pipe, a socket
)

// Info is what is known of a name.
type Info struct {
	Kind     Kind
	Exec     bool   // somebody may execute it
	UID, GID uint32 // whose it is; 0 on systems without
}

// Real is the folder's path without symbolic links.
func (f *Folder) Real() string { return f.real }

// Look looks up rel, a clean relative path with slashes; "" is the folder
// itself. An error is trouble, as a lack of rights; that there is nothing is
// none.
func (f *Folder) Look(rel string, follow bool) (Info, error) {
	switch {
	case rel == "":
		rel = "."
	case !filepath.IsLocal(filepath.FromSlash(rel)) || strings.IndexByte(rel, 0) >= 0:
		return Info{}, nil
	}
	info, err := f.look(rel, follow)
	if err != nil && absent(err) {
		return Info{}, nil
	}
	return info, err
}

// slowly is Look where no single call does it.
func slowly(real, rel string, follow bool) (Info, error) {
	name := filepath.FromSlash(rel)
	if follow {
		info, err := os.Stat(filepath.Join(real, name))
		return infoOf(info, err)
	}
	root, err := os.OpenRoot(real)
	if err != nil {
		return Info{}, err
	}
	defer root.Close()
	info, err := root.Stat(name)
	var errno syscall.Errno
	if err == nil || errors.As(err, &errno) {
		return infoOf(info, err)
	}
	// Not the system's error but os.Root's: a link that leads out, or one that
	// is absolute. The second kind may well end inside.
	target, err := filepath.EvalSymlinks(filepath.Join(real, name))
	if err != nil {
		return Info{}, err
	}
	inside, err := filepath.Rel(real, target)
	if err != nil || !filepath.IsLocal(inside) {
		return Info{}, fs.ErrNotExist
	}
	info, err = root.Stat(inside)
	if err != nil && !errors.As(err, &errno) {
		err = fs.ErrNotExist // it has become one that leads out
	}
	return infoOf(info, err)
}

func infoOf(info fs.FileInfo, err error) (Info, error) {
	if err != nil {
		return Info{}, err
	}
	i := Info{Kind: Other, Exec: info.Mode()&0o111 != 0}
	switch {
	case info.Mode().IsRegular():
		i.Kind = Regular
	case info.IsDir():
		i.Kind = Dir
	}
	i.UID, i.GID = owner(info)
	return i, nil
}

// absent reports whether an error says that there is nothing at a name, or
// nothing that a name can be.
func absent(err error) bool {
	for _, e := range [...]error{syscall.ENOTDIR, syscall.ELOOP, syscall.ENAMETOOLONG, syscall.EINVAL, syscall.EILSEQ} {
		if errors.Is(err, e) {
			return true
		}
	}
	return errors.Is(err, fs.ErrNotExist)
}

// Clean is a URL's path as a name below a folder: without the slash it begins
// with, and with single ones. ok is false where no name of a file that may be
// seen is meant: "." and "..", a name that begins with a dot (but for
// .well-known at the start, RFC 8615), a backslash, a control character.
func Clean(urlPath string) (rel string, ok bool) {
	for i := range len(urlPath) {
		if c := urlPath[i]; c < ' ' || c == 0x7f || c == '\\' {
			return "", false
		}
	}
	rel = strings.Trim(urlPath, "/")
	if strings.Contains(rel, "//") {
		rel = strings.Join(strings.FieldsFunc(rel, func(c rune) bool { return c == '/' }), "/")
	}
	for i, rest := 0, rel; rest != ""; i++ {
		var segment string
		segment, rest, _ = strings.Cut(rest, "/")
		if segment[0] == '.' && (i > 0 || segment != ".well-known") {
			return "", false
		}
	}
	return rel, true
}
