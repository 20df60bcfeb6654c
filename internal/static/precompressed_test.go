package static

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// record is the answer to a request.
func record(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestPrecompressed(t *testing.T) {
	plain := strings.Repeat("p", 1000)
	outside := tree(t, map[string]string{"secret": "SECRET"})
	dir := tree(t, map[string]string{
		"all.js": plain, "all.js.br": "all br", "all.js.zst": "all zst", "all.js.gz": "all gz",
		"gz.css": plain, "gz.css.gz": "gz gz",
		"old.js": plain, "old.js.br": "old br", "old.js.gz": "old gz",
		"larger.js": plain, "larger.js.br": plain + "x", "larger.js.zst": plain,
		"folder.js": plain, "folder.js.br/": "",
		"leads-out.js": plain, "leads-out.js.br": "-> " + outside + "/secret",
		"alone.js.gz": "alone gz", "none.js": plain,
		"index.html": plain, "index.html.br": "index br",
		"big.js": strings.Repeat("b", 200_000), "big.js.br": strings.Repeat("c", 100_000),
	})
	past := modified.Add(-time.Nanosecond)
	if err := os.Chtimes(filepath.Join(dir, "old.js.br"), past, past); err != nil {
		t.Fatal(err)
	}
	h := handler(t, Options{Roots: []string{dir}, Precompressed: true})
	for _, c := range []struct{ path, accept, coding, body string }{
		{"/all.js", "", "", plain},
		{"/all.js", "gzip", "gzip", "all gz"},
		{"/all.js", "gzip, deflate, br, zstd", "br", "all br"},
		{"/all.js", "gzip, zstd", "zstd", "all zst"},
		{"/all.js", "gzip;q=1, br;q=0.5", "gzip", "all gz"},
		{"/all.js", "br;q=0, gzip;q=0.001", "gzip", "all gz"},
		{"/all.js", "*", "br", "all br"},
		{"/all.js", "*;q=0", "", plain},
		{"/all.js", "identity, gzip;q=0.5", "", plain},
		{"/all.js", "deflate", "", plain},
		{"/gz.css", "gzip, br, zstd", "gzip", "gz gz"},
		{"/gz.css", "br", "", plain},
		{"/old.js", "br", "", plain},
		{"/old.js", "br, gzip", "gzip", "old gz"},
		{"/larger.js", "br, zstd", "", plain},
		{"/folder.js", "br", "", plain},
		{"/leads-out.js", "br", "", plain},
		{"/none.js", "br", "", plain},
		{"/", "br", "br", "index br"},
		{"/all.js.br", "br", "", "all br"}, // asked for by its own name it is a file like others
		{"/alone.js.gz", "gzip", "", "alone gz"},
		{"/big.js", "br", "br", strings.Repeat("c", 100_000)},
		{"/big.js", "", "", strings.Repeat("b", 200_000)},
	} {
		for range 3 { // unknown, known, kept
			r := request(c.path)
			if c.accept != "" {
				r.Header.Set("Accept-Encoding", c.accept)
			}
			w := record(h, r)
			head := w.Header()
			if w.Code != 200 || head.Get("Content-Encoding") != c.coding || w.Body.String() != c.body {
				t.Errorf("%s for %q: %d, %q, %.20q, want %q", c.path, c.accept, w.Code, head.Get("Content-Encoding"), w.Body, c.coding)
			}
			if c.coding != "" && head.Get("Vary") != "Accept-Encoding" {
				t.Errorf("%s for %q: Vary is %q", c.path, c.accept, head.Get("Vary"))
			}
			if kind := h.o.Types.ByName(c.path); c.coding != "" && c.path != "/" && head.Get("Content-Type") != kind {
				t.Errorf("%s for %q: Content-Type is %q, want the file's, %q", c.path, c.accept, head.Get("Content-Type"), kind)
			}
		}
	}
	if w := record(h, request("/alone.js", "Accept-Encoding", "gzip")); w.Code != 404 {
		t.Errorf("an encoding without its file: %d, want 404", w.Code)
	}
	if v := record(h, request("/all.js")).Header().Get("Vary"); v != "Accept-Encoding" {
		t.Errorf("the file itself has Vary %q", v)
	}
	if v := record(h, request("/none.js")).Header().Get("Vary"); v != "" {
		t.Errorf("a file without encodings has Vary %q", v)
	}
	// Vary that is there is added to.
	w := httptest.NewRecorder()
	w.Header().Set("Vary", "Cookie")
	h.ServeHTTP(w, request("/all.js"))
	if v := strings.Join(w.Header()["Vary"], ", "); v != "Cookie, Accept-Encoding" {
		t.Errorf("Vary is %q", v)
	}
	// Each encoding has a tag of its own, which is that of a condition.
	tags := map[string]bool{}
	for _, coding := range []string{"br", "zstd", "gzip", "identity"} {
		tag := record(h, request("/all.js", "Accept-Encoding", coding)).Header().Get("Etag")
		tags[tag] = true
		w := record(h, request("/all.js", "Accept-Encoding", coding, "If-None-Match", tag))
		if w.Code != 304 || w.Header().Get("Etag") != tag || w.Header().Get("Vary") == "" {
			t.Errorf("%s: %d, %v", coding, w.Code, w.Header())
		}
		if w := record(h, request("/all.js", "Accept-Encoding", coding, "Range", "bytes=0-2", "If-Range", tag)); w.Code != 206 || w.Body.Len() != 3 {
			t.Errorf("%s: %d, %d bytes", coding, w.Code, w.Body.Len())
		}
	}
	if len(tags) != 4 {
		t.Errorf("the tags are %v", tags)
	}
	// Without the key nothing of it holds.
	off := handler(t, Options{Roots: []string{dir}})
	if w := record(off, request("/all.js", "Accept-Encoding", "br")); w.Header().Get("Content-Encoding") != "" || w.Header().Get("Vary") != "" || w.Body.String() != plain {
		t.Errorf("switched off: %v", w.Header())
	}
}

// An encoding that comes, goes, or gets older than its file is seen as a
// change of the file is.
func TestPrecompressedChanges(t *testing.T) {
	plain := strings.Repeat("p", 1000)
	dir := tree(t, map[string]string{"a.js": plain})
	h := handler(t, Options{Roots: []string{dir}, Precompressed: true})
	h.cache.race = -time.Hour // not read again for being new alone
	expect := func(what, coding, body string) {
		t.Helper()
		for range 3 {
			soon(h)
			w := record(h, request("/a.js", "Accept-Encoding", "br, gzip"))
			if w.Header().Get("Content-Encoding") != coding || w.Body.String() != body {
				t.Errorf("%s: %q, %.10q, want %q", what, w.Header().Get("Content-Encoding"), w.Body, coding)
			}
		}
	}
	expect("alone", "", plain)
	grow(t, dir, map[string]string{"a.js.gz": "gz"})
	expect("gz came", "gzip", "gz")
	grow(t, dir, map[string]string{"a.js.br": "br"})
	expect("br came", "br", "br")
	grow(t, dir, map[string]string{"a.js.br": "br2"})
	expect("br changed", "br", "br2")
	os.Remove(filepath.Join(dir, "a.js.br"))
	expect("br went", "gzip", "gz")
	os.Remove(filepath.Join(dir, "a.js.gz"))
	expect("gz went", "", plain)
	grow(t, dir, map[string]string{"a.js.gz": "gz"})
	expect("gz came again", "gzip", "gz")
	later := modified.Add(time.Second)
	if err := os.Chtimes(filepath.Join(dir, "a.js"), later, later); err != nil {
		t.Fatal(err)
	}
	expect("the file is newer", "", plain)
}

// FuzzAcceptEncoding: whatever is asked for, the body is that of the encoding
// that is named, and a coding that is refused is not sent.
func FuzzAcceptEncoding(f *testing.F) {
	bodies := map[string]string{"": strings.Repeat("p", 100), "br": "br", "zstd": "zst", "gzip": "gz"}
	dir := tree(f, map[string]string{"a.js": bodies[""], "a.js.br": "br", "a.js.zst": "zst", "a.js.gz": "gz"})
	h := handler(f, Options{Roots: []string{dir}, Precompressed: true})
	for _, seed := range []string{"", "gzip", "gzip, deflate, br, zstd", "br;q=0, *", "*;q=0", "gzip;q=1.000, br;q=0.9", "identity;q=0", ";;,,q=", "x-gzip"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, accept string) {
		w := record(h, request("/a.js", "Accept-Encoding", accept))
		coding := w.Header().Get("Content-Encoding")
		if want, ok := bodies[coding]; !ok || w.Code != 200 || w.Body.String() != want {
			t.Errorf("%q: %d, %q, %q", accept, w.Code, coding, w.Body)
		}
		if coding != "" && !strings.Contains(accept, "*") && !strings.Contains(strings.ToLower(accept), coding) {
			t.Errorf("%q: %s was not asked for", accept, coding)
		}
	})
}

func TestHashedName(t *testing.T) {
	for path, want := range map[string]bool{
		"/static/app.3f2a91bc.js":               true,
		"/app-3f2a91bc.js":                      true,
		"/app_3f2a91bc.css":                     true,
		"/app.3f2a91bc.js.map":                  true,
		"/app.3f2a91bc.min.js":                  true,
		"/css/base.0a1b2c3d4e5f.css":            true, // Django
		"/chunk-vendors.a1b2c3d4.js":            true,
		"/a.d41d8cd98f00b204e9800998ecf8427e.x": true,
		"/app.js":                               false,
		"/app.3f2a91b.js":                       false, // 7
		"/app.3F2A91BC.js":                      false,
		"/app.3f2a91bg.js":                      false,
		"/report-20240115.pdf":                  false, // a date
		"/my-facade12.jpg":                      true,  // what cannot be told
		"/deadbeef.js":                          false, // no digit, and nothing before it
		"/x.deadbeef.js":                        false,
		"/app.3f2a91bc":                         false, // no extension
		"/app.3f2a91bc.":                        false,
		"/app.3f2a91bc-x.js":                    false,
		"/app.3f2a91bc/x.js":                    false,
		"/3f2a91bc.js":                          false,
		"/":                                     false,
		"":                                      false,
	} {
		if got := HashedName(path); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}

func TestCacheControl(t *testing.T) {
	const year = "public, max-age=31536000, immutable"
	dir := tree(t, map[string]string{"app.3f2a91bc.js": "x", "app.js": "x", "assets/a.js": "x", "index.html": "x"})
	for _, c := range []struct {
		o    Options
		want map[string]string
	}{
		{Options{}, map[string]string{"/app.3f2a91bc.js": "", "/app.js": "", "/": ""}},
		{Options{Immutable: HashedName}, map[string]string{"/app.3f2a91bc.js": year, "/app.js": "", "/assets/a.js": "", "/": ""}},
		{Options{CacheControl: "no-cache"}, map[string]string{"/app.3f2a91bc.js": "no-cache", "/app.js": "no-cache", "/": "no-cache"}},
		{Options{Immutable: func(p string) bool { return strings.HasPrefix(p, "/assets/") }, CacheControl: "no-cache"},
			map[string]string{"/app.3f2a91bc.js": "no-cache", "/assets/a.js": year, "/": "no-cache"}},
	} {
		c.o.Roots = []string{dir}
		h := handler(t, c.o)
		for path, want := range c.want {
			for _, header := range [][]string{nil, {"Range", "bytes=0-0"}, {"If-None-Match", "*"}} {
				w := get(h, "GET", path, header...)
				if got := w.Header().Get("Cache-Control"); got != want {
					t.Errorf("%s with %q: %d, Cache-Control %q, want %q", path, header, w.Code, got, want)
				}
			}
		}
		for _, path := range []string{"/none.3f2a91bc.js", "/assets/none"} {
			if got := get(h, "GET", path).Header().Get("Cache-Control"); got != "" {
				t.Errorf("%s, which is not there, has Cache-Control %q", path, got)
			}
		}
	}
}
