package docroot

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Folder is an open folder. It is for one goroutine at a time.
type Folder struct {
	fd   int // with O_PATH: the right to pass through it is enough
	real string
}

const pathFlags = unix.O_PATH | unix.O_CLOEXEC

// Open opens a folder; symbolic links on the way to it are followed.
func Open(dir string) (*Folder, error) {
	fd, err := openat(unix.AT_FDCWD, dir, pathFlags|unix.O_DIRECTORY)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	real, err := realPath(fd, dir)
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return &Folder{fd, real}, nil
}

// Beneath opens a folder below f, which no symbolic link may lead out of.
func (f *Folder) Beneath(rel string) (*Folder, error) {
	how := unix.OpenHow{Flags: pathFlags | unix.O_DIRECTORY, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS}
	fd, err := openat2(f.fd, rel, &how)
	if err == unix.EXDEV { // a link that leads out, or one that is absolute and may end inside
		if target, bad := filepath.EvalSymlinks(filepath.Join(f.real, rel)); bad == nil {
			if inside, bad := filepath.Rel(f.real, target); bad == nil && filepath.IsLocal(inside) {
				fd, err = openat2(f.fd, inside, &how)
			}
		}
	}
	if err == unix.EXDEV {
		err = unix.ENOENT
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: filepath.Join(f.real, rel), Err: err}
	}
	real, err := realPath(fd, filepath.Join(f.real, rel))
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return &Folder{fd, real}, nil
}

// Close closes the folder.
func (f *Folder) Close() error { return unix.Close(f.fd) }

// realPath is the path of a folder that is open, as the kernel has it.
func realPath(fd int, dir string) (string, error) {
	var room [512]byte
	n, err := unix.Readlink("/proc/self/fd/"+strconv.Itoa(fd), room[:])
	if err == nil && n < len(room) && room[0] == '/' {
		return string(room[:n]), nil
	}
	abs, err := filepath.Abs(dir) // without /proc, or a long one
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}

func (f *Folder) look(rel string, follow bool) (Info, error) {
	how := unix.OpenHow{Flags: pathFlags}
	if !follow {
		how.Resolve = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS
	}
	fd, err := openat2(f.fd, rel, &how)
	switch err {
	case nil:
	case unix.ENOENT, unix.ENOTDIR, unix.EACCES:
		return Info{}, &fs.PathError{Op: "open", Path: filepath.Join(f.real, rel), Err: err}
	default: // a link that is absolute, a rename under way, a kernel without the call
		return slowly(f.real, rel, follow)
	}
	defer func() { _ = unix.Close(fd) }()
	return lookAt(fd)
}

func lookAt(fd int) (Info, error) {
	var st unix.Stat_t
	for {
		err := unix.Fstat(fd, &st)
		if err == nil {
			break
		}
		if err != unix.EINTR {
			return Info{}, err
		}
	}
	i := Info{Kind: Other, Exec: st.Mode&0o111 != 0, UID: st.Uid, GID: st.Gid}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		i.Kind = Regular
	case unix.S_IFDIR:
		i.Kind = Dir
	}
	return i, nil
}

// Same reports whether info is of this very folder.
func (f *Folder) Same(info fs.FileInfo) bool {
	var st unix.Stat_t
	theirs, ok := info.Sys().(*syscall.Stat_t)
	return ok && unix.Fstat(f.fd, &st) == nil && st.Dev == theirs.Dev && st.Ino == theirs.Ino
}

func openat(dir int, path string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(dir, path, flags, 0)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

func openat2(dir int, path string, how *unix.OpenHow) (int, error) {
	for tries := 0; ; tries++ {
		fd, err := unix.Openat2(dir, path, how)
		if err != unix.EINTR && (err != unix.EAGAIN || tries > 10) {
			return fd, err
		}
	}
}
