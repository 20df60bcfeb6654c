package static

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var modified = time.Date(2020, 2, 3, 4, 5, 6, 789, time.UTC)

// tree makes a folder of files: name to content. A name that ends in a slash
// is a folder; content that begins with "-> " makes a symlink.
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	grow(t, dir, files)
	return dir
}

func grow(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range files {
		path := filepath.Join(dir, name)
		must(os.MkdirAll(filepath.Dir(path), 0o755))
		if to, ok := strings.CutPrefix(content, "-> "); ok {
			must(os.Symlink(strings.ReplaceAll(to, "$DIR", dir), path))
		} else if strings.HasSuffix(name, "/") {
			must(os.MkdirAll(path, 0o755))
		} else {
			must(os.WriteFile(path, []byte(content), 0o644))
			must(os.Chtimes(path, modified, modified))
		}
	}
}

func handler(t testing.TB, o Options) *Handler {
	t.Helper()
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// get sends a request whose path is target as a client would write it, or if
// it cannot be written so, the decoded path itself.
func get(h http.Handler, method, target string, header ...string) *httptest.ResponseRecorder {
	u, err := url.ParseRequestURI(target)
	if err != nil {
		u = &url.URL{Path: target}
	}
	r := &http.Request{Method: method, URL: u, Header: http.Header{}, Host: "example.com", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestWhatIsServed(t *testing.T) {
	outside := tree(t, map[string]string{"secret.txt": "secret", "sub/x.txt": "secret"})
	dir := tree(t, map[string]string{
		"index.html":                   "front",
		"a.txt":                        "a",
		"a b+c%.txt":                   "blank",
		"ä.txt":                        "umlaut",
		"sub/index.html":               "sub front",
		"sub/b.txt":                    "b",
		"sub/sub/c.txt":                "c",
		"noindex/x.txt":                "x",
		"index/index.html/":            "",
		"empty.txt":                    "",
		".env":                         "SECRET=1",
		".git/config":                  "secret",
		"sub/.hidden/x.txt":            "secret",
		"sub/.htpasswd":                "secret",
		".well-known/acme/token":       "token",
		".well-known/.secret":          "secret",
		"sub/.well-known/x":            "secret",
		"back\\slash.txt":              "secret",
		"link.txt":                     "-> a.txt",
		"sublink":                      "-> sub",
		"sub/up.txt":                   "-> ../a.txt",
		"absolute.txt":                 "-> $DIR/a.txt",
		"absolute":                     "-> $DIR/sub",
		"out.txt":                      "-> " + outside + "/secret.txt",
		"out":                          "-> " + outside,
		"relative-out":                 "-> ../" + filepath.Base(outside),
		"broken":                       "-> nothing",
		"circle":                       "-> circle",
		"evil/index.html":              "evil",
		"javascript:alert(1)/a.txt":    "a",
		"percent%2e/index.html":        "percent",
		strings.Repeat("n", 200) + "x": "long",
	})
	h := handler(t, Options{Roots: []string{dir}})
	follow := handler(t, Options{Roots: []string{dir}, FollowSymlinks: true})
	for _, c := range []struct {
		target string
		status int
		body   string // or the Location
	}{
		{"/", 200, "front"},
		{"/index.html", 200, "front"},
		{"/a.txt", 200, "a"},
		{"//a.txt", 200, "a"},
		{"/sub//b.txt", 200, "b"},
		{"/a%20b+c%25.txt", 200, "blank"},
		{"/%C3%A4.txt", 200, "umlaut"},
		{"/%61.txt", 200, "a"},
		{"/sub%2Fb.txt", 200, "b"},
		{"/sub/", 200, "sub front"},
		{"/sub/sub/c.txt", 200, "c"},
		{"/empty.txt", 200, ""},
		{"/.well-known/acme/token", 200, "token"},
		{"/link.txt", 200, "a"},
		{"/sublink/b.txt", 200, "b"},
		{"/sub/up.txt", 200, "a"},
		{"/absolute.txt", 200, "a"},
		{"/absolute/b.txt", 200, "b"},
		{"/percent%252e/", 200, "percent"},

		{"/sub", 301, "/sub/"},
		{"/sub?x=1&y=%2F", 301, "/sub/?x=1&y=%2F"},
		{"/sub?x=ä", 301, "/sub/?x=%C3%A4"},
		{"/noindex", 301, "/noindex/"},
		{"//evil", 301, "/evil/"},
		{"///evil", 301, "/evil/"},
		{"/%2Fevil", 301, "/evil/"},
		{"/javascript:alert(1)", 301, "/javascript:alert%281%29/"},
		{"/percent%252e", 301, "/percent%252e/"},
		{"/.well-known", 301, "/.well-known/"},

		{"/nothing", 404, ""},
		{"/nothing/", 404, ""},
		{"/A.txt", 404, ""},
		{"/a.txt/", 404, ""},
		{"/a.txt/x", 404, ""},
		{"/noindex/", 404, ""},
		{"/index/", 404, ""},
		{"/.env", 404, ""},
		{"/%2Eenv", 404, ""},
		{"/.git/config", 404, ""},
		{"/.git", 404, ""},
		{"/.git/", 404, ""},
		{"/sub/.hidden/x.txt", 404, ""},
		{"/sub/.htpasswd", 404, ""},
		{"/.well-known/.secret", 404, ""},
		{"/.well-knownx", 404, ""},
		{"/sub/.well-known/x", 404, ""},
		{"/..", 404, ""},
		{"/.", 404, ""},
		{"/./a.txt", 404, ""},
		{"/sub/../a.txt", 404, ""},
		{"/sub/..", 404, ""},
		{"/../../../../etc/passwd", 404, ""},
		{"/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd", 404, ""},
		{"/..%2f..%2f..%2f..%2fetc%2fpasswd", 404, ""},
		{"/%252e%252e/etc/passwd", 404, ""},
		{"/back%5Cslash.txt", 404, ""},
		{"/%5Cevil", 404, ""},
		{"/sub%5C..%5Ca.txt", 404, ""},
		{"/broken", 404, ""},
		{"/circle", 404, ""},
		{"/" + strings.Repeat("n", 300), 404, ""},
		{"/" + strings.Repeat("n/", 5000), 404, ""},

		{"/a.txt%00", 400, ""},
		{"/%00", 400, ""},
		{"/a.txt%0A", 400, ""},
		{"/a%7F", 400, ""},
		{"*", 400, ""},
		{"", 400, ""},
		{"a.txt", 400, ""},
	} {
		for mode, h := range map[string]*Handler{"": h, " following": follow} {
			w := get(h, "GET", c.target)
			if w.Code != c.status {
				t.Errorf("GET %.60s%s: %d, want %d", c.target, mode, w.Code, c.status)
				continue
			}
			switch got := w.Body.String(); {
			case c.status == 200 && got != c.body:
				t.Errorf("GET %s%s: %q, want %q", c.target, mode, got, c.body)
			case c.status == 301 && w.Header().Get("Location") != c.body:
				t.Errorf("GET %s%s leads to %q, want %q", c.target, mode, w.Header().Get("Location"), c.body)
			case strings.Contains(strings.ToLower(got), "secret"):
				t.Errorf("GET %s%s gives away %q", c.target, mode, got)
			}
		}
	}
	// Links out of the root: only where they are allowed.
	for _, target := range []string{"/out.txt", "/out/secret.txt", "/out/sub/x.txt", "/relative-out/secret.txt"} {
		if w := get(h, "GET", target); w.Code != 404 {
			t.Errorf("GET %s: %d %q, want 404", target, w.Code, w.Body)
		}
		if w := get(follow, "GET", target); w.Code != 200 || w.Body.String() != "secret" {
			t.Errorf("GET %s following: %d %q, want the file", target, w.Code, w.Body)
		}
	}
	if w := get(h, "GET", "/out"); w.Code != 404 {
		t.Errorf("GET /out: %d, want 404", w.Code)
	}
}

// What os.Root decides where the kernel does not, must be the same.
func TestSlowWayAgrees(t *testing.T) {
	outside := tree(t, map[string]string{"x": "secret"})
	dir := tree(t, map[string]string{
		"a": "a", "d/b": "b", "in": "-> d", "out": "-> " + outside, "abs": "-> $DIR/d/b", "circle": "-> circle",
		"d/climb": "-> ../../" + filepath.Base(outside),
	})
	f, err := openFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	for name, want := range map[string]string{
		"a": "a", "d/b": "b", "in/b": "b", "abs": "b",
		"out/x": "", "d/climb/x": "", "circle": "", "nothing": "", "a/b": "", "out": "", "../" + filepath.Base(outside) + "/x": "",
	} {
		n, err := f.open(name, false)
		if (err == nil) != (want != "") {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			if !hidden(err) {
				t.Errorf("%s: %v would be a server error", name, err)
			}
			continue
		}
		b := make([]byte, 10)
		got, err := n.readStart(b)
		if err != nil || string(b[:got]) != want {
			t.Errorf("%s: %q, %v", name, b[:got], err)
		}
		n.close()
	}
}

func TestHeaders(t *testing.T) {
	big := strings.Repeat("0123456789", 10_000)
	dir := tree(t, map[string]string{"a.css": "body{}", "big.tar.gz": big, "noext": "x", "empty.html": ""})
	h := handler(t, Options{Roots: []string{dir}})
	for name, c := range map[string]struct{ mediaType, length string }{
		"/a.css":      {"text/css; charset=utf-8", "6"},
		"/big.tar.gz": {"application/gzip", "100000"},
		"/noext":      {"application/octet-stream", "1"},
		"/empty.html": {"text/html; charset=utf-8", "0"},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			w := get(h, method, name)
			want := map[string]string{
				"Content-Type":           c.mediaType,
				"Content-Length":         c.length,
				"Last-Modified":          "Mon, 03 Feb 2020 04:05:06 GMT",
				"X-Content-Type-Options": "nosniff",
				"Accept-Ranges":          "bytes",
			}
			for key, value := range want {
				if got := w.Header().Get(key); got != value {
					t.Errorf("%s %s: %s is %q, want %q", method, name, key, got, value)
				}
			}
			if method == "HEAD" && w.Body.Len() != 0 {
				t.Errorf("HEAD %s has a body", name)
			}
			if method == "GET" && fmt.Sprint(w.Body.Len()) != c.length {
				t.Errorf("GET %s: %d bytes", name, w.Body.Len())
			}
		}
	}
}

func TestMethods(t *testing.T) {
	h := handler(t, Options{Roots: []string{tree(t, map[string]string{"a": "a"})}})
	for method, status := range map[string]int{"POST": 405, "PUT": 405, "DELETE": 405, "TRACE": 405, "get": 405, "": 405, "OPTIONS": 204} {
		w := get(h, method, "/a")
		if w.Code != status || w.Header().Get("Allow") != "GET, HEAD, OPTIONS" {
			t.Errorf("%q: %d, Allow %q", method, w.Code, w.Header().Get("Allow"))
		}
	}
}

func TestConditions(t *testing.T) {
	body := strings.Repeat("0123456789", 10_000)
	dir := tree(t, map[string]string{"f.bin": body, "small.bin": body[:10]})
	h := handler(t, Options{Roots: []string{dir}})
	etag := get(h, "GET", "/f.bin").Header().Get("Etag")
	if len(etag) < 5 || etag[0] != '"' {
		t.Fatalf("Etag is %q, want a strong one", etag)
	}
	const at, before, after = "Mon, 03 Feb 2020 04:05:06 GMT", "Mon, 03 Feb 2020 04:05:05 GMT", "Mon, 03 Feb 2020 04:05:07 GMT"
	for _, c := range []struct {
		header []string
		status int
		body   string
		length string
	}{
		{[]string{"If-None-Match", etag}, 304, "", ""},
		{[]string{"If-None-Match", "W/" + etag}, 304, "", ""},
		{[]string{"If-None-Match", `"x", ` + etag}, 304, "", ""},
		{[]string{"If-None-Match", "*"}, 304, "", ""},
		{[]string{"If-None-Match", `"x"`}, 200, body, "100000"},
		{[]string{"If-None-Match", `"x"`, "If-Modified-Since", after}, 200, body, "100000"},
		{[]string{"If-Modified-Since", at}, 304, "", ""},
		{[]string{"If-Modified-Since", after}, 304, "", ""},
		{[]string{"If-Modified-Since", before}, 200, body, "100000"},
		{[]string{"If-Modified-Since", "nonsense"}, 200, body, "100000"},
		{[]string{"If-Match", etag}, 200, body, "100000"},
		{[]string{"If-Match", `"x"`}, 412, "", ""},
		{[]string{"If-Unmodified-Since", at}, 200, body, "100000"},
		{[]string{"If-Unmodified-Since", before}, 412, "", ""},
		{[]string{"Range", "bytes=0-9"}, 206, body[:10], "10"},
		{[]string{"Range", "bytes=99995-"}, 206, body[99995:], "5"},
		{[]string{"Range", "bytes=-3"}, 206, "789", "3"},
		{[]string{"Range", "bytes=99999-200000"}, 206, "9", "1"},
		{[]string{"Range", "bytes=100000-"}, 416, "", ""},
		{[]string{"Range", "bytes=5-1"}, 416, "", ""},
		{[]string{"Range", "bytes=" + strings.Repeat("0-0,", 2000) + "0-0"}, 200, body, "100000"},
		{[]string{"Range", "bytes=0-9", "If-Range", etag}, 206, body[:10], "10"},
		{[]string{"Range", "bytes=0-9", "If-Range", `"x"`}, 200, body, "100000"},
		{[]string{"Range", "bytes=0-9", "If-Range", at}, 206, body[:10], "10"},
		{[]string{"Range", "bytes=0-9", "If-Range", before}, 200, body, "100000"},
		{[]string{"If-Range", `"x"`}, 200, body, "100000"},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			w := get(h, method, "/f.bin", c.header...)
			if w.Code != c.status {
				t.Errorf("%s with %.60q: %d, want %d", method, c.header, w.Code, c.status)
				continue
			}
			if c.status < 300 {
				want := c.body
				if method == "HEAD" {
					want = ""
				}
				if w.Body.String() != want || w.Header().Get("Content-Length") != c.length {
					t.Errorf("%s with %.60q: %d bytes, Content-Length %s; want %d, %s", method, c.header, w.Body.Len(), w.Header().Get("Content-Length"), len(want), c.length)
				}
			}
			if c.status == 206 && !strings.HasSuffix(w.Header().Get("Content-Range"), "/100000") {
				t.Errorf("Content-Range is %q", w.Header().Get("Content-Range"))
			}
			if c.status == 304 && w.Header().Get("Etag") != etag {
				t.Errorf("a 304 with Etag %q", w.Header().Get("Etag"))
			}
		}
	}
	w := get(h, "GET", "/f.bin", "Range", "bytes=0-4,10-14,-2")
	mediaType, params, _ := mime.ParseMediaType(w.Header().Get("Content-Type"))
	if w.Code != 206 || mediaType != "multipart/byteranges" {
		t.Fatalf("several ranges: %d, %s", w.Code, mediaType)
	}
	parts := multipart.NewReader(w.Body, params["boundary"])
	for _, want := range []string{"01234", "01234", "89"} {
		p, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(p); string(got) != want || p.Header.Get("Content-Type") != "application/octet-stream" {
			t.Errorf("a part is %q, want %q", got, want)
		}
	}
	// Any change of the file changes its tag.
	later := modified.Add(time.Nanosecond)
	if err := os.Chtimes(filepath.Join(dir, "f.bin"), later, later); err != nil {
		t.Fatal(err)
	}
	if now := get(h, "GET", "/f.bin").Header().Get("Etag"); now == etag {
		t.Error("the file changed, its Etag did not")
	}
}

func TestRootsInOrder(t *testing.T) {
	one := tree(t, map[string]string{"a": "one a", "both": "one", "d/x": "one x", "file-or-folder": "one file"})
	two := tree(t, map[string]string{"b": "two b", "both": "two", "d/y": "two y", "d/index.html": "two d", "file-or-folder/x": "two x"})
	h := handler(t, Options{Roots: []string{one, two}})
	for target, want := range map[string]string{
		"/a": "one a", "/b": "two b", "/both": "one", "/d/x": "one x", "/d/y": "two y", "/d/": "two d",
		"/file-or-folder": "one file", "/file-or-folder/x": "two x",
	} {
		if w := get(h, "GET", target); w.Code != 200 || w.Body.String() != want {
			t.Errorf("GET %s: %d %q, want %q", target, w.Code, w.Body, want)
		}
	}
}

func TestStrip(t *testing.T) {
	dir := tree(t, map[string]string{"a": "a", "d/index.html": "d", "static/a": "nested", ".well-known/x": "secret"})
	for _, strip := range []string{"/static", "/static/", "static"} {
		h := handler(t, Options{Roots: []string{dir}, Strip: strip})
		for target, want := range map[string]string{
			"/static/a": "200 a", "/static/d/": "200 d", "//static//a": "200 a", "/static/static/a": "200 nested",
			"/static": "301 /static/", "/static/d": "301 /static/d/",
			"/a": "404", "/statica": "404", "/static/": "404", "/": "404", "/static/.well-known/x": "404", "/static/../a": "404",
		} {
			w := get(h, "GET", target)
			got := fmt.Sprint(w.Code)
			switch w.Code {
			case 200:
				got += " " + w.Body.String()
			case 301:
				got += " " + w.Header().Get("Location")
			}
			if got != want {
				t.Errorf("strip %s: GET %s: %s, want %s", strip, target, got, want)
			}
		}
	}
}

func TestIndex(t *testing.T) {
	dir := tree(t, map[string]string{"a/index.htm": "htm", "b/index.htm": "htm", "b/home.html": "home", "c/index.html": "html"})
	h := handler(t, Options{Roots: []string{dir}, Index: []string{"home.html", "index.htm"}})
	for target, want := range map[string]string{"/a/": "htm", "/b/": "home", "/c/": ""} {
		w := get(h, "GET", target)
		if want == "" && w.Code == 404 || w.Code == 200 && w.Body.String() == want {
			continue
		}
		t.Errorf("GET %s: %d %q, want %q", target, w.Code, w.Body, want)
	}
	none := handler(t, Options{Roots: []string{dir}, Index: []string{}})
	if w := get(none, "GET", "/c/"); w.Code != 404 {
		t.Errorf("without index files: %d", w.Code)
	}
	for _, bad := range []string{"", "a/b", ".htaccess", "..", `a\b`, "a\x00"} {
		if h, err := New(Options{Roots: []string{dir}, Index: []string{bad}}); err == nil {
			h.Close()
			t.Errorf("index %q was taken", bad)
		}
	}
}

func TestNotFound(t *testing.T) {
	h := handler(t, Options{
		Roots:    []string{tree(t, map[string]string{"a": "a"})},
		NotFound: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(299) }),
	})
	for target, want := range map[string]int{"/a": 200, "/b": 299, "/.env": 299, "/": 299, "/../x": 299, "/%00": 400} {
		if w := get(h, "GET", target); w.Code != want {
			t.Errorf("GET %s: %d, want %d", target, w.Code, want)
		}
	}
}

func TestRootsThatAreRefused(t *testing.T) {
	project := tree(t, map[string]string{"manage.py": "", "static/a": "a"})
	file := filepath.Join(tree(t, map[string]string{"f": "x"}), "f")
	links := tree(t, map[string]string{"machine": "-> /", "project": "-> " + project, "sub/manage.py": "-> nothing"})
	for _, roots := range [][]string{
		nil, {}, {""}, {"/"}, {"//"}, {"/tmp/.."}, {project}, {project + "/"}, {project + "/static/.."}, {file},
		{filepath.Join(links, "machine")}, {filepath.Join(links, "project")}, {filepath.Join(links, "sub")},
		{filepath.Join(project, "static"), project},
	} {
		h, err := New(Options{Roots: roots})
		if err == nil {
			h.Close()
			t.Errorf("roots %q were taken", roots)
			continue
		}
		if len(roots) == 1 && !strings.Contains(err.Error(), "cannot serve files from "+filepath.Clean(roots[0])) && roots[0] != "" {
			t.Errorf("roots %q: %v does not name the root", roots, err)
		}
	}
	handler(t, Options{Roots: []string{filepath.Join(project, "static")}})
}

// logged collects log lines.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// soon makes the handler look at its roots again with the next request.
func soon(h *Handler) {
	for _, r := range h.roots {
		r.looked.Store(0)
	}
}

func TestRootComesAndChanges(t *testing.T) {
	base := tree(t, map[string]string{"v1/a": "one", "v2/a": "two", "bad/manage.py": "", "bad/a": "secret"})
	current := filepath.Join(base, "current")
	var log logged
	h := handler(t, Options{Roots: []string{current}, Log: log.logger()})
	expect := func(what string, status int, body string) {
		t.Helper()
		soon(h)
		w := get(h, "GET", "/a")
		if w.Code != status || status == 200 && w.Body.String() != body {
			t.Errorf("%s: %d %q, want %d %q", what, w.Code, w.Body, status, body)
		}
	}
	point := func(to string) {
		t.Helper()
		os.Remove(current)
		if err := os.Symlink(to, current); err != nil {
			t.Fatal(err)
		}
	}
	expect("not there yet", 404, "")
	point("v1")
	expect("now there", 200, "one")
	point("v2")
	expect("changed", 200, "two")
	os.Remove(current)
	expect("gone", 404, "")
	if log.String() != "" {
		t.Errorf("logged: %s", log.String())
	}
	point("bad")
	expect("a project", 404, "")
	if !strings.Contains(log.String(), "manage.py") {
		t.Errorf("a refused folder is not logged: %q", log.String())
	}
	point("v1")
	expect("good again", 200, "one")

	// Within the same second nothing is looked at.
	h.roots[0].looked.Store(time.Now().Unix() + 1)
	now := time.Unix(h.roots[0].looked.Load(), 0)
	point("v2")
	if err := h.roots[0].refresh(now); err != nil {
		t.Error(err)
	}
	h.roots[0].mu.RLock()
	defer h.roots[0].mu.RUnlock()
	if filepath.Base(h.roots[0].folder.real) != "v1" {
		t.Error("the root was looked at twice in a second")
	}
}

func TestRootChangesUnderLoad(t *testing.T) {
	base := tree(t, map[string]string{"v1/a": "one", "v2/a": "two"})
	current := filepath.Join(base, "current")
	os.Symlink("v1", current)
	h := handler(t, Options{Roots: []string{current}})
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				w := get(h, "GET", "/a")
				if b := w.Body.String(); w.Code != 200 || b != "one" && b != "two" {
					t.Errorf("%d %q", w.Code, b)
					return
				}
			}
		})
	}
	for i := range 200 {
		next := filepath.Join(base, "next")
		os.Symlink([]string{"v1", "v2"}[i%2], next)
		if err := os.Rename(next, current); err != nil {
			t.Fatal(err)
		}
		soon(h)
		get(h, "GET", "/a")
	}
	stop()
	wg.Wait()
}

func TestClosed(t *testing.T) {
	h := handler(t, Options{Roots: []string{tree(t, map[string]string{"a": "a"})}})
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	soon(h)
	if w := get(h, "GET", "/a"); w.Code != 503 {
		t.Errorf("%d, want 503", w.Code)
	}
	if w := get(h, "GET", "/"); w.Code != 503 {
		t.Errorf("%d, want 503", w.Code)
	}
}

// recorder is a ResponseWriter that notes how a body comes.
type recorder struct {
	*httptest.ResponseRecorder
	from []string
}

func (r *recorder) ReadFrom(src io.Reader) (int64, error) {
	kind := fmt.Sprintf("%T", src)
	if l, ok := src.(*io.LimitedReader); ok {
		kind += fmt.Sprintf(" of %T", l.R)
	}
	r.from = append(r.from, kind)
	return io.Copy(r.ResponseRecorder, src)
}

func TestBigFilesLeaveBySendfile(t *testing.T) {
	big := strings.Repeat("0123456789", 20_000)
	h := handler(t, Options{Roots: []string{tree(t, map[string]string{"big": big})}})
	for _, header := range [][]string{nil, {"Range", "bytes=1-150000"}, {"If-None-Match", `"x"`}} {
		u, _ := url.Parse("/big")
		r := &http.Request{Method: "GET", URL: u, Header: http.Header{}}
		if header != nil {
			r.Header.Set(header[0], header[1])
		}
		w := &recorder{ResponseRecorder: httptest.NewRecorder()}
		h.ServeHTTP(w, r)
		if !slices.Equal(w.from, []string{"*io.LimitedReader of *os.File"}) {
			t.Errorf("with %q the body came as %q", header, w.from)
		}
	}
}

func TestOverARealSocket(t *testing.T) {
	big := strings.Repeat("0123456789", 500_000)
	h := handler(t, Options{Roots: []string{tree(t, map[string]string{"big": big, "small.txt": "small", "d/index.html": "d"})}})
	srv := httptest.NewServer(h)
	defer srv.Close()
	for target, want := range map[string]string{"/big": big, "/small.txt": "small", "/d": "d"} {
		resp, err := srv.Client().Get(srv.URL + target)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(got) != want || resp.ContentLength != int64(len(want)) {
			t.Errorf("%s: %d bytes of %d, %v", target, len(got), len(want), err)
		}
	}
	// A file that is removed while it is sent is sent whole.
	resp, err := srv.Client().Get(srv.URL + "/big")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := os.Remove(filepath.Join(h.roots[0].dir, "big")); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(resp.Body); err != nil || string(got) != big {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// shrinker cuts the file short at the moment its headers are out.
type shrinker struct {
	*httptest.ResponseRecorder
	path string
}

func (s *shrinker) WriteHeader(status int) {
	s.ResponseRecorder.WriteHeader(status)
	os.Truncate(s.path, 50_000)
}

func TestFileThatShrinks(t *testing.T) {
	dir := tree(t, map[string]string{"big": strings.Repeat("x", 100_000)})
	var log logged
	h := handler(t, Options{Roots: []string{dir}, Log: log.logger()})
	u, _ := url.Parse("/big")
	w := &shrinker{httptest.NewRecorder(), filepath.Join(dir, "big")}
	h.ServeHTTP(w, &http.Request{Method: "GET", URL: u})
	if w.Body.Len() != 50_000 || !strings.Contains(log.String(), "cut short") {
		t.Errorf("%d bytes, log %q", w.Body.Len(), log.String())
	}
	// A small one is read before anything is promised.
	n, m, _, _ := h.find(w, &http.Request{URL: u}, h.roots[0], "big")
	os.Truncate(w.path, 5)
	m.size = 10
	rec := httptest.NewRecorder()
	h.send(rec, &http.Request{Method: "GET"}, h.roots[0], "big", &n, m)
	if rec.Code != 500 || rec.Header().Get("Etag") != "" || !strings.Contains(log.String(), "shrank") {
		t.Errorf("%d, %v, log %q", rec.Code, rec.Header(), log.String())
	}
}

func FuzzPath(f *testing.F) {
	outside := tree(f, map[string]string{"x": "SECRET"})
	dir := tree(f, map[string]string{
		"a": "a", "d/index.html": "d", ".env": "SECRET", "d/.git/x": "SECRET", "out": "-> " + outside, "x y": "x",
	})
	h := handler(f, Options{Roots: []string{dir}})
	for _, seed := range []string{"/a", "/d", "/d/", "//d", "/../x", "/out/x", "/.env", "/d/.git/x", "/\\d", "/x y", "/%2e", "/a\x00"} {
		f.Add(seed, "q=1")
	}
	f.Fuzz(func(t *testing.T, path, query string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, &http.Request{Method: "GET", URL: &url.URL{Path: path, RawQuery: query}})
		switch w.Code {
		case 200, 400, 404:
		case 301:
			loc := w.Header().Get("Location")
			base, _ := url.Parse("http://example.com/x/y")
			to, err := base.Parse(loc)
			if err != nil || to.Host != "example.com" || to.Scheme != "http" || !strings.HasSuffix(to.Path, "/") {
				t.Errorf("%q leads to %q", path, loc)
			}
			if strings.ContainsFunc(loc, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
				t.Errorf("%q leads to %q, which is no header", path, loc)
			}
		default:
			t.Errorf("%q: %d", path, w.Code)
		}
		if strings.Contains(w.Body.String(), "SECRET") {
			t.Errorf("%q gives the secret away", path)
		}
	})
}

// discard is a ResponseWriter that costs nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}
func (d *discard) ReadFrom(r io.Reader) (int64, error) {
	return r.(*io.LimitedReader).N, nil
}

func BenchmarkHandler(b *testing.B) {
	dir := tree(b, map[string]string{"css/small.css": strings.Repeat("x", 8000), "img/big.png": strings.Repeat("x", 200_000)})
	h := handler(b, Options{Roots: []string{dir}})
	for name, c := range map[string]struct {
		path   string
		header http.Header
	}{
		"small":   {"/css/small.css", nil},
		"big":     {"/img/big.png", nil},
		"304":     {"/css/small.css", http.Header{"If-Modified-Since": {"Mon, 03 Feb 2020 04:05:06 GMT"}}},
		"missing": {"/css/none.css", nil},
	} {
		b.Run(name, func(b *testing.B) {
			u, _ := url.Parse(c.path)
			r := &http.Request{Method: "GET", URL: u, Header: c.header}
			w := &discard{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				h.ServeHTTP(w, r)
			}
		})
	}
}

// BenchmarkServer is the same over a real connection, against the standard
// library's file server.
func BenchmarkServer(b *testing.B) {
	dir := tree(b, map[string]string{"small.css": strings.Repeat("x", 8000), "medium.js": strings.Repeat("x", 30_000), "big.png": strings.Repeat("x", 200_000)})
	for name, h := range map[string]http.Handler{"ours": handler(b, Options{Roots: []string{dir}}), "std": http.FileServer(http.Dir(dir))} {
		for _, file := range []string{"small.css", "medium.js", "big.png"} {
			b.Run(name+"/"+file, func(b *testing.B) {
				srv := httptest.NewServer(h)
				defer srv.Close()
				for b.Loop() {
					resp, err := srv.Client().Get(srv.URL + "/" + file)
					if err != nil {
						b.Fatal(err)
					}
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			})
		}
	}
}
