package docroot

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestClean(t *testing.T) {
	for path, want := range map[string]string{
		"/": "", "": "", "/a": "a", "/a/": "a", "//a///b//": "a/b", "/a b/ü": "a b/ü", "/.well-known/x": ".well-known/x", "/...": "-", "/a//.b": "-",
		"/.": "-", "/..": "-", "/a/../b": "-", "/.git/x": "-", "/a/.well-known": "-", "/a\\b": "-", "/a\x00": "-", "/a\n": "-", "/\x7f": "-", "/\xff": "\xff",
	} {
		rel, ok := Clean(path)
		if !ok {
			rel = "-"
		}
		if rel != want {
			t.Errorf("%q is %q, want %q", path, rel, want)
		}
	}
}

func open(t *testing.T, dir string) *Folder {
	t.Helper()
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// folders makes root (inside a folder with a sibling) with links, and returns it.
func folders(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(dir, "root")
	for _, err := range []error{
		os.MkdirAll(filepath.Join(root, "in/deep"), 0o755), os.Mkdir(filepath.Join(dir, "out"), 0o755),
		os.WriteFile(filepath.Join(root, "in/file"), nil, 0o644), os.WriteFile(filepath.Join(root, "run"), nil, 0o755),
		os.Symlink("in", filepath.Join(root, "relative")), os.Symlink(filepath.Join(root, "in"), filepath.Join(root, "absolute")),
		os.Symlink("../out", filepath.Join(root, "leaves")), os.Symlink(filepath.Join(dir, "out"), filepath.Join(root, "leaves2")),
		os.Symlink("loop", filepath.Join(root, "loop")), os.Symlink("/proc/self/root", filepath.Join(root, "magic")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestLook(t *testing.T) {
	root := folders(t)
	f := open(t, root)
	if f.Real() != root {
		t.Errorf("the real path is %s", f.Real())
	}
	for _, c := range []struct {
		rel            string
		kind, followed Kind
	}{
		{"", Dir, Dir}, {"in", Dir, Dir}, {"in/file", Regular, Regular}, {"run", Regular, Regular}, {"none", None, None}, {"in/file/x", None, None},
		{"relative/file", Regular, Regular}, {"absolute/file", Regular, Regular}, {"relative", Dir, Dir}, {"absolute", Dir, Dir},
		{"leaves", None, Dir}, {"leaves2", None, Dir}, {"magic", None, Dir}, {"loop", None, None}, {"../out", None, None}, {"/etc", None, None}, {"a\x00b", None, None},
		{strings.Repeat("x", 300), None, None}, {strings.Repeat("x/", 3000), None, None},
	} {
		for follow, want := range map[bool]Kind{false: c.kind, true: c.followed} {
			info, err := f.Look(c.rel, follow)
			if err != nil || info.Kind != want {
				t.Errorf("%.50q (follow %v): %+v, %v; want %d", c.rel, follow, info, err, want)
			}
			if slow, err := slowly(root, orDot(c.rel), follow); filepath.IsLocal(orDot(c.rel)) && !strings.Contains(c.rel, "\x00") && (slow.Kind != want || err != nil && !absent(err)) {
				t.Errorf("%.50q (follow %v), slowly: %+v, %v; want %d", c.rel, follow, slow, err, want)
			}
		}
	}
	if info, _ := f.Look("run", false); !info.Exec || info.UID != uint32(os.Getuid()) {
		t.Errorf("run: %+v", info)
	}
	if info, _ := f.Look("in/file", false); info.Exec {
		t.Errorf("in/file: %+v", info)
	}
}

func orDot(rel string) string {
	if rel == "" {
		return "."
	}
	return rel
}

func TestBeneath(t *testing.T) {
	root := folders(t)
	f := open(t, root)
	for rel, want := range map[string]string{
		"in": "in", "in/deep": "in/deep", "relative": "in", "absolute": "in", "absolute/deep": "in/deep",
		"leaves": "", "leaves2": "", "loop": "", "magic": "", "none": "", "run": "", "../out": "",
	} {
		below, err := f.Beneath(rel)
		switch {
		case want == "" && err == nil:
			t.Errorf("%s is %s", rel, below.Real())
		case want == "":
		case err != nil || below.Real() != filepath.Join(root, want):
			t.Errorf("%s: %v", rel, err)
		default:
			info, err := os.Stat(filepath.Join(root, want))
			other, otherErr := os.Stat(root)
			if err != nil || otherErr != nil || !below.Same(info) || below.Same(other) {
				t.Errorf("%s is not the same as itself", rel)
			}
		}
		if err == nil {
			_ = below.Close()
		}
	}
	if _, err := Open(filepath.Join(root, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
	if _, err := Open(filepath.Join(root, "run")); err == nil {
		t.Error("a file is opened as a folder")
	}
}
