package static

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func FuzzPath(f *testing.F) {
	outside := tree(f, map[string]string{"x": "SECRET"})
	dir := tree(f, map[string]string{
		"a": "a", "d/index.html": "d", ".env": "SECRET", "d/.git/x": "SECRET", "out": "-> " + outside, "x y": "x",
	})
	h := handler(f, Options{Roots: []string{dir}})
	for _, seed := range []string{"/a", "/d", "/d/", "//d", "/../x", "/out/x", "/.env", "/d/.git/x", "/\\d", "/x y", "/%2e", "/a\x00"} {
		f.Add(seed, "q=1")
	}
	lists := handler(f, Options{Roots: []string{dir}, Precompressed: true, Listing: &Listing{}})
	f.Add("/", "sort=-size&page=2&q=x&format=json")
	f.Fuzz(func(t *testing.T, path, query string) {
		w := httptest.NewRecorder()
		lists.ServeHTTP(w, &http.Request{Method: "GET", URL: &url.URL{Path: path, RawQuery: query}})
		if body := w.Body.String(); strings.Contains(body, "SECRET") || strings.Contains(body, ".env") || strings.Contains(body, "out") && w.Header().Get("Content-Type") == "application/json" && !strings.Contains(query, "out") {
			t.Errorf("%q, %q: the listing gives a secret away: %s", path, query, body)
		}
		w = httptest.NewRecorder()
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
