package static

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// jsonOf is a listing for programs, read.
func jsonOf(t testing.TB, h http.Handler, target string) (p jsonPage) {
	t.Helper()
	w := get(h, "GET", target, "Accept", "application/json")
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("%s: %d, %v", target, w.Code, w.Header())
	}
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("%s: %v", target, err)
	}
	return p
}

func namesOf(p jsonPage) string {
	var names []string
	for _, e := range p.Entries {
		names = append(names, e.Name)
	}
	return strings.Join(names, " ")
}

func TestListing(t *testing.T) {
	outside := tree(t, map[string]string{"secret": "x"})
	dir := tree(t, map[string]string{
		"b.txt": "12345", "a10.txt": "1", "A2.txt": "123", "sub/": "", "sub2/x": "x", "empty/": "", "indexed/index.html": "the index", "indexed/other": "x",
		".env": "x", ".git/x": "x", ".well-known/x": "x", "back\\slash": "x", "new\nline": "x", "link.txt": "-> b.txt", "linked": "-> sub2", "out": "-> " + outside,
		"out.txt": "-> " + outside + "/secret", "broken": "-> nothing",
	})
	for i, name := range []string{"b.txt", "a10.txt", "A2.txt", "sub", "sub2", "empty", "indexed"} {
		at := modified.Add(time.Duration(i) * time.Hour)
		if err := os.Chtimes(filepath.Join(dir, name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	h := handler(t, Options{Roots: []string{dir}, Listing: &Listing{}})
	const folders = "empty indexed linked sub sub2"
	for target, want := range map[string]string{
		"/":                     folders + " A2.txt a10.txt b.txt link.txt",
		"/?sort=name":           folders + " A2.txt a10.txt b.txt link.txt",
		"/?sort=-name":          "sub2 sub linked indexed empty link.txt b.txt a10.txt A2.txt",
		"/?sort=size":           folders + " a10.txt A2.txt b.txt link.txt",
		"/?sort=-size":          folders + " b.txt link.txt A2.txt a10.txt",
		"/?sort=time&q=txt":     "b.txt link.txt a10.txt A2.txt",
		"/?sort=nonsense":       folders + " A2.txt a10.txt b.txt link.txt",
		"/?q=TXT":               "A2.txt a10.txt b.txt link.txt",
		"/?q=none":              "",
		"/?page=7":              folders + " A2.txt a10.txt b.txt link.txt",
		"/?page=-1":             folders + " A2.txt a10.txt b.txt link.txt",
		"/?page=99999999999999": folders + " A2.txt a10.txt b.txt link.txt",
		"/empty/":               "",
		"/linked/":              "x",
	} {
		got := namesOf(jsonOf(t, h, target))
		if got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
	p := jsonOf(t, h, "/?q=b.txt")
	if len(p.Entries) != 1 || *p.Entries[0].Size != 5 || !p.Entries[0].Modified.Equal(modified.Truncate(time.Second)) || p.Entries[0].Type != "file" || p.Entries[0].Href != "./b.txt" || p.Total != 1 || !p.Whole || p.Query != "b.txt" {
		t.Errorf("%+v", p)
	}
	if e := jsonOf(t, h, "/?q=sub2").Entries[0]; e.Type != "directory" || e.Size != nil || e.Href != "./sub2/" {
		t.Errorf("%+v", e)
	}
	for target, status := range map[string]int{
		"/": 200, "/sub": 301, "/sub/": 200, "/nothing/": 404, "/b.txt/": 404, "/.git/": 404, "/.well-known/": 200, "/out/": 404, "/broken/": 404, "/back%5Cslash/": 404,
	} {
		if w := get(h, "GET", target); w.Code != status {
			t.Errorf("%s: %d, want %d", target, w.Code, status)
		}
	}
	if w := get(h, "GET", "/indexed/"); w.Body.String() != "the index" {
		t.Errorf("a folder with an index is listed: %.100q", w.Body)
	}
	off := handler(t, Options{Roots: []string{dir}})
	if w := get(off, "GET", "/sub2/"); w.Code != 404 {
		t.Errorf("without the key: %d", w.Code)
	}
	// Folders of several roots are one.
	other := tree(t, map[string]string{"sub2/y": "y", "sub2/x": "another"})
	both := handler(t, Options{Roots: []string{dir, other}, Listing: &Listing{Sort: "-size"}})
	if got := namesOf(jsonOf(t, both, "/sub2/")); got != "x y" {
		t.Errorf("two roots: %s", got)
	}
}

func TestListingHides(t *testing.T) {
	h := handler(t, Options{Roots: []string{tree(t, map[string]string{"a.txt": "1", "b.bak": "2", "shut/x": "3", "sub/c.bak": "4"})},
		Listing: &Listing{Hide: regexp.MustCompile(`\.bak$|^shut$`).MatchString}})
	if got := namesOf(jsonOf(t, h, "/")); got != "sub a.txt" {
		t.Errorf("listed: %s", got)
	}
	if got := namesOf(jsonOf(t, h, "/sub/")); got != "" {
		t.Errorf("listed: %s", got)
	}
	if w := get(h, "GET", "/b.bak"); w.Body.String() != "2" {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
}

func TestListingHeaders(t *testing.T) {
	dir := tree(t, map[string]string{"a": "x", "sub/": ""})
	h := handler(t, Options{Roots: []string{dir}, Listing: &Listing{}, CacheControl: "max-age=99", Strip: "/x"})
	for _, c := range []struct{ accept, target, kind string }{
		{"", "/x/", "text/html; charset=utf-8"},
		{"*/*", "/x/", "text/html; charset=utf-8"},
		{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "/x/", "text/html; charset=utf-8"},
		{"application/json", "/x/", "application/json"},
		{"text/html;q=0.5, application/json;q=0.6", "/x/", "application/json"},
		{"text/html, application/json", "/x/", "text/html; charset=utf-8"},
		{"application/json;q=0", "/x/", "text/html; charset=utf-8"},
		{"application/json;q=nonsense", "/x/", "text/html; charset=utf-8"},
		{"text/html", "/x/?format=json", "application/json"},
		{"application/json", "/x/?format=html", "text/html; charset=utf-8"},
	} {
		w := get(h, "GET", c.target, "Accept", c.accept)
		head := w.Header()
		if w.Code != 200 || head.Get("Content-Type") != c.kind || head.Get("Vary") != "Accept" || head.Get("X-Content-Type-Options") != "nosniff" || head.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s of %s: %d, %v", c.accept, c.target, w.Code, head)
		}
		if html := strings.HasPrefix(c.kind, "text/html"); html != strings.HasPrefix(head.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s of %s: %v", c.accept, c.target, head)
		}
		if fmt.Sprint(w.Body.Len()) != head.Get("Content-Length") {
			t.Errorf("%d bytes, Content-Length %s", w.Body.Len(), head.Get("Content-Length"))
		}
		if again := get(h, "GET", c.target, "Accept", c.accept, "If-None-Match", head.Get("Etag")); again.Code != 304 || again.Body.Len() > 0 {
			t.Errorf("%s of %s again: %d", c.accept, c.target, again.Code)
		}
		if only := get(h, "HEAD", c.target, "Accept", c.accept); only.Code != 200 || only.Body.Len() > 0 || only.Header().Get("Content-Length") != head.Get("Content-Length") {
			t.Errorf("HEAD: %d, %d bytes, %v", only.Code, only.Body.Len(), only.Header())
		}
	}
	before := get(h, "GET", "/x/").Header().Get("Etag")
	grow(t, dir, map[string]string{"new": "x"})
	if after := get(h, "GET", "/x/").Header().Get("Etag"); after == before {
		t.Error("a file came, and the tag is the same")
	}
}

func TestListingIsBounded(t *testing.T) {
	files := map[string]string{"sub/": ""}
	for i := range 50 {
		files[fmt.Sprintf("f%d", i)] = strings.Repeat("x", 50-i)
	}
	dir := tree(t, files)
	h := handler(t, Options{Roots: []string{dir}, Listing: &Listing{Page: 20, Max: 1000}})
	var all []string
	for page := 1; page <= 3; page++ {
		p := jsonOf(t, h, fmt.Sprintf("/?page=%d", page))
		if p.Page != page || p.Pages != 3 || p.Total != 51 || !p.Whole {
			t.Errorf("%+v", p)
		}
		all = append(all, strings.Fields(namesOf(p))...)
	}
	if len(all) != 51 || all[0] != "sub" || all[1] != "f0" || all[3] != "f2" || all[50] != "f49" {
		t.Errorf("all pages: %q", all)
	}
	if p := jsonOf(t, h, "/?sort=size&page=1"); p.Entries[1].Name != "f49" {
		t.Errorf("by size: %+v", p.Entries)
	}
	text := get(h, "GET", "/?page=2&sort=size&q=f").Body.String()
	for _, want := range []string{`href="./?page=3&amp;q=f&amp;sort=size"`, `href="./?q=f&amp;sort=size"`, "Page 2 of 3", `name="q" value="f"`, `href="./?q=f&amp;sort=-size"`} {
		if !strings.Contains(text, want) {
			t.Errorf("page 2 lacks %s", want)
		}
	}
	small := handler(t, Options{Roots: []string{dir}, Listing: &Listing{Max: 10}})
	if p := jsonOf(t, small, "/"); len(p.Entries) > 10 || p.Whole {
		t.Errorf("%d entries, whole %v", len(p.Entries), p.Whole)
	}
	if w := get(small, "GET", "/"); !strings.Contains(w.Body.String(), "very large") {
		t.Error("a listing that is not whole does not say so")
	}
}

// No more than a few listings are made at a time, and who waits for one may
// leave.
func TestListingsWait(t *testing.T) {
	h := handler(t, Options{Roots: []string{tree(t, map[string]string{"sub/": ""})}, Listing: &Listing{}})
	for range maxListings {
		h.listings <- struct{}{}
	}
	ctx, leave := context.WithCancel(t.Context())
	ended := make(chan any)
	go func() {
		defer func() { ended <- recover() }()
		h.ServeHTTP(httptest.NewRecorder(), request("/sub/").WithContext(ctx))
	}()
	select {
	case <-ended:
		t.Fatal("a listing did not wait")
	default:
		runtime.Gosched()
	}
	leave()
	if p := <-ended; p != http.ErrAbortHandler {
		t.Errorf("%v", p)
	}
	<-h.listings
	if w := get(h, "GET", "/sub/"); w.Code != 200 {
		t.Errorf("%d", w.Code)
	}
}

func TestCompareNames(t *testing.T) {
	want := []string{"", "0", "1", "01", "2", "10", "a", "A1", "a2", "A02b", "a10", "b", "ä"}
	for _, start := range [][]string{want, {"a10", "ä", "b", "A02b", "", "10", "2", "01", "1", "0", "A1", "a2", "a"}} {
		got := slices.Clone(start)
		slices.SortFunc(got, compareNames)
		slices.SortFunc(got, compareNames)
		for i := range got {
			for j := range got {
				if c := compareNames(got[i], got[j]); (c < 0) != (i < j) || (c > 0) != (i > j) {
					t.Errorf("%q against %q: %d", got[i], got[j], c)
				}
			}
		}
	}
	if !slices.IsSortedFunc([]string{"img2.jpg", "img10.jpg", "Img11.jpg", "img100.jpg"}, compareNames) {
		t.Error("numbers are not by value")
	}
}

func TestSizeText(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 1234: "1.2 kB", 9949: "9.9 kB", 9951: "10 kB", 99999: "100 kB", 999_499: "999 kB", 999_501: "1.0 MB",
		5_000_000_000: "5.0 GB", 1 << 62: "4.6 EB",
	} {
		if got := sizeText(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

// tags are what in a page is markup. What follows the style and the icons is
// made of names; the title before them is, too, and cannot hold markup.
var tags = regexp.MustCompile(`<[^<>]*>`)

// FuzzListing: whatever a file is called, and is looked for, its listing has
// the markup of any other's, and its link leads to it.
func FuzzListing(f *testing.F) {
	types := NewTypes(nil)
	shape := func(name, query string, folder bool) (string, string) {
		p := &page{path: "/top/" + name + "/", top: "/top/", sort: "-time", query: query, number: 2, pages: 3, files: 21, items: []item{{name: name, folder: folder}}}
		body := string(p.html("name", types))
		var shape []string
		_, rest, _ := strings.Cut(body, "</style>")
		for _, tag := range tags.FindAllString(rest[len(pageIcons):], -1) {
			kind, attributes, _ := strings.Cut(strings.Trim(tag, "</>"), " ")
			shape = append(shape, fmt.Sprint(kind, strings.Count(attributes, `"`)))
		}
		return strings.Join(shape, " "), body
	}
	for _, seed := range []string{"a", "<script>", `" onclick="x`, "' x='", "javascript:x", "&amp;", "a b", "%2e%2e", "ä\xff", "../x", "?x#y", "//evil", "a:b", "\u2028"} {
		f.Add(seed, seed, true)
		f.Add(seed, "q", false)
	}
	f.Fuzz(func(t *testing.T, name, query string, folder bool) {
		if !listed(name) || strings.Contains(name, "/") {
			return
		}
		known := "name" + filepath.Ext(name)
		if types.ByName(name) != types.ByName(known) || strings.ContainsAny(known, "<>\"'&") {
			known = "name"
		}
		asking := ""
		if query != "" {
			asking = "query"
		}
		got, body := shape(name, query, folder)
		want, _ := shape(known, asking, folder)
		if got != want {
			t.Fatalf("%q, %q has other markup than %q:\n%s\n%s", name, query, known, got, want)
		}
		if strings.Contains(body, "\xff") {
			t.Errorf("%q: the page is not UTF-8", name)
		}
		base, _ := url.Parse("http://example.com/top/")
		it := item{name: name, folder: folder}
		to, err := base.Parse(it.href())
		path := "/top/" + name
		if folder {
			path += "/"
		}
		if err != nil || to.Host != "example.com" || to.Scheme != "http" || to.Path != path || to.RawQuery != "" || to.Fragment != "" {
			t.Errorf("%q leads to %q: %v, %v", name, it.href(), to, err)
		}
		var read jsonPage
		p := &page{path: "/top/", top: "/", items: []item{it}}
		if err := json.Unmarshal(p.json(), &read); err != nil || read.Entries[0].Name != strings.ToValidUTF8(name, "\uFFFD") && len(read.Entries[0].Name) < len(name) {
			t.Errorf("%q as JSON: %+v, %v", name, read, err)
		}
	})
}
