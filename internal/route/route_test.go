package route

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// named answers with its name and the path it was given.
func named(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s", name, r.URL.Path)
	})
}

// ask sends a request as it arrives on the wire, so that the path is decoded
// by net/http itself.
func ask(t testing.TB, h http.Handler, target, host string) (int, string) {
	t.Helper()
	raw := "GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n"
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		t.Fatalf("%s: %v", target, err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, strings.TrimSpace(w.Body.String())
}

func TestHosts(t *testing.T) {
	sites := []Site{
		{Hosts: []string{"Mysite.com", "www.mysite.com"}, Fallback: named("mine")},
		{Hosts: []string{"other.example."}, Fallback: named("other")},
		{Hosts: []string{"[::1]"}, Fallback: named("six")},
	}
	unnamed := append(sites[:3:3], Site{Fallback: named("any")})
	for _, tt := range []struct {
		host, want, wantUnnamed string
	}{
		{"mysite.com", "mine", "mine"},
		{"WWW.MySite.COM", "mine", "mine"},
		{"mysite.com:8000", "mine", "mine"},
		{"mysite.com.", "mine", "mine"},
		{"mysite.com.:8000", "mine", "mine"},
		{"other.example", "other", "other"},
		{"[::1]:8000", "six", "six"},
		{"[::1]", "six", "six"},
		{"[::2]:8000", "mine", "any"},
		{"sub.mysite.com", "mine", "any"},
		{"mysite.com.evil", "mine", "any"},
		{"", "mine", "any"},
		{":8000", "mine", "any"},
	} {
		for _, v := range []struct {
			sites []Site
			want  string
		}{{sites, tt.want}, {unnamed, tt.wantUnnamed}} {
			table, err := New(v.sites)
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest("GET", "/", nil)
			r.Host = tt.host
			w := httptest.NewRecorder()
			table.ServeHTTP(w, r)
			if got, want := w.Body.String(), v.want+" /"; got != want {
				t.Errorf("host %q, %d sites: %q, want %q", tt.host, len(v.sites), got, want)
			}
		}
	}
}

func TestRoutes(t *testing.T) {
	table, err := New([]Site{{Routes: []Route{
		{Match: Match{Path: "/media/*"}, Handler: named("media")},
		{Match: Match{Path: "/media/late"}, Handler: named("never")},
		{Match: Match{Path: "/favicon.ico"}, Handler: named("icon")},
		{Match: Match{Regexp: `^/admin(/.*)$`}, Handler: named("admin")},
		{Match: Match{Path: "/a*"}, Handler: named("a")},
		{Match: Match{Path: "/späť/*"}, Handler: named("utf8")},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		target string
		code   int
		body   string
	}{
		{"/media/", 200, "media /media/"},
		{"/media/a/b.jpg", 200, "media /media/a/b.jpg"},
		{"/media/late", 200, "media /media/late"},
		{"/media", 404, "404 not found"}, // no slash: another name
		{"/mediax", 404, "404 not found"},
		{"/Media/", 404, "404 not found"},
		{"/favicon.ico", 200, "icon /favicon.ico"},
		{"/favicon.ico/", 404, "404 not found"},
		{"/favicon.ico?x=/media/", 200, "icon /favicon.ico"},
		{"/admin/login/", 200, "admin /admin/login/"},
		{"/admin", 200, "a /admin"},
		{"/abc", 200, "a /abc"},
		{"/%61dmin/x", 200, "admin /admin/x"}, // matched once decoded
		{"/sp%C3%A4%C5%A5/x", 200, "utf8 /späť/x"},
		{"/", 404, "404 not found"},
		{"//media/", 200, "media /media/"}, // files are below it alike
		{"//admin//login/", 200, "admin /admin/login/"},
		{"/%2Fadmin/x", 200, "admin /admin/x"},
		{"/media//http://x", 200, "media /media//http://x"}, // its own path is the route's, too
		{"///favicon.ico", 200, "icon /favicon.ico"},
		{"http://h/media/x", 200, "media /media/x"},
		{"http://h", 404, "404 not found"},
	} {
		code, body := ask(t, table, tt.target, "h")
		if code != tt.code || body != tt.body {
			t.Errorf("%s: %d %q, want %d %q", tt.target, code, body, tt.code, tt.body)
		}
	}
}

func TestRefusedPaths(t *testing.T) {
	reached := ""
	table, err := New([]Site{{Fallback: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { reached = r.URL.Path })}})
	if err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]int{
		"/..":                   400,
		"/.":                    400,
		"/../etc/passwd":        400,
		"/a/../b":               400,
		"/a/./b":                400,
		"/a/..":                 400,
		"/a/.":                  400,
		"/%2e%2e/etc/passwd":    400,
		"/a/..;/b":              400, // Tomcat's "..", past the guard of what it leads to
		"/a/..;x=1":             400,
		"/a/.;/b":               400,
		"/a/%2e%2e%3b/b":        400,
		"/a/..%5cb":             400, // and IIS's
		"/a%5c..%5cb":           400,
		"/a%2F..%2Fb":           400, // a slash that was encoded
		"/a/%2e%2E%2fb":         400,
		"/a%00b":                400,
		"/a%0d%0aSet-Cookie:x":  400,
		"/a%7f":                 400,
		"/a%1b":                 400,
		"/...":                  200,
		"/..a/b..":              200,
		"/a/.well-known/x":      200,
		"/a%20b":                200,
		"/%252e%252e/etc":       200, // decoded once, and no more
		"/a%ff":                 200, // not UTF-8: the app's matter
		"http://h/../etc":       400,
		"/a/..?x":               400,
		"/a?b=../../etc/passwd": 200,
	} {
		reached = ""
		code, _ := ask(t, table, target, "h")
		if code != want {
			t.Errorf("%s: %d, want %d", target, code, want)
		}
		if (reached != "") != (want == 200) {
			t.Errorf("%s: handler saw %q", target, reached)
		}
	}
}

func TestTargetsThatAreNoPath(t *testing.T) {
	table, err := New([]Site{{Fallback: named("x")}})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	table.ServeHTTP(w, r)
	if w.Code != http.StatusNotImplemented {
		t.Errorf("CONNECT: %d", w.Code)
	}
	r, err = http.ReadRequest(bufio.NewReader(strings.NewReader("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	w = httptest.NewRecorder()
	table.ServeHTTP(w, r)
	if w.Code != http.StatusBadRequest {
		t.Errorf("OPTIONS *: %d", w.Code)
	}
	if code, body := ask(t, table, "http://h?q", "h"); code != 200 || body != "x /" {
		t.Errorf("absolute form without a path: %d %q", code, body)
	}
}

func TestHandlerSeesRefusals(t *testing.T) {
	var seen []string
	site := Site{Fallback: named("x")}
	routes, err := NewSite(site)
	if err != nil {
		t.Fatal(err)
	}
	site.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.URL.Path)
		routes.ServeHTTP(w, r)
	})
	table, err := New([]Site{site})
	if err != nil {
		t.Fatal(err)
	}
	ask(t, table, "/ok", "h")
	if code, _ := ask(t, table, "/../x", "h"); code != 400 {
		t.Errorf("code %d", code)
	}
	if got := strings.Join(seen, " "); got != "/ok /../x" {
		t.Errorf("the handler around saw %q", got)
	}
}

func TestNewErrors(t *testing.T) {
	h := named("x")
	for name, sites := range map[string][]Site{
		"no site":              nil,
		"would never be reach": {{}, {}},
		"named twice":          {{Hosts: []string{"a.b"}}, {Hosts: []string{"A.b."}}},
		"empty host":           {{Hosts: []string{""}}},
		"leads nowhere":        {{Routes: []Route{{Match: Match{Path: "/"}}}}},
		"missing closing":      {{Routes: []Route{{Match: Match{Regexp: "("}, Handler: h}}}},
		"start with a slash":   {{Routes: []Route{{Match: Match{Path: "a"}, Handler: h}}}},
		"not its end":          {{Routes: []Route{{Match: Match{Path: "/*/a"}, Handler: h}}}},
	} {
		if _, err := New(sites); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// discard is a ResponseWriter that costs nothing.
type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

func benchTable(t testing.TB) (*Table, http.Handler) {
	nop := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "") })
	table, err := New([]Site{{
		Hosts: []string{"mysite.com"},
		Routes: []Route{
			{Match: Match{Path: "/static/*"}, Handler: nop},
			{Match: Match{Path: "/favicon.ico"}, Handler: nop},
			{Match: Match{Regexp: `^/admin(/.*)$`}, Handler: nop},
			{Handler: nop},
		}}})
	if err != nil {
		t.Fatal(err)
	}
	return table, nop
}

func TestNoAllocation(t *testing.T) {
	table, _ := benchTable(t)
	for _, target := range []string{"/static/css/base.css", "/admin/login/", "/blog/2024/post"} {
		r := httptest.NewRequest("GET", "http://mysite.com"+target, nil)
		r.Host = "mysite.com:8000"
		w := discard{http.Header{}}
		if n := testing.AllocsPerRun(100, func() { table.ServeHTTP(w, r) }); n > 0 {
			t.Errorf("%s: %v allocations a request", target, n)
		}
	}
}

func BenchmarkTable(b *testing.B) {
	table, _ := benchTable(b)
	r := httptest.NewRequest("GET", "http://mysite.com/blog/2024/a-post-with-a-title/", nil)
	r.Host = "mysite.com:8000"
	w := discard{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		table.ServeHTTP(w, r)
	}
}

func FuzzRefuse(f *testing.F) {
	for _, s := range []string{"/", "/..", "/a/./b", "/a\x00", "/...", "/a/..", "/a/..;b/c", `/a\..\b`, "/;/.", "/a/.b;/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		bad := strings.ContainsFunc(path, func(r rune) bool { return r < 0x20 || r == 0x7f })
		for s := range strings.SplitSeq(strings.ReplaceAll(path, `\`, "/"), "/") {
			s, _, _ = strings.Cut(s, ";")
			bad = bad || s == "." || s == ".."
		}
		if got := refuse(path) != ""; got != bad {
			t.Errorf("%q: refused %v, want %v", path, got, bad)
		}
	})
}
