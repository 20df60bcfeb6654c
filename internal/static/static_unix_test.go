//go:build unix

package static

import (
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// What is not a regular file is not there, and does not block: this test
// would hang.
func TestSpecialFiles(t *testing.T) {
	dir := tree(t, map[string]string{"null": "-> /dev/null", "tty": "-> /dev/tty", "d/x": "x"})
	for _, name := range []string{"fifo", "d/index.html"} {
		if err := syscall.Mkfifo(filepath.Join(dir, name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir) // a socket's path is short
	l, err := net.Listen("unix", "sock")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, follow := range []bool{false, true} {
		h := handler(t, Options{Roots: []string{dir}, FollowSymlinks: follow})
		for _, name := range []string{"/fifo", "/sock", "/null", "/tty", "/d/"} {
			if w := get(h, "GET", name); w.Code != 404 {
				t.Errorf("GET %s: %d, want 404", name, w.Code)
			}
		}
	}
}

// TestForbidden needs a user whom rights bind: as root the test binary runs
// the test again as nobody.
func TestForbidden(t *testing.T) {
	dir := os.Getenv("STATIC_TEST_FORBIDDEN")
	if dir == "" {
		dir = tree(t, map[string]string{"secret": "x", "closed/a": "x", "open": "x"})
		for name, mode := range map[string]os.FileMode{".": 0o755, "..": 0o755, "secret": 0, "closed": 0} {
			if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
				t.Fatal(err)
			}
		}
		t.Cleanup(func() { os.Chmod(filepath.Join(dir, "closed"), 0o755) })
	}
	if os.Geteuid() == 0 {
		exe := filepath.Join(dir, "static.test") // where nobody may execute it
		path, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		self, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(exe, self, 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(exe, "-test.run=^TestForbidden$", "-test.v")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "STATIC_TEST_FORBIDDEN="+dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestForbidden") {
			t.Errorf("as nobody: %v\n%s", err, out)
		}
		return
	}
	var log logged
	h := handler(t, Options{Roots: []string{dir}, Log: log.logger()})
	for name, status := range map[string]int{"/open": 200, "/secret": 403, "/closed/a": 403, "/closed": 403, "/closed/": 403} {
		w := get(h, "GET", name)
		if w.Code != status {
			t.Errorf("GET %s: %d, want %d", name, w.Code, status)
		}
	}
	if !strings.Contains(log.String(), "name=secret") {
		t.Errorf("the log does not name the file: %q", log.String())
	}
	if strings.Contains(get(h, "GET", "/secret").Body.String(), dir) {
		t.Error("the client is told where the root is")
	}
}

func TestNoDescriptorStays(t *testing.T) {
	dir := tree(t, map[string]string{"a": "a", "d/x": "x", "big": strings.Repeat("x", 100_000)})
	open := func() int {
		entries, err := os.ReadDir("/dev/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	before := open()
	h, err := New(Options{Roots: []string{dir, dir}})
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		for _, c := range [][]string{{"/a"}, {"/d"}, {"/d/"}, {"/big"}, {"/none"}, {"/a", "Range", "bytes=0-0"}, {"/a", "If-None-Match", "*"}} {
			w := httptest.NewRecorder()
			*w = *get(h, "GET", c[0], c[1:]...)
			if w.Code >= 500 {
				t.Errorf("%s: %d", c[0], w.Code)
			}
		}
	}
	// A root that becomes another folder lets go of the old one.
	for i := range 50 {
		if err := os.Rename(dir, dir+"x"); err != nil {
			t.Fatal(err)
		}
		grow(t, dir, map[string]string{"a": "new"})
		soon(h)
		if w := get(h, "GET", "/a"); w.Body.String() != "new" {
			t.Fatalf("change %d is not seen: %q", i, w.Body)
		}
		if err := os.RemoveAll(dir + "x"); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if after := open(); after > before {
		t.Errorf("%d descriptors are open, %d were before", after, before)
	}
}
