package supervise

import (
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ownerWalk is the way to a program, folder by folder, each held open.
type ownerWalk struct {
	at     string // path so far
	fd     int
	owners []ownedFolder
}

type ownedFolder struct {
	path string
	uid  uint32
}

// chooseOwned is choose with AsOwner. home is whose home root is; nil: it is
// none.
func (f *Folder) chooseOwned(root string, home *user.User, rel string) (*chosen, error) {
	real, err := filepath.EvalSymlinks(root) // which are the administrator's
	if err != nil {
		return nil, err
	}
	w := &ownerWalk{at: real, fd: -1}
	if err := w.down(unix.AT_FDCWD, real, 0); err != nil {
		return nil, err
	}
	names := strings.Split(rel, "/")
	if home != nil {
		names = append(strings.Split(f.Home, "/"), names...)
	}
	last := names[len(names)-1]
	for _, name := range names[:len(names)-1] {
		w.at += "/" + name
		if err := w.down(w.fd, name, unix.O_NOFOLLOW); err != nil {
			return nil, err
		}
	}
	file := w.at + "/" + last
	fd, err := unix.Openat(w.fd, last, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: file, Err: err}
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, &os.PathError{Op: "stat", Path: file, Err: err}
	}
	if err := f.mayRun(file, &st); err != nil {
		return nil, err
	}
	if home != nil && strconv.FormatUint(uint64(st.Uid), 10) != home.Uid {
		return nil, refused("%s belongs to uid %d, and not to %s, whose home it is in", file, st.Uid, home.Username)
	}
	for i, folder := range w.owners {
		switch mine := folder.uid == st.Uid; {
		case i == len(w.owners)-1 && !mine:
			return nil, refused("%s belongs to uid %d, and its folder to uid %d", file, st.Uid, folder.uid)
		case !mine && folder.uid != 0:
			return nil, refused("%s belongs to uid %d, and %s above it to uid %d", file, st.Uid, folder.path, folder.uid)
		}
	}
	c := &chosen{path: file, folder: w.fd, file: fd}
	if c.user, err = userOf(st.Uid); err != nil {
		return nil, refused("%s: %s", file, err)
	}
	if c.user.GID < f.AsOwner.MinGID {
		return nil, refused("%s: its owner's group has the number %d, and the least is %d", file, c.user.GID, f.AsOwner.MinGID)
	}
	return c, nil
}

// down goes to a folder.
func (w *ownerWalk) down(dir int, name string, flags int) error {
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC|flags, 0)
	if err != nil {
		var st unix.Stat_t
		if flags&unix.O_NOFOLLOW != 0 && unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
			return refused("%s is a symbolic link", w.at)
		}
		return &os.PathError{Op: "open", Path: w.at, Err: err}
	}
	if w.fd >= 0 {
		_ = unix.Close(w.fd)
	}
	w.fd = fd
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &os.PathError{Op: "stat", Path: w.at, Err: err}
	}
	if st.Mode&0o022 != 0 {
		return refused("the folder %s can be written by others than its owner (mode %04o)", w.at, st.Mode&0o7777)
	}
	w.owners = append(w.owners, ownedFolder{w.at, st.Uid})
	return nil
}

// mayRun checks a program's file by itself.
func (f *Folder) mayRun(file string, st *unix.Stat_t) error {
	interpreted := f.interpreter(file) != ""
	switch {
	case st.Mode&unix.S_IFMT == unix.S_IFLNK:
		return refused("%s is a symbolic link", file)
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return refused("%s is no file", file)
	case st.Mode&0o022 != 0:
		return refused("%s can be written by others than its owner (mode %04o)", file, st.Mode&0o7777)
	case st.Mode&(unix.S_ISUID|unix.S_ISGID) != 0:
		return refused("%s has a setuid or setgid bit (mode %04o)", file, st.Mode&0o7777)
	case st.Mode&0o100 == 0 && !interpreted:
		return refused("%s is not executable by its owner (mode %04o)", file, st.Mode&0o7777)
	case st.Uid == 0:
		return refused("%s belongs to root", file)
	case st.Uid < f.AsOwner.MinUID:
		return refused("%s belongs to uid %d, and the least is %d", file, st.Uid, f.AsOwner.MinUID)
	case st.Gid < f.AsOwner.MinGID:
		return refused("%s has the group %d, and the least is %d", file, st.Gid, f.AsOwner.MinGID)
	}
	return nil
}

// run executes the program; it returns if that failed. The process is its user
// by now, and in its folder.
func (c *chosen) run(path string, args, env []string) error {
	if c.file < 0 || path != args[0] || !strings.HasPrefix(path, "./") {
		return syscall.Exec(path, args, env)
	}
	// The name must still be what was checked: its owner may be at work.
	var checked, now unix.Stat_t
	if err := unix.Fstat(c.file, &checked); err != nil {
		return err
	}
	if err := unix.Fstatat(unix.AT_FDCWD, path, &now, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if now.Dev != checked.Dev || now.Ino != checked.Ino {
		return refused("%s is another file by now", c.path)
	}
	if isScript(c.file) {
		return syscall.Exec(path, args, env)
	}
	err := execDescriptor(c.file, args, env)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOSYS) { // a script after all, without /proc; before Linux 3.19
		return syscall.Exec(path, args, env)
	}
	return err
}

// isScript reports whether an interpreter is to open the file by its name.
func isScript(fd int) bool {
	f, err := os.Open("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil { // it may be executed and not read, as no script can
		return false
	}
	defer f.Close()
	var mark [2]byte
	n, _ := f.Read(mark[:])
	return n == 2 && string(mark[:]) == "#!"
}

// execDescriptor is fexecve(3).
func execDescriptor(fd int, args, env []string) error {
	argv, err := syscall.SlicePtrFromStrings(args)
	if err != nil {
		return err
	}
	envp, err := syscall.SlicePtrFromStrings(env)
	if err != nil {
		return err
	}
	empty, err := syscall.BytePtrFromString("")
	if err != nil {
		return err
	}
	_, _, errno := unix.RawSyscall6(unix.SYS_EXECVEAT, uintptr(fd), uintptr(unsafe.Pointer(empty)),
		uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&envp[0])), unix.AT_EMPTY_PATH, 0)
	return errno
}

func enterFolder(fd int) error { return unix.Fchdir(fd) }
