package static

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// request is a GET of a path, as a server hands it over.
func request(path string, header ...string) *http.Request {
	r := &http.Request{Method: "GET", URL: &url.URL{Path: path}, Header: http.Header{}, Host: "example.com"}
	for i := 0; i < len(header); i += 2 {
		r.Header[header[i]] = append(r.Header[header[i]], header[i+1])
	}
	return r
}

// count is what a cache holds.
func (c *Cache) holds() (entries int, bytes int64, descriptors int) {
	c.mu.Lock()
	entries, bytes = len(c.ring), c.bytes
	c.mu.Unlock()
	c.files.mu.Lock()
	defer c.files.mu.Unlock()
	return entries, bytes, c.files.count
}

// A known small file costs no allocation, whatever it is asked for with, as
// long as it is answered whole or with 304.
func TestNoAllocationForKnownFiles(t *testing.T) {
	dir := tree(t, map[string]string{"a.css": strings.Repeat("x", 1000), "a.css.br": "br", "index.html": "front", "big": strings.Repeat("x", 120_000)})
	h := handler(t, Options{Roots: []string{dir}, Precompressed: true, Immutable: HashedName, CacheControl: "no-cache", Index: []string{"index.html"}})
	etag := get(h, "GET", "/a.css").Header().Get("Etag")
	for _, c := range []struct {
		name  string
		r     *http.Request
		most  float64
		bytes int64
	}{
		{"small", request("/a.css"), 0, 1000},
		{"encoded", request("/a.css", "Accept-Encoding", "gzip, deflate, br, zstd"), 0, 2},
		{"index", request("/"), 0, 5},
		{"not modified", request("/a.css", "If-None-Match", etag), 0, 0},
		{"large", request("/big"), 0, 0},
	} {
		w := &discard{header: http.Header{}}
		serve := func() {
			clear(w.header)
			h.ServeHTTP(w, c.r)
		}
		serve()
		serve() // the contents are kept from the second time on
		w.written = 0
		if got := testing.AllocsPerRun(100, serve); got > c.most {
			t.Errorf("%s: %v allocations, want at most %v", c.name, got, c.most)
		}
		if w.written != 101*c.bytes {
			t.Errorf("%s: %d bytes, want %d", c.name, w.written, 101*c.bytes)
		}
	}
}

// What a change of each kind looks like: seen when the file is looked at
// again, and whole before and after.
func TestChangesAreSeen(t *testing.T) {
	for _, size := range []int{100, 50_000, 101, 50_001} { // kept in memory, and open; each new, and as if it were old
		old, other := strings.Repeat("o", size), strings.Repeat("n", size)
		for name, c := range map[string]struct {
			change func(path string) error
			status int
			body   string
		}{
			"rewritten": {func(p string) error { return os.WriteFile(p, []byte(other), 0o644) }, 200, other},
			"rewritten, its time put back": {func(p string) error {
				if err := os.WriteFile(p, []byte(other), 0o644); err != nil {
					return err
				}
				return os.Chtimes(p, modified, modified)
			}, 200, other},
			"replaced": {func(p string) error {
				if err := os.WriteFile(p+"~", []byte(other), 0o644); err != nil {
					return err
				}
				return os.Rename(p+"~", p)
			}, 200, other},
			"longer": {func(p string) error { return os.WriteFile(p, []byte(old+other), 0o644) }, 200, old + other},
			"cut":    {func(p string) error { return os.Truncate(p, 10) }, 200, old[:10]},
			"empty":  {func(p string) error { return os.Truncate(p, 0) }, 200, ""},
			"gone":   {os.Remove, 404, ""},
			"a folder": {func(p string) error {
				if err := os.Remove(p); err != nil {
					return err
				}
				return os.Mkdir(p, 0o755)
			}, 301, ""},
			"hidden by an earlier root": {func(p string) error {
				return os.WriteFile(filepath.Join(filepath.Dir(p), "..", "first", "f"), []byte(other), 0o644)
			}, 200, other},
		} {
			t.Run(fmt.Sprint(name, " ", size), func(t *testing.T) {
				base := tree(t, map[string]string{"first/": "", "second/f": old})
				h := handler(t, Options{Roots: []string{filepath.Join(base, "first"), filepath.Join(base, "second")}})
				if size%2 == 1 {
					h.cache.race = -time.Hour
				}
				for range 3 { // known, kept
					if w := get(h, "GET", "/f"); w.Code != 200 || w.Body.String() != old {
						t.Fatalf("%d, %d bytes", w.Code, w.Body.Len())
					}
				}
				if err := c.change(filepath.Join(base, "second", "f")); err != nil {
					t.Fatal(err)
				}
				// Within the second the old one may be served; but nothing in between.
				if w := get(h, "GET", "/f"); w.Body.String() != old && w.Body.String() != c.body && w.Code == 200 {
					t.Errorf("just after: %d, %d bytes, neither the old nor the new", w.Code, w.Body.Len())
				}
				soon(h)
				if w := get(h, "GET", "/f"); w.Code != c.status || w.Code == 200 && w.Body.String() != c.body {
					t.Errorf("%d, %d bytes of %.3q, want %d, %d", w.Code, w.Body.Len(), w.Body, c.status, len(c.body))
				}
			})
		}
	}
}

// What is looked at again and is as it was, stays; and what is in use when it
// is dropped, or comes when its Handler is closed, is not kept.
func TestWhatStays(t *testing.T) {
	base := tree(t, map[string]string{"v1/big": strings.Repeat("x", 50_000), "v1/small": "x"})
	os.Mkdir(filepath.Join(base, "v2"), 0o755)
	for _, name := range []string{"big", "small"} { // the same files, in another folder
		if err := os.Link(filepath.Join(base, "v1", name), filepath.Join(base, "v2", name)); err != nil {
			t.Skip(err)
		}
	}
	current := filepath.Join(base, "current")
	if err := os.Symlink("v1", current); err != nil {
		t.Skip(err)
	}
	h := handler(t, Options{Roots: []string{current}, Precompressed: true})
	h.cache.race = -time.Hour
	known := map[string]*entry{}
	for _, path := range []string{"/big", "/small"} {
		get(h, "GET", path)
		get(h, "GET", path)
		known[path] = h.cache.get(h, path)
	}
	soon(h)
	for path, e := range known {
		get(h, "GET", path)
		if h.cache.get(h, path) != e {
			t.Errorf("%s is as it was, and was made anew", path)
		}
	}
	// A handle that comes back after its entry was dropped is closed.
	e := known["/big"]
	handle, err := h.openFile(&e.reps[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	h.cache.remove(e)
	h.cache.files.put(&e.reps[0], handle)
	if _, _, descriptors := h.cache.holds(); descriptors != 0 {
		t.Errorf("%d descriptors of an entry that was dropped", descriptors)
	}
	// Another folder makes all anew, also what is the same file.
	os.Remove(current)
	os.Symlink("v2", current)
	for _, r := range h.roots {
		r.looked.Store(-lookEvery)
	}
	get(h, "GET", "/small")
	if h.cache.get(h, "/small") == known["/small"] {
		t.Error("an entry of the old folder is used")
	}
	f, err := h.look("small", false)
	if err != nil {
		t.Fatal(err)
	}
	f.node.close()
	late := h.describe("/late", &f, h.cache.now())
	cache := h.cache
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	cache.mu.Lock()
	cache.closed = false // as that of other Handlers
	cache.mu.Unlock()
	cache.put(late)
	if entries, _, _ := cache.holds(); entries != 0 {
		t.Error("a Handler that is closed enters a file")
	}
}

// A file so new that a change may leave its times as they are is read again
// each time that it is looked at.
func TestNewFilesAreReadAgain(t *testing.T) {
	dir := tree(t, map[string]string{"f": "one"})
	h := handler(t, Options{Roots: []string{dir}})
	now := time.Now()
	if err := os.Chtimes(filepath.Join(dir, "f"), now, now); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		get(h, "GET", "/f")
	}
	e := h.cache.get(h, "/f")
	if e == nil || !e.racy || e.reps[0].body.Load() == nil {
		t.Fatalf("not kept as a file that is new: %+v", e)
	}
	soon(h)
	get(h, "GET", "/f")
	if again := h.cache.get(h, "/f"); again == e {
		t.Error("a new file is believed to be as it was")
	}
}

func TestCacheIsBounded(t *testing.T) {
	files := map[string]string{}
	for i := range 100 {
		files[fmt.Sprintf("s%d", i)] = strings.Repeat("s", 1000)
		files[fmt.Sprintf("b%d", i)] = strings.Repeat("b", 40_000)
	}
	dir := tree(t, files)
	cache := NewCache(CacheOptions{Files: 20, Bytes: 5000, Descriptors: 4})
	defer cache.Close()
	h := handler(t, Options{Roots: []string{dir}, Cache: cache})
	for range 3 {
		for i := range 100 {
			for range 2 {
				for _, name := range []string{"s", "b"} {
					path := fmt.Sprintf("/%s%d", name, i)
					if w := get(h, "GET", path); w.Body.String() != files[path[1:]] {
						t.Fatalf("%s: %d, %d bytes", path, w.Code, w.Body.Len())
					}
				}
			}
			if entries, bytes, descriptors := cache.holds(); entries > 20 || bytes > 5000 || descriptors > 4 {
				t.Fatalf("%d entries, %d bytes, %d descriptors", entries, bytes, descriptors)
			}
		}
	}
	entries, bytes, descriptors := cache.holds()
	if entries != 20 || bytes != 5000 || descriptors != 4 {
		t.Errorf("%d entries, %d bytes, %d descriptors: not used", entries, bytes, descriptors)
	}
	// Who is asked for all the time stays.
	for i := range 100 {
		get(h, "GET", "/s0")
		get(h, "GET", fmt.Sprintf("/s%d", i))
	}
	if cache.get(h, "/s0") == nil {
		t.Error("the file that is asked for most was dropped")
	}
	// Open files that nobody reads are closed after a while.
	cache.files.sweepAt(time.Now().Add(idleFile))
	if _, _, descriptors := cache.holds(); descriptors != 0 {
		t.Errorf("%d descriptors are open after a while", descriptors)
	}
	// A Handler takes what it knew along.
	other := handler(t, Options{Roots: []string{dir}, Cache: cache})
	get(other, "GET", "/s1")
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if entries, _, _ := cache.holds(); entries != 1 || cache.get(other, "/s1") == nil {
		t.Errorf("%d entries, want the other's", entries)
	}
}

func TestNothingIsKept(t *testing.T) {
	dir := tree(t, map[string]string{"s": "s", "b": strings.Repeat("b", 40_000)})
	cache := NewCache(CacheOptions{Files: -1, Bytes: -1, Descriptors: -1})
	defer cache.Close()
	h := handler(t, Options{Roots: []string{dir}, Cache: cache})
	for range 3 {
		get(h, "GET", "/s")
		get(h, "GET", "/b")
	}
	if entries, bytes, descriptors := cache.holds(); entries+int(bytes)+descriptors != 0 {
		t.Errorf("%d entries, %d bytes, %d descriptors", entries, bytes, descriptors)
	}
	grow(t, dir, map[string]string{"s": "new"})
	if w := get(h, "GET", "/s"); w.Body.String() != "new" {
		t.Errorf("%q", w.Body)
	}
}

// Readers, writers and looks at the same files at once; run with -race. No
// answer is a mixture.
func TestCacheUnderLoad(t *testing.T) {
	dir := tree(t, map[string]string{"s": strings.Repeat("a", 3000), "b": strings.Repeat("a", 60_000)})
	cache := NewCache(CacheOptions{Files: 3, Bytes: 4000, Descriptors: 1, Check: time.Microsecond})
	defer cache.Close()
	h := handler(t, Options{Roots: []string{dir}, Cache: cache})
	done := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				path := []string{"/s", "/b"}[i%2]
				w := httptest.NewRecorder()
				h.ServeHTTP(w, request(path))
				body := w.Body.String()
				if w.Code != 200 || body == "" || strings.Trim(body, body[:1]) != "" || fmt.Sprint(len(body)) != w.Header().Get("Content-Length") {
					t.Errorf("%s: %d, %d bytes", path, w.Code, len(body))
					return
				}
			}
		})
	}
	for i := range 300 {
		for name, size := range map[string]int{"s": 2000 + i, "b": 50_000 + i} {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path+"~", []byte(strings.Repeat(string(rune('a'+i%26)), size)), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(path+"~", path); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(done)
	wg.Wait()
}
