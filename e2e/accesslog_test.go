package e2e

// The access log of a running server: a format, and rotation by who may.

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAccessLogRotates: files are renamed in a folder that the front cannot
// write in, and no line is lost.
func TestAccessLogRotates(t *testing.T) {
	dir := t.TempDir()
	config := "[[site]]\nlisten = [\"127.0.0.1:0\"]\nroot = \"www\"\naccess_log = \"log/access.log\"\nlog_format = \"json\"\naccess_log_max_size = \"20KB\"\naccess_log_keep = 50\n"
	if os.Geteuid() == 0 {
		open(t, filepath.Dir(dir), dir, filepath.Dir(binary))
		config = "[server]\nuser = \"61000\"\ngroup = \"61000\"\n" + config
	}
	for _, err := range []error{
		os.Mkdir(filepath.Join(dir, "log"), 0o700), os.Mkdir(filepath.Join(dir, "www"), 0o755), os.Chmod(filepath.Join(dir, "www"), 0o755),
		os.WriteFile(filepath.Join(dir, "www", "x"), []byte("x"), 0o644), os.WriteFile(filepath.Join(dir, "millrace.toml"), []byte(config), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s := startWith(t, dir, 2)
	c := client(t)
	rotated := func() []string {
		names, err := filepath.Glob(filepath.Join(dir, "log", "access.log.*"))
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	asked := 0
	s.waitFor("three rotations", func() bool {
		for range 20 {
			get(t, c, s.url+"/x", 200)
			asked++
		}
		return len(rotated()) >= 3
	})
	s.stop()
	lines := 0
	for _, name := range append(rotated(), filepath.Join(dir, "log", "access.log")) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var e struct{ Status, Bytes int }
			if err := json.Unmarshal([]byte(line), &e); err != nil || e.Status != 200 || e.Bytes != 1 {
				t.Fatalf("%v in %s", err, line)
			}
			lines++
		}
	}
	if lines != asked {
		t.Errorf("%d lines, %d requests", lines, asked)
	}
}
