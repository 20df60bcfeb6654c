package spool

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// pattern returns n bytes that do not repeat at any size a piece may have.
func pattern(n int) []byte {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// newTestSpool returns a spool in a folder of its own, and checks at the end
// that nothing stayed behind: no share, no file, no descriptor.
func newTestSpool(t testing.TB, max int64) *Spool {
	s := New(t.TempDir(), max)
	t.Cleanup(func() { checkEmpty(t, s) })
	return s
}

func checkEmpty(t testing.TB, s *Spool) {
	t.Helper()
	if n := s.Used(); n != 0 {
		t.Errorf("%d bytes of the spool's cap were never given back", n)
	}
	if n := len(listDir(t, s.dir)); n != 0 {
		t.Errorf("%d files stayed in the spool's folder", n)
	}
	if n := descriptors(t, s.dir); n != 0 {
		t.Errorf("%d descriptors stayed open", n)
	}
}

func listDir(t testing.TB, dir string) []os.DirEntry {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return entries
}

// descriptors counts the files in dir, or once in dir, that this process has
// open. Systems that do not say have none.
func descriptors(t testing.TB, dir string) int {
	t.Helper()
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return 0
	}
	links, _ := filepath.Glob("/proc/self/fd/*")
	n := 0
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && strings.HasPrefix(to, dir+"/") {
			n++
		}
	}
	return n
}

func TestFileHasNoName(t *testing.T) {
	for name, create := range creators {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			f, err := create(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if names := listDir(t, dir); len(names) != 0 {
				t.Errorf("the file is visible as %v", names)
			}
			info, err := f.Stat()
			if err != nil {
				t.Fatal(err)
			}
			if mode := info.Mode(); mode != 0o600 {
				t.Errorf("mode %v, want a plain file with 0600", mode)
			}
			want := pattern(100)
			if _, err := f.WriteAt(want, 0); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 100)
			if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
				t.Errorf("read back %x, %v", got, err)
			}
		})
	}
}

func TestMissingFolder(t *testing.T) {
	s := New(filepath.Join(t.TempDir(), "missing"), 1<<20)
	b := s.NewBuffer(0)
	defer b.Close()
	_, err := b.Write([]byte("x"))
	var disk *DiskError
	if !errors.As(err, &disk) || disk.Op != "create" || !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("got %v, want a DiskError of creating", err)
	}
	if !strings.Contains(err.Error(), s.Dir()) {
		t.Errorf("%q does not name the folder", err)
	}
	checkEmpty(t, s)
}

func TestCapUnderConcurrency(t *testing.T) {
	s := New("", 1000)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 10_000 {
				if s.take(300) == nil {
					if used := s.Used(); used > 1000 {
						t.Errorf("%d bytes are taken of 1000", used)
					}
					s.give(300)
				}
			}
		})
	}
	wg.Wait()
	if s.Used() != 0 {
		t.Errorf("%d bytes are left over", s.Used())
	}
}
