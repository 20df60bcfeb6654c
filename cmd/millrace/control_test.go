package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestControlOf(t *testing.T) {
	root := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", root)
	t.Chdir(root)
	site := filepath.Join(root, "site")
	write(t, site+"/millrace.toml", "[app.main]\nwsgi = \"a:b\"\n")
	write(t, site+"/other.toml", "[app.main]\nwsgi = \"a:b\"\n")
	write(t, site+"/said.toml", "[server]\ncontrol = \"said.sock\"\n[app.main]\nwsgi = \"a:b\"\n")
	if err := os.Symlink(site, root+"/link"); err != nil {
		t.Fatal(err)
	}
	of := func(given, target string) string {
		t.Helper()
		socket, err := controlOf(given, target)
		if err != nil {
			t.Fatal(err)
		}
		return socket
	}
	first := of("", "site")
	if filepath.Dir(first) != root+"/millrace" {
		t.Errorf("%s is not in the runtime folder", first)
	}
	for _, same := range []string{"site/", "./site", site, "site/millrace.toml", "link", "link/millrace.toml"} {
		if got := of("", same); got != first {
			t.Errorf("%s: %s, want %s", same, got, first)
		}
	}
	here := of("", "")
	for _, same := range []string{".", root, "app:app", "gone.py"} {
		if got := of("", same); got != here {
			t.Errorf("%s: %s, want %s", same, got, here)
		}
	}
	for _, missing := range []string{"typo", "typo.toml", "no/folder", "site/typo.toml", "site/no/millrace.toml"} {
		if got := of("", missing); got == here || got == first {
			t.Errorf("%s, which is missing, is %s: another's", missing, got)
		}
		if named, err := namedPlace(missing); err != nil || named == root || named == site {
			t.Errorf("%s, which is missing, is found at %s, %v", missing, named, err)
		}
	}
	for _, gone := range []string{"site/other.toml", "link/other.toml", "site/millrace.toml"} {
		before := of("", gone)
		aside := gone + ".aside"
		if err := os.Rename(gone, aside); err != nil {
			t.Fatal(err)
		}
		if got := of("", gone); got != before {
			t.Errorf("%s, once it has gone: %s, want %s", gone, got, before)
		}
		if err := os.Rename(aside, gone); err != nil {
			t.Fatal(err)
		}
	}
	if other := of("", "site/other.toml"); other == first || other == here {
		t.Errorf("other.toml shares %s", other)
	}
	if got := of("", "site/said.toml"); got != site+"/said.sock" {
		t.Errorf("said.toml: %s", got)
	}
	// A configuration that is broken while it is served.
	write(t, site+"/millrace.toml", "[app.main\n")
	if _, err := controlOf("", "site"); err == nil || !strings.Contains(err.Error(), "millrace.toml:1:") {
		t.Errorf("a broken one, with nobody there: %v", err)
	}
	write(t, first, "")
	if got := of("", "site"); got != first {
		t.Errorf("a broken one that is served: %s, want %s", got, first)
	}
	if got := of("x.sock", "site/said.toml"); got != root+"/x.sock" {
		t.Errorf("--control: %s", got)
	}
}

// TestRuntimeFolder: a folder that somebody else made is not trusted.
func TestRuntimeFolder(t *testing.T) {
	base := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", base)
	dir, err := runtimeFolder()
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	refused := func(why string) {
		t.Helper()
		_, err := runtimeFolder()
		var f *failure
		if !errors.As(err, &f) || !strings.Contains(err.Error(), why) || f.hint == "" {
			t.Errorf("error %v, want %q", err, why)
		}
	}
	if err := os.Chmod(dir, 0o770); err != nil {
		t.Fatal(err)
	}
	refused("others than its owner")
	if os.Getuid() == 0 {
		if err := errors.Join(os.Chmod(dir, 0o700), os.Chown(dir, 12345, 12345)); err != nil {
			t.Fatal(err)
		}
		refused("another user")
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(t.TempDir(), dir); err != nil {
		t.Fatal(err)
	}
	refused("not a folder")
}

func TestErrorLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "error.log")
	var stream strings.Builder
	l, err := openErrorLog(path, &stream)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	l.logger().Info("first")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	l.logger().Info("second")
	if err := l.reopen(); err != nil {
		t.Fatal(err)
	}
	l.logger().Info("third")
	for name, want := range map[string]string{path + ".1": "first second", path: "third"} {
		text, err := os.ReadFile(name)
		if err != nil || len(strings.Split(strings.TrimSpace(string(text)), "\n")) != len(strings.Fields(want)) {
			t.Errorf("%s: %q, %v; want %s", name, text, err, want)
		}
	}
	if stream.Len() != 0 {
		t.Errorf("stderr got %q", stream.String())
	}
	if _, err := openErrorLog(t.TempDir(), &stream); err == nil || !strings.Contains(err.Error(), "cannot open the error log") {
		t.Errorf("a folder as error log: %v", err)
	}
}
