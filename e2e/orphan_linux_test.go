package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/internal/testkit"
)

// An import that never ends ends with the server, also when that is killed.
func TestNoOrphanOfAnEndlessImport(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "app.py"), []byte("import os\nopen('importing', 'w').close()\nwhile True:\n    pass\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := launch(t, dir, "app:application")
	s.waitFor("the import runs", func() bool {
		_, err := os.Stat(filepath.Join(dir, "importing"))
		return err == nil
	})
	hosts := 0
	for _, line := range s.processes() {
		if strings.Contains(line, "millrace:") {
			hosts++
		}
	}
	if hosts != 1 {
		t.Fatalf("%d hosts among %v", hosts, s.processes())
	}
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for len(s.processes()) > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("left: %v", s.processes())
		}
		testkit.Pause()
	}
}
