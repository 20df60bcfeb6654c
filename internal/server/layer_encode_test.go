package server

import (
	"path/filepath"
	"strings"
	"testing"

	"millrace/internal/encode"
)

const compressing = `
[[site]]
listen = "127.0.0.1:0"
hosts = ["on"]
root = "{dir}/media"

[[site.route]]
path = "/plain/*"
compress = false
files = { root = "{dir}/media", strip = "/plain" }

[[site.route]]
path = "/gzip/*"
compress = { encodings = ["gzip"], min_size = "10B", types = ["image/*"] }
files = { root = "{dir}/media", strip = "/gzip" }

[[site]]
listen = "127.0.0.1:0"
hosts = ["off"]
root = "{dir}/media"
compress = false

[[site.route]]
path = "/on/*"
compress = true
files = { root = "{dir}/media", strip = "/on" }
`

// TestCompress: a site compresses unless it says otherwise, and a route's own
// word goes before the site's.
func TestCompress(t *testing.T) {
	dir := t.TempDir()
	text := strings.Repeat("0123456789", 200)
	write(t, filepath.Join(dir, "media/a.txt"), text)
	write(t, filepath.Join(dir, "media/a.png"), text)
	s := launch(t, parse(t, dir, compressing), newFakeApps())
	for _, tt := range []struct{ host, path, coding string }{
		{"on", "/a.txt", "zstd"},
		{"on", "/a.png", ""},
		{"on", "/plain/a.txt", ""},
		{"on", "/gzip/a.txt", ""},
		{"on", "/gzip/a.png", "gzip"},
		{"off", "/a.txt", ""},
		{"off", "/on/a.txt", "zstd"},
	} {
		res, _ := ask(t, "GET", s.url("127.0.0.1:0")+tt.path, "Host: "+tt.host, "Accept-Encoding: gzip, br, zstd")
		if got := res.Header.Get("Content-Encoding"); res.StatusCode != 200 || got != tt.coding {
			t.Errorf("%s%s: %d, Content-Encoding %q, want %q", tt.host, tt.path, res.StatusCode, got, tt.coding)
		}
	}
	// The encoders outlive a reload, and with them what was compressed.
	before := s.encoders
	if err := s.reloadTo(parse(t, dir, "[server]\ncompress_cache = \"0B\"\n"+compressing)); err != nil {
		t.Fatal(err)
	}
	if s.encoders != before || s.encoders == (*encode.Engine)(nil) {
		t.Error("a reload makes new encoders")
	}
	res, _ := ask(t, "GET", s.url("127.0.0.1:0")+"/gzip/a.png", "Host: on", "Accept-Encoding: gzip")
	if res.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("after a reload: %v", res.Header)
	}
}
