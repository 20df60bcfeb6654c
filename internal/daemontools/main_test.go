//go:build unix

package daemontools

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestMain lets the test binary be each of the programs, by the name that it is
// called by: see ourPrograms.
func TestMain(m *testing.M) {
	Main(os.Args)
	flag.Parse()
	if err := flag.Set("test.parallel", "32"); err != nil { // the tests wait for seconds to pass, and work little
		panic(err)
	}
	os.Exit(m.Run())
}

// ourPrograms is a folder with a link to this binary for each program.
func ourPrograms(t testing.TB) string {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "bin")
	if _, err := InstallLinks(dir, binary); err != nil {
		t.Fatal(err)
	}
	return dir
}

// theirPrograms is a folder with the original programs. Where scripts/setup.sh
// has installed them a missing one is a failure.
func theirPrograms(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "bin")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range originals() {
		path, err := exec.LookPath(name)
		if err != nil {
			if _, err := os.Stat("../../.cache/peers.stamp"); err == nil {
				t.Fatalf("%s is not installed: run scripts/setup.sh", name)
			}
			t.Skipf("%s is not installed", name)
		}
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func originals() []string {
	return []string{
		"svscan", "svscanboot", "supervise", "svc", "svok", "svstat", "readproctitle", "fghack", "pgrphack", "setlock",
		"multilog", "tai64n", "tai64nlocal", "setuidgid", "envuidgid", "envdir", "softlimit",
	}
}

// busy is how long a test waits for what is to come at once: no machine is so
// busy that it takes longer. What does not come is a fault, not how late.
const busy = 3 * time.Minute

// until waits for a condition.
func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(busy)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		<-tick.C
	}
}
