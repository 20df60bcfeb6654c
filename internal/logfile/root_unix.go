//go:build unix

package logfile

// How root opens a log, or a file to read for another (read_unix.go). Its folder may be an app's, whose user may change it at
// any moment: so the path is walked folder by folder, each by its descriptor. A
// symbolic link on the way is followed if it is root's (or ours) and lies in a
// folder that nobody else may write in, as those are that a distribution or an
// administrator makes; any other link is an error. So is a file that has a
// second name.

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks is how many symbolic links a path may lead through, as the kernel
// has it.
const maxLinks = 40

func openCarefully(path string) (*os.File, error) {
	dir, name, own, err := walk(path)
	if err != nil || own != nil {
		return own, err
	}
	defer func() { _ = unix.Close(dir) }()
	fd, err := unix.Openat(dir, name, openFlags|unix.O_NOFOLLOW, mode)
	if err != nil {
		return nil, openError(path, err)
	}
	return checked(path, fd, true)
}

// walk walks to the folder that holds what path names: its descriptor, and the
// name there, which is no link. own is one of our streams, when path leads to
// that.
func walk(path string) (dir int, name string, own *os.File, err error) {
	left := components(path)
	dir, err = unix.Open("/", folderFlags, 0)
	if err != nil {
		return -1, "", nil, &fs.PathError{Op: "open", Path: "/", Err: err}
	}
	there := false
	defer func() {
		if !there {
			_ = unix.Close(dir)
		}
	}()
	for links := 0; ; {
		if len(left) == 0 {
			return -1, "", nil, errKind(path, "a folder")
		}
		name := left[0]
		target, err := readLink(path, dir, name)
		switch {
		case err != nil:
			return -1, "", nil, err
		case target != "":
			if links++; links > maxLinks {
				return -1, "", nil, &fs.PathError{Op: "open", Path: path, Err: unix.ELOOP}
			}
			left = append(components(target), left[1:]...)
			if !strings.HasPrefix(target, "/") {
				continue
			}
			if whole := filepath.Clean("/" + strings.Join(left, "/")); streams[whole] > 0 {
				own, err := stream(path, streams[whole])
				return -1, "", own, err
			}
			name = "/" // and the target from there
		case len(left) == 1:
			there = true
			return dir, name, nil, nil
		default:
			left = left[1:]
		}
		next, err := unix.Openat(dir, name, folderFlags|unix.O_NOFOLLOW, 0)
		if err != nil {
			return -1, "", nil, &fs.PathError{Op: "open", Path: path, Err: err}
		}
		_ = unix.Close(dir)
		dir = next
	}
}

func components(path string) []string {
	return strings.FieldsFunc(path, func(c rune) bool { return c == '/' })
}

// readLink is where a link leads that may be followed; "": it is none.
func readLink(path string, dir int, name string) (string, error) {
	fail := func(err error) (string, error) { return "", &fs.PathError{Op: "open", Path: path, Err: err} }
	var link, folder unix.Stat_t
	err := unix.Fstatat(dir, name, &link, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case errors.Is(err, unix.ENOENT), err == nil && uint32(link.Mode)&unix.S_IFMT != unix.S_IFLNK:
		return "", nil
	case err != nil:
		return fail(err)
	}
	if err := unix.Fstat(dir, &folder); err != nil {
		return fail(err)
	}
	if !trusted(link.Uid) || !trusted(folder.Uid) || folder.Mode&0o022 != 0 {
		return "", &Error{
			path, "there is a symbolic link on the way, " + name + ", that others than root may change",
			"name the file that it leads to; root follows its own links alone, in folders where nobody else may write",
		}
	}
	target := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dir, name, target)
	switch {
	case err != nil:
		return fail(err)
	case n == 0 || n == len(target):
		return fail(unix.ENAMETOOLONG)
	}
	return string(target[:n]), nil
}

func trusted(uid uint32) bool { return uid == 0 || int(uid) == os.Geteuid() }
