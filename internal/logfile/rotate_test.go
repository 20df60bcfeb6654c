package logfile

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestRotate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.log")
	for i := range 5 {
		if err := os.WriteFile(path, []byte{'0' + byte(i)}, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Rotate(path, 3); err != nil {
			t.Fatal(err)
		}
	}
	if err := Rotate(path, 3); err != nil { // there is none now
		t.Fatal(err)
	}
	var got []string
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Name()+"="+string(text))
	}
	if want := []string{"a.log.2=4", "a.log.3=3"}; !slices.Equal(got, want) {
		t.Errorf("there are %q, want %q", got, want)
	}
	if err := Rotate(filepath.Join(dir, "none", "a.log"), 3); os.Geteuid() == 0 && err == nil {
		t.Error("a folder that is not there is no error")
	}
}

// What an app's user puts in the way leads root nowhere else.
func TestRotateAsRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("as root it is another way")
	}
	dir := t.TempDir()
	other := filepath.Join(dir, "other")
	for _, err := range []error{
		os.Mkdir(filepath.Join(dir, "app"), 0o755), os.Mkdir(other, 0o755), os.WriteFile(filepath.Join(other, "a.log"), nil, 0o600),
		os.Symlink(other, filepath.Join(dir, "app", "log")), os.Chown(filepath.Join(dir, "app"), 61001, 61001), os.Lchown(filepath.Join(dir, "app", "log"), 61001, 61001),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	err := Rotate(filepath.Join(dir, "app", "log", "a.log"), 3)
	if _, there := os.Stat(filepath.Join(other, "a.log")); err == nil || !strings.Contains(err.Error(), "symbolic link") || there != nil {
		t.Errorf("%v, %v", err, there)
	}
}
