package static

import (
	"io"
	"mime"
	"mime/multipart"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

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
			if method == "HEAD" && (c.status == 206 || c.status == 416) {
				c.status, c.length = 200, "100000" // ranges are for GET alone: RFC 9110, 14.2
			}
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
