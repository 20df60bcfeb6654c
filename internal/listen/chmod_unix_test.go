//go:build unix

package listen

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestSetModeReplaced: whoever owns the folder puts another file where the
// socket was, by a link or by its name; its mode stays.
func TestSetModeReplaced(t *testing.T) {
	for name, replace := range map[string]func(target, path string) error{
		"a symbolic link": os.Symlink,
		"a hard link":     os.Link,
		"a link to the socket": func(_, path string) error {
			if err := os.Rename(path+".kept", path+".other"); err != nil {
				return err
			}
			return os.Symlink(path+".other", path)
		},
	} {
		dir := t.TempDir()
		target, path := filepath.Join(dir, "target"), filepath.Join(dir, "a.sock")
		if err := os.WriteFile(target, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := Open("unix:"+path, Options{Mode: 0o600})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path, path+".kept"); err != nil {
			t.Fatal(err)
		}
		if err := replace(target, path); err != nil {
			t.Fatal(err)
		}
		if err := l.SetMode(0o666); err == nil {
			t.Errorf("%s: the mode was changed", name)
		}
		for _, f := range []string{target, path} {
			if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", name, info.Mode(), err)
			}
		}
		l.Close()
	}
}

func TestSetModeAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.sock")
	l, err := Open("unix:"+path, Options{Mode: 0o600})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, mode := range []fs.FileMode{0o600, 0o660, 0o660, 0o600} {
		if err := l.SetMode(mode); err != nil {
			t.Error(err)
		}
		if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%v, %v; want %v", info.Mode(), err, mode)
		}
	}
}
