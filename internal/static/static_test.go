package static

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

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
