//go:build unix

package logfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// tree makes a folder that is ours alone, with one in it, "theirs", that
// others may write in.
func tree(t *testing.T) (dir, theirs string) {
	t.Helper()
	dir = t.TempDir()
	theirs = filepath.Join(dir, "theirs")
	if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(theirs, 0o755), os.Chmod(theirs, 0o777)); err != nil {
		t.Fatal(err)
	}
	return dir, theirs
}

func say(t *testing.T, path string, careful bool, text string) error {
	t.Helper()
	f, err := open(path, careful)
	if err != nil {
		return err
	}
	defer f.Close()
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_NONBLOCK != 0 {
		t.Errorf("%s: flags %#x, %v", path, flags, err)
	}
	_, err = f.WriteString(text)
	return err
}

func TestOpen(t *testing.T) {
	for _, careful := range []bool{false, true} {
		dir, theirs := tree(t)
		for _, path := range []string{filepath.Join(dir, "a.log"), filepath.Join(theirs, "a.log")} {
			if err := errors.Join(say(t, path, careful, "1"), say(t, path, careful, "2")); err != nil {
				t.Error(err)
			}
			info, err := os.Stat(path)
			if b, _ := os.ReadFile(path); err != nil || string(b) != "12" || info.Mode().Perm()&^0o640 != 0 {
				t.Errorf("%q, %v, %v", b, info.Mode(), err)
			}
		}
		if err := say(t, os.DevNull, careful, "x"); err != nil {
			t.Error(err)
		}
		if err := say(t, filepath.Join(dir, "none", "a.log"), careful, ""); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	}
}

// TestLinks: root follows links that are root's, and none that an app's user
// can have made.
func TestLinks(t *testing.T) {
	dir, theirs := tree(t)
	target := filepath.Join(dir, "target")
	if err := errors.Join(
		os.Mkdir(filepath.Join(dir, "real"), 0o755),
		os.Symlink(target, filepath.Join(dir, "last")),
		os.Symlink("real", filepath.Join(dir, "folder")),
		os.Symlink("folder/../last", filepath.Join(dir, "twice")),
		os.Symlink("/", filepath.Join(dir, "root")),
		os.Symlink("loop", filepath.Join(dir, "loop")),
		os.Symlink(target, filepath.Join(theirs, "last")),
		os.Symlink(dir, filepath.Join(theirs, "folder")),
		os.Symlink(filepath.Join(theirs, "last"), filepath.Join(dir, "into")),
	); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"last", "folder/a.log", "twice"} {
		if err := say(t, filepath.Join(dir, path), true, "x"); err != nil {
			t.Error(err)
		}
	}
	if b, err := os.ReadFile(target); string(b) != "xx" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "real", "a.log")); err != nil {
		t.Error(err)
	}
	for _, path := range []string{"theirs/last", "theirs/folder/b.log", "into"} {
		var e *Error
		if err := say(t, filepath.Join(dir, path), true, "bad"); !errors.As(err, &e) || e.Hint() == "" {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := say(t, filepath.Join(dir, "loop"), true, "bad"); !errors.Is(err, unix.ELOOP) {
		t.Error(err)
	}
	if err := say(t, filepath.Join(dir, "root"), true, "bad"); err == nil {
		t.Error("a folder is no log")
	}
	if b, _ := os.ReadFile(target); strings.Contains(string(b), "bad") {
		t.Error("root wrote through another's link")
	}
	if _, err := os.Lstat(filepath.Join(dir, "b.log")); err == nil {
		t.Error("root made a file through another's link")
	}
	if err := say(t, filepath.Join(theirs, "last"), false, ""); err != nil { // not as root: that is the kernel's to allow
		t.Error(err)
	}
	if err := os.Link(target, filepath.Join(theirs, "hard")); err != nil {
		t.Fatal(err)
	}
	var e *Error
	if err := say(t, filepath.Join(theirs, "hard"), true, "bad"); !errors.As(err, &e) {
		t.Errorf("a hard link: %v", err)
	}
}

// TestLinkOfAnother: a link in our folder that is another user's.
func TestLinkOfAnother(t *testing.T) {
	if os.Geteuid() != 0 {
		return // only root can give a link away; TestLinks has the rest
	}
	dir, _ := tree(t)
	link := filepath.Join(dir, "link")
	if err := errors.Join(os.Symlink(filepath.Join(dir, "target"), link), os.Lchown(link, 1234, 1234)); err != nil {
		t.Fatal(err)
	}
	var e *Error
	if err := say(t, link, true, "bad"); !errors.As(err, &e) {
		t.Error(err)
	}
}

// TestPipe: neither open nor a later write waits for who reads a pipe.
func TestPipe(t *testing.T) {
	for _, careful := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "pipe")
		if err := unix.Mkfifo(path, 0o666); err != nil {
			t.Fatal(err)
		}
		var e *Error
		if err := say(t, path, careful, ""); !errors.As(err, &e) {
			t.Errorf("without a reader: %v", err)
		}
		r, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := say(t, path, careful, ""); !errors.As(err, &e) {
			t.Errorf("with a reader: %v", err)
		}
		r.Close()
	}
}

// TestStreams: /dev/stderr is the stream that we have, also by a link, and
// whatever it is.
func TestStreams(t *testing.T) {
	for _, careful := range []bool{false, true} {
		link := filepath.Join(t.TempDir(), "error.log")
		if err := os.Symlink("/dev/stderr", link); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/dev/stderr", link} {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			said := withStderr(t, w, func() error { return say(t, path, careful, "hello") })
			w.Close()
			b := make([]byte, 10)
			if n, err := r.Read(b); said != nil || string(b[:n]) != "hello" {
				t.Errorf("%s: %v, %q, %v", path, said, b[:n], err)
			}
			r.Close()
		}
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	w := os.NewFile(uintptr(fds[0]), "socket")
	defer w.Close()
	defer unix.Close(fds[1])
	if err := withStderr(t, w, func() error { return say(t, "/dev/stderr", true, "hello") }); err != nil {
		t.Error(err)
	}
}

// withStderr calls f with w as descriptor 2.
func withStderr(t *testing.T, w *os.File, f func() error) error {
	t.Helper()
	kept, err := unix.FcntlInt(2, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(unix.Dup2(kept, 2), unix.Close(kept)); err != nil {
			t.Fatal(err)
		}
	}()
	if err := unix.Dup2(int(w.Fd()), 2); err != nil {
		t.Fatal(err)
	}
	return f()
}

// TestRead: root reads what the path says, and not where another leads it.
func TestRead(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	if err := os.WriteFile(key, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(key, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, careful := range []bool{false, true} {
		f, err := read(key, careful)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(f); string(b) != "secret" || err != nil {
			t.Errorf("%q, %v", b, err)
		}
		f.Close()
		for _, name := range []string{"pipe", "none", "."} {
			if f, err := read(filepath.Join(dir, name), careful); err == nil {
				f.Close()
				t.Errorf("%s was opened (careful: %v)", name, careful)
			}
		}
	}
	if f, err := read(filepath.Join(dir, "link"), true); err != nil {
		t.Errorf("our own link, in our own folder: %v", err)
	} else {
		f.Close()
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if f, err := read(filepath.Join(dir, "link"), true); err == nil {
		f.Close()
		t.Error("a link that anybody may change was followed")
	}
	if err := os.Link(key, filepath.Join(dir, "second")); err != nil {
		t.Fatal(err)
	}
	if f, err := read(key, true); err == nil {
		f.Close()
		t.Error("a file of two names was opened")
	}
}
