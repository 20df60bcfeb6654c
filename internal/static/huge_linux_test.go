package static

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// cpu is the time that this thread has run, whatever else the machine does.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var at unix.Timespec // getrusage counts by ticks on some kernels
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &at); err != nil {
		t.Fatal(err)
	}
	return time.Duration(at.Nano())
}

// A folder of 100,000 files: one of them costs what it costs in a small one,
// known or not.
func TestHugeFolder(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 100,000 files")
	}
	runtime.LockOSThread() // whose time is taken
	defer runtime.UnlockOSThread()
	dir := t.TempDir()
	for _, folder := range []string{"few", "many"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	name := func(i int) string { return fmt.Sprintf("file-%06d.txt", i) }
	first := filepath.Join(dir, "few", name(0))
	if err := os.WriteFile(first, []byte("contents"), 0o644); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		os.Link(first, filepath.Join(dir, "few", name(i)))
	}
	for i := range 100_000 { // links: a name each, and quick to make
		from := first
		if i%50_000 == 0 { // a file takes 65,000 names at most on ext4
			from = filepath.Join(dir, "many", fmt.Sprint("origin-", i))
			if err := os.WriteFile(from, []byte("contents"), 0o644); err != nil {
				t.Fatal(err)
			}
			first = from
		}
		if err := os.Link(from, filepath.Join(dir, "many", name(i))); err != nil {
			t.Skipf("this filesystem has no such links: %v", err)
		}
	}
	h := handler(t, Options{Roots: []string{dir}, Listing: &Listing{}})
	cost := func(folder string, names int) time.Duration {
		best := time.Hour
		for range 7 {
			start := cpu(t)
			for i := range 500 {
				w := &discard{header: http.Header{}}
				// The same number of files, or the processor's caches would tell.
				h.ServeHTTP(w, request("/"+folder+"/"+name(i%100*(names/100))))
				if w.written != 8 {
					t.Fatalf("%d bytes", w.written)
				}
			}
			best = min(best, (cpu(t)-start)/500)
		}
		return best
	}
	few, many := cost("few", 100), cost("many", 100_000)
	t.Logf("a file costs %v in a small folder, %v in a huge one", few, many)
	if many > 4*few {
		t.Errorf("a file costs %v in a small folder, %v in a huge one", few, many)
	}
	cache := NewCache(CacheOptions{Files: -1})
	defer cache.Close()
	h = handler(t, Options{Roots: []string{dir}, Cache: cache, Listing: &Listing{}})
	few, many = cost("few", 100), cost("many", 100_000)
	t.Logf("unknown: a file costs %v in a small folder, %v in a huge one", few, many)
	if many > 4*few {
		t.Errorf("unknown: a file costs %v in a small folder, %v in a huge one", few, many)
	}
	start := cpu(t)
	w := get(h, "GET", "/many/")
	took := cpu(t) - start
	t.Logf("the listing takes %v, %d bytes", took, w.Body.Len())
	if w.Code != 200 || w.Body.Len() > 300_000 || took > time.Second || !strings.Contains(w.Body.String(), "very large") {
		t.Errorf("the listing: %d, %d bytes in %v", w.Code, w.Body.Len(), took)
	}
}
