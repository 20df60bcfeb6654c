package server

// Reading a maintenance page.
//
// Its folder is often an app's, whose user may put there what he likes, and a
// keeper that is root reads it. So it is read as the user of [server]: what he
// may not read himself is refused, wherever symlinks lead.

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"millrace/internal/supervise"
)

// readPage reads a file of at most maxPage bytes that a user may read; nil:
// that we may.
func readPage(path string, as *supervise.User) ([]byte, error) {
	f, err := openPage(path, as)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("it is no file")
	case !mayBy(info, as, mayRead):
		return nil, fmt.Errorf("%s, the user of [server], may not read it", shownUser(as))
	}
	text, err := io.ReadAll(io.LimitReader(f, maxPage+1))
	if err == nil && len(text) > maxPage {
		err = fmt.Errorf("it is larger than %d bytes", maxPage)
	}
	return text, err
}

// openFlags let a named pipe not hold us.
const openFlags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC

// openPage opens a path whose folders the user may enter. They are opened one
// after the other: what is looked at is what is gone through, whatever is
// renamed meanwhile.
func openPage(path string, as *supervise.User) (*os.File, error) {
	if as == nil {
		return os.OpenFile(path, openFlags, 0)
	}
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return nil, err
	}
	at, err := os.OpenFile("/", openFlags|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	names := strings.Split(strings.Trim(real, "/"), "/")
	for i, name := range names {
		flags := openFlags | unix.O_NOFOLLOW
		if i < len(names)-1 {
			flags |= unix.O_DIRECTORY
		}
		if at, err = step(at, name, flags, as); err != nil {
			return nil, err
		}
	}
	return at, nil
}

// step opens what has a name in a folder, and closes the folder.
func step(folder *os.File, name string, flags int, as *supervise.User) (*os.File, error) {
	defer folder.Close()
	info, err := folder.Stat()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(folder.Name(), name)
	if !mayBy(info, as, mayEnter) {
		return nil, fmt.Errorf("%s, the user of [server], may not enter %s", shownUser(as), folder.Name())
	}
	fd, err := unix.Openat(int(folder.Fd()), name, flags, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

const (
	mayEnter = 1
	mayRead  = 4
)

// mayBy reports whether the mode of a file allows a user something; what an
// access control list says besides is not looked at. nil is who we are, whom
// the system has let already.
func mayBy(info fs.FileInfo, as *supervise.User, what fs.FileMode) bool {
	if as == nil || as.UID == 0 {
		return true
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	mode := info.Mode().Perm()
	switch {
	case st.Uid == as.UID:
		mode >>= 6
	case st.Gid == as.GID, slices.Contains(as.Groups, st.Gid):
		mode >>= 3
	}
	return mode&what != 0
}

func shownUser(u *supervise.User) string {
	if u.Name != "" {
		return u.Name
	}
	return "uid " + strconv.FormatUint(uint64(u.UID), 10)
}
