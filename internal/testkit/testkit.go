// Package testkit is what the tests of whole programs share: those of millrace
// from outside (e2e), beside the programs that people use (e2e/peers), and beside
// the servers whose configurations it reads (e2e/adapt).
//
// Main builds millrace for a package's tests. Run starts a program and stops it at
// the test's end, Output keeps what it prints, Poll and Eventually wait, Loopback,
// FreePort and ShortDir find places of a test's own, and Need finds what is
// installed.
//
// No code of the product imports it.
package testkit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Kit is what the tests of a package work with.
type Kit struct {
	Millrace string // the program, built for this run
	Venv     string // the folder of the virtual environment of scripts/setup.sh
}

// Main builds millrace, hands it to use, and runs the tests. It returns the exit
// status for TestMain.
func Main(m *testing.M, use func(Kit) error) int {
	code, err := run(m, use)
	if err != nil {
		fmt.Fprintln(os.Stderr, filepath.Base(os.Args[0])+":", err)
		return 1
	}
	return code
}

func run(m *testing.M, use func(Kit) error) (int, error) {
	root, err := root()
	if err != nil {
		return 0, err
	}
	folder, err := os.MkdirTemp("", "millrace-test-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(folder)
	if err := os.Chmod(folder, 0o755); err != nil { // for servers that give up their rights
		return 0, err
	}
	kit := Kit{Millrace: filepath.Join(folder, "millrace"), Venv: filepath.Join(root, ".cache", "venv")}
	// Without what the compiler is told of hot code: that builds half as fast.
	build := exec.Command("go", "build", "-pgo=off", "-o", kit.Millrace, "./cmd/millrace")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("go build: %w\n%s", err, out)
	}
	// What the machine says of interpreters and settings is not the tests'.
	for _, name := range []string{"VIRTUAL_ENV", "DJANGO_SETTINGS_MODULE", "PYTHONPATH"} {
		os.Unsetenv(name)
	}
	if err := use(kit); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// root is the folder of the module, above the one that tests run in.
func root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		above := filepath.Dir(dir)
		if above == dir {
			return "", errors.New("there is no go.mod above the tests")
		}
		dir = above
	}
}

// Need finds a program by the first of some names that is installed. Where the
// setup has installed the peers, a missing one is a failure.
func Need(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		for _, dir := range []string{"", "/usr/sbin/", "/usr/bin/", "/usr/lib/cgi-bin/"} {
			if path, err := exec.LookPath(dir + name); err == nil {
				return path
			}
		}
	}
	root, err := root()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, ".cache", "peers.stamp")); err == nil {
		t.Fatalf("%s is not installed, though scripts/setup.sh says that every peer is", names[0])
	}
	t.Skipf("%s is not installed, and scripts/setup.sh could not install it", names[0])
	return ""
}

// Command runs a program to its end and returns what it printed.
func Command(t testing.TB, dir string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Write makes a file that others may read, and the folders that it is in.
func Write(t testing.TB, path, text string) string {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
	return path
}
