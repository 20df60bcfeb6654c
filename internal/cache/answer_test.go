package cache

import (
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// TestRanges: of a whole copy, in memory and on disk.
func TestRanges(t *testing.T) {
	body := strings.Repeat("0123456789", 1000)
	modified := lastModified(-time.Hour)
	for where, cfg := range map[string]Config{"memory": {}, "disk": {Memory: 1 << 20, MemoryEntry: 100, Folder: t.TempDir()}} {
		g := newRig(t, cfg, Rules{})
		g.says(200, body, "Cache-Control: max-age=60", `Etag: "v"`, modified, "Content-Type: text/x")
		g.get("/")
		for _, tt := range []struct {
			header string
			status int
			body   string
			of     string
		}{
			{"Range: bytes=0-9", 206, "0123456789", "bytes 0-9/10000"},
			{"Range: bytes=5-5", 206, "5", "bytes 5-5/10000"},
			{"Range: bytes=9998-", 206, "89", "bytes 9998-9999/10000"},
			{"Range: bytes=-3", 206, "789", "bytes 9997-9999/10000"},
			{"Range: bytes=-20000", 206, body, "bytes 0-9999/10000"},
			{"Range: bytes=9999-20000", 206, "9", "bytes 9999-9999/10000"},
			{"Range: bytes=10000-", 416, "", "bytes */10000"},
			{"Range: bytes=-0", 416, "", "bytes */10000"},
			{"Range: bytes=2-1", 200, body, ""},
			{"Range: bytes=a-b", 200, body, ""},
			{"Range: bytes=1", 200, body, ""},
			{"Range: bytes=", 200, body, ""},
			{"Range: lines=1-2", 200, body, ""},
			{"Range: bytes=0-,0-", 200, body, ""},
			{"Range: bytes=99999999999999999999-", 200, body, ""},
			{"Range: bytes=" + strings.Repeat("0-0,", 40) + "0-0", 200, body, ""},
			{`Range: bytes=0-1|If-Range: "v"`, 206, "01", "bytes 0-1/10000"},
			{`Range: bytes=0-1|If-Range: "w"`, 200, body, ""},
			{`Range: bytes=0-1|If-Range: W/"v"`, 200, body, ""},
			{`Range: bytes=0-1|If-Range: ` + strings.TrimPrefix(modified, "Last-Modified: "), 206, "01", "bytes 0-1/10000"},
			{`Range: bytes=0-1|If-Range: Mon, 30 Nov 2026 12:00:00 GMT`, 200, body, ""},
			{`Range: bytes=0-1|If-None-Match: "v"`, 304, "", ""},
			{`If-None-Match: "v"`, 304, "", ""},
			{`If-None-Match: W/"v"`, 304, "", ""},
			{`If-None-Match: "a", "v"`, 304, "", ""},
			{`If-None-Match: *`, 304, "", ""},
			{`If-None-Match: "a"|If-Modified-Since: Mon, 30 Nov 2026 12:00:00 GMT`, 200, body, ""},
			{`If-None-Match: v`, 200, body, ""},
			{`If-Modified-Since: Mon, 30 Nov 2026 12:00:00 GMT`, 304, "", ""},
			{`If-Modified-Since: ` + strings.TrimPrefix(modified, "Last-Modified: "), 304, "", ""},
			{`If-Modified-Since: Mon, 30 Nov 2020 12:00:00 GMT`, 200, body, ""},
			{`If-Modified-Since: yesterday`, 200, body, ""},
		} {
			w := g.get("/", strings.Split(tt.header, "|")...)
			if w.Code != tt.status || w.Body.String() != tt.body || w.Header().Get("Content-Range") != tt.of {
				t.Errorf("%s, %s: %d, %d bytes, %q", where, tt.header, w.Code, w.Body.Len(), w.Header().Get("Content-Range"))
			}
			if tt.status == 304 && (w.Header().Get("Etag") != `"v"` || w.Header()["Content-Length"] != nil || w.Header()["Content-Type"] != nil) {
				t.Errorf("%s, %s: %v", where, tt.header, w.Header())
			}
		}
		w := g.get("/", "Range: bytes=0-4, 10-11, -2, 20000-")
		kind, params, err := mime.ParseMediaType(w.Header().Get("Content-Type"))
		if w.Code != 206 || kind != "multipart/byteranges" || err != nil {
			t.Fatalf("%d %v", w.Code, w.Header())
		}
		parts := multipart.NewReader(w.Body, params["boundary"])
		for _, want := range []string{"bytes 0-4/10000 01234", "bytes 10-11/10000 01", "bytes 9998-9999/10000 89"} {
			p, err := parts.NextPart()
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(p)
			if got := p.Header.Get("Content-Range") + " " + string(b); got != want || p.Header.Get("Content-Type") != "text/x" {
				t.Errorf("%q, want %q", got, want)
			}
		}
		if _, err := parts.NextPart(); err != io.EOF {
			t.Error(err)
		}
		if got := g.asked.Load(); got != 1 {
			t.Errorf("%s: the back end was asked %d times", where, got)
		}
	}
}

// TestRangeMiss: a part is not stored; one that begins where the body does has
// the whole fetched.
func TestRangeMiss(t *testing.T) {
	g := newRig(t, Config{}, Rules{})
	g.replies(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		http.ServeContent(w, r, "", start.Add(-time.Hour), strings.NewReader("0123456789"))
	})
	g.want(g.get("/", "Range: bytes=5-6"), 206, "56", 1)
	g.want(g.get("/", "Range: bytes=5-6"), 206, "56", 2)
	g.want(g.get("/", "Range: bytes=0-3"), 206, "0123", 3)
	g.want(g.get("/", "Range: bytes=5-6"), 206, "56", 3)
	g.want(g.do("HEAD", "/x"), 200, "", 4)
	g.want(g.get("/x", "If-Modified-Since: "+start.Format(http.TimeFormat)), 304, "", 5)
	g.want(g.get("/x"), 200, "0123456789", 5)
}

// TestSendfile: a body on disk goes out as a file, from its beginning.
func TestSendfile(t *testing.T) {
	g := newRig(t, Config{Memory: 1 << 20, MemoryEntry: 100, Folder: t.TempDir()}, Rules{})
	body := strings.Repeat("0123456789", 1000)
	g.says(200, body, "Cache-Control: max-age=60")
	g.get("/")
	w := &fileTaker{ResponseRecorder: httptest.NewRecorder()}
	g.h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.files != 1 || w.Body.String() != body {
		t.Errorf("%d files, %d bytes", w.files, w.Body.Len())
	}
}

// fileTaker counts what sendfile could take.
type fileTaker struct {
	*httptest.ResponseRecorder
	files int
}

func (w *fileTaker) ReadFrom(src io.Reader) (int64, error) {
	if l, ok := src.(*io.LimitedReader); ok {
		if _, ok := l.R.(*os.File); ok {
			w.files++
		}
	}
	return io.Copy(w.ResponseRecorder, src)
}

func TestPurge(t *testing.T) {
	for _, tt := range []struct {
		name string
		what What
		gone string // of the paths, by their numbers
	}{
		{"a URL", What{URLs: []string{"http://example.com/a"}}, "0 1"},
		{"a URL, https", What{URLs: []string{"https://EXAMPLE.com:443/a"}}, "0 1"},
		{"a URL without a scheme", What{URLs: []string{"example.com/a"}}, "0 1"},
		{"another spelling", What{URLs: []string{"example.com//x/../%61"}}, "0 1"},
		{"a query", What{URLs: []string{"example.com/a?x=1"}}, "2"},
		{"every host", What{URLs: []string{"/a"}}, "0 1 5"},
		{"two URLs", What{URLs: []string{"/a/b", "example.com/a?x=1"}}, "2 3"},
		{"a prefix", What{Prefixes: []string{"example.com/a/"}}, "3 4"},
		{"a prefix that is no folder", What{Prefixes: []string{"example.com/a"}}, "0 1 2 3 4"},
		{"a prefix on every host", What{Prefixes: []string{"/a"}}, "0 1 2 3 4 5"},
		{"a host", What{Prefixes: []string{"other.example"}}, "5"},
		{"a tag", What{Tags: []string{"t3"}}, "3"},
		{"a tag of all", What{Tags: []string{"all"}}, "0 1 2 3 4 5"},
		{"a part of a tag", What{Tags: []string{"al"}}, ""},
		{"two tags", What{Tags: []string{"t3", "t4", "t9"}}, "3 4"},
		{"all", What{All: true}, "0 1 2 3 4 5"},
		{"nothing", What{}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			g := newRig(t, Config{Memory: 1 << 20, MemoryEntry: 50, Folder: dir}, Rules{})
			all := [][]string{{"/a"}, {"/%61"}, {"/a?x=1"}, {"/a/b"}, {"/a/c"}, {"/a", "Host: other.example"}}
			for i, of := range all {
				body := strings.Repeat("x", 30+i%2*30) // some on disk alone
				g.says(200, body, "Cache-Control: max-age=60", "Cache-Tag: all,t"+string(rune('0'+i)), "Surrogate-Key: a b")
				g.get(of[0], of[1:]...)
			}
			n := g.c.Purge(tt.what)
			if want := len(strings.Fields(tt.gone)); n != want || len(files(t, dir)) != len(all)-want {
				t.Errorf("%d, and %d files are left; want %d", n, len(files(t, dir)), want)
			}
			for i, of := range all {
				before := g.asked.Load()
				g.get(of[0], of[1:]...)
				if gone := g.asked.Load() > before; gone != strings.Contains(tt.gone, string(rune('0'+i))) {
					t.Errorf("%q: gone: %v", of, gone)
				}
			}
		})
	}
}

// TestPurgeWhileFetching: what is older than a purge is not stored after it, and
// nobody joins it.
func TestPurgeWhileFetching(t *testing.T) {
	for _, what := range map[string]What{"URL": {URLs: []string{"/"}}, "prefix": {Prefixes: []string{"/"}}, "tag": {Tags: []string{"t"}}, "all": {All: true}} {
		for _, size := range []int{10, 100_000} {
			g := newRig(t, Config{Memory: 1 << 20, MemoryEntry: 50_000, Folder: t.TempDir()}, Rules{Wait: time.Minute})
			head := make(chan struct{})
			g.replies(func(w http.ResponseWriter, r *http.Request) {
				<-head
				set(w.Header(), []string{"Cache-Control: max-age=60", "Cache-Tag: t"})
				_, _ = io.WriteString(w, strings.Repeat("o", size))
			})
			old := g.start(t.Context(), "/")
			g.waiters(0)
			g.c.Purge(what)
			head <- struct{}{}
			<-old
			g.settle()
			g.says(200, "new", "Cache-Control: max-age=60")
			g.want(g.get("/"), 200, "new", 2)
			g.want(g.get("/"), 200, "new", 2)
		}
	}
}

// TestPurgeStale: what is purged as stale is asked for, and stands for an error.
func TestPurgeStale(t *testing.T) {
	g := newRig(t, Config{Folder: t.TempDir()}, Rules{IfError: time.Hour})
	g.says(200, "old", "Cache-Control: max-age=60")
	g.get("/")
	if n := g.c.Purge(What{All: true, Stale: true}); n != 1 {
		t.Error(n)
	}
	g.says(503, "bad")
	g.want(g.get("/"), 200, "old", 2)
	g.says(200, "new")
	g.want(g.get("/"), 200, "new", 3)
}

// TestInvalidation: RFC 9111, 4.4.
func TestInvalidation(t *testing.T) {
	for _, tt := range []struct {
		method  string
		status  int
		headers []string // of the response
		gone    string
	}{
		{"POST", 200, nil, "/a"},
		{"PUT", 204, nil, "/a"},
		{"PATCH", 200, nil, "/a"},
		{"DELETE", 200, nil, "/a"},
		{"PURPLE", 200, nil, "/a"},
		{"POST", 303, []string{"Location: /b"}, "/a /b"},
		{"POST", 201, []string{"Location: http://example.com/b", "Content-Location: c"}, "/a /b /c"},
		{"POST", 201, []string{"Location: http://evil.example/b"}, "/a"},
		{"POST", 201, []string{"Location: https://example.com/b"}, "/a"},
		{"POST", 201, []string{"Location: //example.com/b"}, "/a /b"},
		{"POST", 201, []string{"Location: ::"}, "/a"},
		{"POST", 400, []string{"Location: /b"}, ""},
		{"POST", 500, nil, ""},
		{"OPTIONS", 200, nil, ""},
		{"PROPFIND", 207, nil, ""},
	} {
		g := newRig(t, Config{}, Rules{})
		g.says(200, "x", "Cache-Control: max-age=60")
		for _, path := range []string{"/a", "/b", "/c"} {
			g.get(path)
		}
		g.says(tt.status, "", tt.headers...)
		g.do(tt.method, "/a")
		g.says(200, "x", "Cache-Control: max-age=60")
		for _, path := range []string{"/a", "/b", "/c"} {
			before := g.asked.Load()
			g.get(path)
			if gone := g.asked.Load() > before; gone != strings.Contains(tt.gone, path) {
				t.Errorf("%s %d %v: %s is gone: %v", tt.method, tt.status, tt.headers, path, gone)
			}
		}
	}
}

// TestBypass: requests that the cache has nothing to do with.
func TestBypass(t *testing.T) {
	rules := Rules{Bypass: func(r *http.Request) bool { return r.URL.RawQuery == "preview" }}
	for _, tt := range []struct{ path, header string }{
		{"/", "X-Original-URL: /admin"}, {"/", "X-HTTP-Method-Override: DELETE"}, {"/", "X-Forwarded-Prefix: /x"},
		{"/", "Upgrade: websocket"}, {"/", `If-Match: "x"`}, {"/?preview", ""},
	} {
		g := newRig(t, Config{}, rules)
		g.says(200, "x", "Cache-Control: max-age=60")
		for n := range int64(2) {
			w := g.get(tt.path, tt.header)
			g.want(w, 200, "x", n+1)
			if !strings.HasPrefix(w.Header().Get("Cache-Status"), "millrace; fwd=bypass; detail=") {
				t.Errorf("%v: %v", tt, w.Header())
			}
		}
		if s := g.c.Status(); s.InMemory != 0 || s.Bypassed != 2 {
			t.Errorf("%v: %+v", tt, s)
		}
	}
}

// TestFreshened: a 304 makes what is stored good again, with what it says.
func TestFreshened(t *testing.T) {
	g := newRig(t, Config{}, Rules{})
	g.says(200, "body", "Cache-Control: max-age=60", lastModified(-time.Hour), "X-A: old", "X-B: old", "Content-Type: text/x")
	g.get("/")
	g.wait(60 * time.Second)
	g.says(304, "", "Cache-Control: max-age=10", "X-A: new", "Content-Type: text/y", "Content-Length: 99")
	g.want(g.get("/"), 200, "body", 2)
	g.mu.Lock()
	if g.last.Header.Get("If-Modified-Since") != start.Add(-time.Hour).Format(http.TimeFormat) {
		t.Errorf("asked with %v", g.last.Header)
	}
	g.mu.Unlock()
	g.wait(9 * time.Second)
	w := g.get("/")
	g.want(w, 200, "body", 2)
	for name, want := range map[string]string{"X-A": "new", "X-B": "old", "Content-Type": "text/x", "Content-Length": "4", "Age": "9", "Date": start.Add(time.Minute).Format(http.TimeFormat)} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	g.wait(time.Second)
	g.says(304, "", "Cache-Control: no-store")
	g.want(g.get("/"), 200, "body", 3)
	g.says(200, "new")
	g.want(g.get("/"), 200, "new", 4)
	if got := g.last.Header.Get("If-Modified-Since"); got != "" {
		t.Errorf("what must not be stored is: %s", got)
	}
}

func BenchmarkHit(b *testing.B) {
	g := newRig(&testing.T{}, Config{}, Rules{})
	g.says(200, strings.Repeat("x", 2000), "Cache-Control: max-age=60", "Content-Type: text/html", `Etag: "v"`)
	g.h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	r.Header.Set("User-Agent", "bench")
	w := &nowhere{h: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.h)
		g.h.ServeHTTP(w, r)
	}
}

type nowhere struct{ h http.Header }

func (n *nowhere) Header() http.Header         { return n.h }
func (n *nowhere) WriteHeader(int)             {}
func (n *nowhere) Write(b []byte) (int, error) { return len(b), nil }

// TestInvalidationWhileScanning: what was changed before a file is found is not
// answered by it.
func TestInvalidationWhileScanning(t *testing.T) {
	dir := t.TempDir()
	g := newRig(t, Config{Folder: dir}, Rules{})
	g.says(200, "old", "Cache-Control: max-age=60")
	g.get("/a")
	g.get("/b")
	g.c.Close()

	g = newRig(t, Config{}, Rules{})
	d, err := openDisk(dir)
	if err != nil {
		t.Fatal(err)
	}
	g.c.mu.Lock()
	g.c.disk, g.c.scanned, g.c.store.maxDisk = d, make(chan struct{}), 1<<20
	g.c.mu.Unlock()
	g.says(204, "")
	g.do("POST", "/a")
	g.c.scan(d)
	close(g.c.scanned)
	g.says(200, "new")
	g.want(g.get("/a"), 200, "new", 2)
	g.want(g.get("/b"), 200, "old", 2)
	if n := len(files(t, dir)); n != 1 {
		t.Errorf("%d files", n)
	}
}

// TestNoGuessedType: what the app has not said of a body, nobody says: a page
// would be made of what is none.
func TestNoGuessedType(t *testing.T) {
	g := newRig(t, Config{}, Rules{})
	g.replies(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, "<html>")
	})
	for range 2 {
		w := g.get("/")
		if kind, said := w.Header()["Content-Type"]; w.Body.String() != "<html>" || !said || kind != nil {
			t.Errorf("the server may guess: %v", w.Header())
		}
	}
}
