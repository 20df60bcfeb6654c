package pool

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// TestFileRange asks for a part of a file that the app hands over whole.
func TestFileRange(t *testing.T) {
	_, server := startPool(t, testConfig(t, "basic:application"))
	source, err := os.ReadFile("testdata/apps/basic.py")
	if err != nil {
		t.Fatal(err)
	}
	whole, last := string(source), len(source)-1
	for _, tt := range []struct {
		name, asked  string
		status       int
		body, ranged string
	}{
		{"a part", "bytes=2-5", 206, whole[2:6], fmt.Sprintf("bytes 2-5/%d", len(whole))},
		{"its end", "bytes=-3", 206, whole[len(whole)-3:], fmt.Sprintf("bytes %d-%d/%d", last-2, last, len(whole))},
		{"beyond it", "bytes=1000000-", 416, "invalid range: failed to overlap\n", fmt.Sprintf("bytes */%d", len(whole))},
		{"nonsense", "lines=1-2", 416, "invalid range\n", ""},
		{"too many", "bytes=0-0" + strings.Repeat(",2-2", 40), 200, whole, ""},
		{"nothing", "", 200, whole, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req, err := http.NewRequest("GET", server.URL+"/file", nil)
			if err != nil {
				t.Fatal(err)
			}
			if tt.asked != "" {
				req.Header.Set("Range", tt.asked)
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != tt.status || string(body) != tt.body || res.Header.Get("Content-Range") != tt.ranged {
				t.Errorf("%d %.60q, Content-Range %q, %v; want %d %.60q, %q", res.StatusCode, body, res.Header.Get("Content-Range"), err, tt.status, tt.body, tt.ranged)
			}
		})
	}
}

func TestWantsPart(t *testing.T) {
	const size = 100
	for _, tt := range []struct {
		name    string
		asked   []string // of the request
		app     []string // of the response
		status  int
		length  int64
		method  string
		partial bool
	}{
		{name: "a range", asked: []string{"Range: bytes=0-1"}, status: 200, length: size, partial: true},
		{name: "a range of no length", asked: []string{"Range: bytes=0-1"}, status: 200, length: -1, partial: true},
		{name: "a range of a part that the app has cut", asked: []string{"Range: bytes=0-1"}, status: 200, length: 7},
		{name: "a range that the app has answered", asked: []string{"Range: bytes=0-1"}, app: []string{"Content-Range: bytes 0-1/100"}, status: 206, length: size},
		{name: "a range of what is encoded", asked: []string{"Range: bytes=0-1"}, app: []string{"Content-Encoding: gzip"}, status: 200, length: size},
		{name: "a range that the app refuses", asked: []string{"Range: bytes=0-1"}, app: []string{"Accept-Ranges: none"}, status: 200, length: size},
		{name: "a range of an error", asked: []string{"Range: bytes=0-1"}, status: 404, length: size},
		{name: "a range for a POST", asked: []string{"Range: bytes=0-1"}, status: 200, length: size, method: "POST"},
		{name: "nothing", status: 200, length: size},
		{name: "an ETag", asked: []string{`If-None-Match: "x"`}, app: []string{`Etag: "x"`}, status: 200, length: size, partial: true},
		{name: "an ETag of what has none", asked: []string{`If-None-Match: "x"`}, status: 200, length: size},
		{name: "a time", asked: []string{"If-Modified-Since: x"}, app: []string{"Last-Modified: x"}, status: 200, length: size, partial: true},
		{name: "a time of what has none", asked: []string{"If-Modified-Since: x"}, status: 200, length: size},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.method == "" {
				tt.method = "GET"
			}
			r, h := httptest.NewRequest(tt.method, "/", nil), http.Header{}
			for to, lines := range map[*http.Header][]string{&r.Header: tt.asked, &h: tt.app} {
				for _, line := range lines {
					name, value, _ := strings.Cut(line, ": ")
					to.Set(name, value)
				}
			}
			if got := wantsPart(r, h, responseHead{status: tt.status, length: tt.length}, size); got != tt.partial {
				t.Errorf("%v", got)
			}
		})
	}
}
