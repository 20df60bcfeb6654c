package server

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
)

const filesSite = `
[server.file_cache]
files = 10

[[site]]
listen = ["127.0.0.1:0"]
root = "{dir}/www"

[[site.route]]
path = "/all/*"
[site.route.files]
root = "{dir}/www"
listing = true
precompressed = true
immutable = true
cache_control = "no-cache"

[[site.route]]
path = "/some/*"
files = { root = "{dir}/www", listing = { sort = "-name", page = 1 }, immutable = '^/some/app', expires = "2h" }

[[site.route]]
path = "/none/*"
files = { root = "{dir}/www", listing = false, immutable = false }

[[site.route]]
path = "/hosts/*"
files = { root = "{dir}/hosts/{host}/of-{query.v}", strip = "/hosts" }
`

// askFiles asks with headers given in pairs.
func askFiles(t *testing.T, url string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := (&http.Transport{DisableKeepAlives: true, DisableCompression: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// Every key of files does what it says, behind all layers.
func TestFilesKeys(t *testing.T) {
	dir := t.TempDir()
	const year = "public, max-age=31536000, immutable"
	plain := strings.Repeat("var x = 1\n", 1000)
	for _, folder := range []string{"all", "some", "none"} {
		write(t, dir+"/www/"+folder+"/app.3f2a91bc.js", plain)
		write(t, dir+"/www/"+folder+"/b.js", plain)
		write(t, dir+"/www/"+folder+"/b.js.br", "made before")
	}
	write(t, dir+"/hosts/a.example/of-1/x", "a 1")
	write(t, dir+"/hosts/b.example/of-1/x", "b 1")
	write(t, dir+"/hosts/secret", "secret")
	s := launch(t, parse(t, dir, filesSite), newFakeApps())
	url := s.url("127.0.0.1:0")
	for _, c := range []struct{ path, accept, encoding, control string }{
		{"/all/app.3f2a91bc.js", "", "", year},
		{"/all/b.js", "", "", "no-cache"},
		{"/all/b.js", "br", "br", "no-cache"},
		{"/all/b.js", "gzip", "gzip", "no-cache"}, // while it is sent
		{"/some/app.3f2a91bc.js", "", "", year},
		{"/some/b.js", "", "", "max-age=7200"},
		{"/none/app.3f2a91bc.js", "", "", ""},
	} {
		resp, body := askFiles(t, url+c.path, "Accept-Encoding", c.accept)
		if resp.StatusCode != 200 || resp.Header.Get("Content-Encoding") != c.encoding || resp.Header.Get("Cache-Control") != c.control {
			t.Errorf("%s for %q: %s, %v", c.path, c.accept, resp.Status, resp.Header)
		}
		if made := body == "made before"; made != (c.encoding == "br") {
			t.Errorf("%s for %q: %.20q", c.path, c.accept, body)
		}
	}
	for path, want := range map[string]int{"/all/": 200, "/some/": 200, "/none/": 404, "/": 404} {
		if resp, _ := askFiles(t, url+path); resp.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, resp.Status, want)
		}
	}
	if _, body := askFiles(t, url+"/some/?format=json"); !strings.Contains(body, `"sort":"-name","page":1,"pages":3`) {
		t.Errorf("%s", body)
	}
	if resp, body := askFiles(t, url+"/all/b.js", "Range", "bytes=0-2,4-4"); resp.StatusCode != 206 || !strings.Contains(body, "var\r\n") {
		t.Errorf("%s %.200q", resp.Status, body)
	}
	for _, c := range []struct {
		host, path string
		status     int
		body       string
	}{
		{"a.example", "/hosts/x?v=1", 200, "a 1"}, {"b.example", "/hosts/x?v=1", 200, "b 1"}, {"B.example:80", "/hosts/x?v=1", 200, "b 1"},
		{"c.example", "/hosts/x?v=1", 404, ""}, {"a.example", "/hosts/x", 404, ""}, {"a.example", "/hosts/x?v=2", 404, ""},
		{"a.example", "/hosts/secret?v=1%2F..%2F..", 404, ""}, {"a.example", "/hosts/secret?v=%00", 404, ""}, {"a.example", "/hosts/x?v=..", 404, ""},
	} {
		if resp, body := askFiles(t, url+c.path, "Host", c.host); resp.StatusCode != c.status || c.status == 200 && body != c.body {
			t.Errorf("%s of %s: %s %q", c.path, c.host, resp.Status, body)
		}
	}
}

// Media types: those of a site in place of the built-in ones, and of files in
// place of the site's.
func TestFilesTypes(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.html", "a.tar.gz", "readme", "a.raw", "a.css"} {
		write(t, dir+"/www/"+name, "0123456789")
		write(t, dir+"/www/own/"+name, "0123456789")
	}
	s := launch(t, parse(t, dir, `
[[site]]
listen = ["127.0.0.1:0"]
root = "www"
[site.types]
".html" = "text/html"
"README" = "text/x-readme; charset=latin-1"
".tar.gz" = "application/x-tgz"
".raw" = ""
[[site.route]]
path = "/own/*"
[site.route.files]
root = "www"
types = { "" = "text/x-own" }
`), newFakeApps())
	url := s.url("127.0.0.1:0")
	for path, want := range map[string]string{
		"/a.html": "text/html", "/readme": "text/x-readme; charset=latin-1", "/a.tar.gz": "application/x-tgz", "/a.raw": "", "/a.css": "application/octet-stream",
		"/own/a.html": "text/x-own", "/own/a.raw": "text/x-own",
	} {
		sniff := ""
		if want != "" {
			sniff = "nosniff"
		}
		resp, _ := askFiles(t, url+path)
		if got := strings.Join(resp.Header["Content-Type"], "|"); resp.StatusCode != 200 || got != want || resp.Header.Get("X-Content-Type-Options") != sniff {
			t.Errorf("%s: %s, type %q, want %q, and %v", path, resp.Status, got, want, resp.Header)
		}
	}
	if resp, body := askFiles(t, url+"/a.raw", "Range", "bytes=0-1,4-5"); resp.StatusCode != 206 || strings.Contains(body, "Content-Type") || !strings.Contains(body, "\r\n\r\n45") {
		t.Errorf("parts without a type: %s %q", resp.Status, body)
	}
}

// What a tree of handlers keeps open goes with it, through many reloads.
func TestFilesAcrossReloads(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/www/all/b.js", "one")
	write(t, dir+"/www/all/big", strings.Repeat("x", 100_000))
	write(t, dir+"/hosts/a.example/of-1/x", "a 1")
	s := launch(t, parse(t, dir, filesSite), newFakeApps())
	descriptors := func() int {
		entries, err := os.ReadDir("/dev/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(entries)
	}
	use := func() {
		url := s.url("127.0.0.1:0")
		for range 3 {
			for _, path := range []string{"/all/b.js", "/all/big", "/all/", "/hosts/x?v=1"} {
				if resp, _ := askFiles(t, url+path, "Host", "a.example"); resp.StatusCode != 200 {
					t.Errorf("%s: %s", path, resp.Status)
				}
			}
		}
	}
	use()
	before := descriptors()
	for range 30 {
		if err := s.reloadTo(parse(t, dir, filesSite)); err != nil {
			t.Fatal(err)
		}
		use()
	}
	eventually(t, "no more descriptors than before 30 reloads", func() bool { return descriptors() <= before })
}
