package static

import (
	"mime"
	"strings"
	"testing"
)

func TestTypes(t *testing.T) {
	types := NewTypes(nil)
	for name, want := range map[string]string{
		"a.html": "text/html; charset=utf-8", "A.HTML": "text/html; charset=utf-8", "a.css": "text/css; charset=utf-8",
		"a.js": "text/javascript; charset=utf-8", "a.mjs": "text/javascript; charset=utf-8", "a.json": "application/json",
		"a.txt": "text/plain; charset=utf-8", "a.svg": "image/svg+xml", "a.png": "image/png", "a.webp": "image/webp",
		"a.avif": "image/avif", "a.ico": "image/vnd.microsoft.icon", "a.woff2": "font/woff2", "a.ttf": "font/ttf",
		"a.wasm": "application/wasm", "a.pdf": "application/pdf", "a.gz": "application/gzip", "a.tar.gz": "application/gzip",
		"a.tgz": "application/gzip", "a.xz": "application/x-xz", "a.zst": "application/zstd", "a.7z": "application/x-7z-compressed",
		"a.zip": "application/zip", "a.tar": "application/x-tar", "a.tar.bz2": "application/x-bzip2", "a.mp4": "video/mp4",
		"a.webm": "video/webm", "a.mp3": "audio/mpeg", "a.ogg": "audio/ogg", "a.m3u8": "application/vnd.apple.mpegurl",
		"a.docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
		"a.odt":  "application/vnd.oasis.opendocument.text", "a.deb": "application/vnd.debian.binary-package",
		"a.whl": "application/x-python-wheel", "a.webmanifest": "application/manifest+json", "a.map": "application/json",
		"README": unknownType, "a.": unknownType, "": unknownType, "a.unheardof": unknownType, "html": unknownType,
	} {
		if got := types.ByName(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

func TestTypesExtra(t *testing.T) {
	types := NewTypes(map[string]string{".foo": "text/foo", "BAR": "application/bar", ".html": "text/html; charset=latin-1", ".css": "application/x-css"})
	for name, want := range map[string]string{
		"a.foo": "text/foo; charset=utf-8", "a.bar": "application/bar", "a.Bar": "application/bar",
		"a.html": "text/html; charset=latin-1", "a.css": "application/x-css", "a.js": "text/javascript; charset=utf-8",
	} {
		if got := types.ByName(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

func TestTypesTableOf(t *testing.T) {
	types := TableOf(map[string]string{".html": "text/html", ".tar.gz": "application/x-tgz", ".gz": "application/x-gzip", "README": "text/plain; charset=utf-8", ".raw": "", "": "text/x-other"})
	for name, want := range map[string]string{
		"a.html": "text/html", "d.tar.gz/A.HTML": "text/html", "a.tar.gz": "application/x-tgz", "a.b.gz": "application/x-gzip", "d/readme": "text/plain; charset=utf-8",
		"readme.x": "text/x-other", "a.css": "text/x-other", "a.raw": "", "": "text/x-other", "a.": "text/x-other", "html": "text/x-other",
	} {
		if got := types.ByName(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := TableOf(map[string]string{}).ByName("a.html"); got != unknownType {
		t.Errorf("of an empty table: %q", got)
	}
}

// Every line of the table is a media type with extensions, none of them twice.
func TestTypesTable(t *testing.T) {
	seen := map[string]string{}
	for line := range strings.Lines(builtin) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		if mediaType, params, err := mime.ParseMediaType(fields[0]); err != nil || mediaType != fields[0] || len(params) != 0 || !strings.Contains(mediaType, "/") {
			t.Errorf("%q is no media type: %v", fields[0], err)
		}
		if len(fields) < 2 {
			t.Errorf("%s has no extension", fields[0])
		}
		for _, ext := range fields[1:] {
			if other, ok := seen[ext]; ok || ext != strings.ToLower(ext) || strings.Contains(ext, ".") {
				t.Errorf("extension %q of %s is there already (%s) or malformed", ext, fields[0], other)
			}
			seen[ext] = fields[0]
		}
	}
	if len(seen) < 400 {
		t.Errorf("only %d extensions", len(seen))
	}
}
