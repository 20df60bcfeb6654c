package server

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/gateway"
)

const filtering = `
[[site]]
listen = "127.0.0.1:0"
[site.error_pages]
404 = "/pages/404"

[[site.route]]
path = "/pages/*"
internal = true
respond = "the page of an error"

[[site.route]]
path = "/files/*"
files = { root = "{dir}/files", strip = "/files" }
filter = { upstream = "shout" }

[[site.route]]
path = "/small/*"
files = { root = "{dir}/files", strip = "/small" }
filter = { upstream = "small" }

[[site.route]]
path = "/dead/*"
files = { root = "{dir}/files", strip = "/dead" }
filter = { upstream = "dead" }

[[site.route]]
path = "/fixed"
respond = "a fixed text"
filter = { upstream = "shout" }

[[site.route]]
upstream = "api"
x_sendfile = ["{dir}/files"]
filter = { upstream = "shout" }

[upstream.shout]
protocol = "fastcgi"
servers = ["%s"]

[upstream.small]
protocol = "fastcgi"
servers = ["%[1]s"]
max_body = "5B"

[upstream.dead]
protocol = "fastcgi"
servers = ["unix:{dir}/none"]

[upstream.api]
protocol = "%[2]s"
servers = ["%[3]s"]
`

// shout answers with its data in capitals, and says in headers what it was told.
func shout(w http.ResponseWriter, r *http.Request) {
	front := gateway.FrontOf(r.Context())
	data, err := io.ReadAll(front.Data)
	if err != nil || front.Role != gateway.Filter {
		w.WriteHeader(500)
		return
	}
	told := func(name string) string { v, _ := gateway.Lookup(front.Params, name); return v }
	h := w.Header()
	h.Set("X-Told", strings.Join([]string{r.Method, told("FCGI_ROLE"), told("FCGI_DATA_LENGTH"), told("FCGI_DATA_LAST_MOD"), told("FCGI_DATA_TYPE"), told("CONTENT_LENGTH"), told("HTTP_IF_NONE_MATCH")}, " "))
	switch {
	case r.URL.RawQuery == "error":
		w.WriteHeader(http.StatusTeapot)
	case r.Header.Get("If-None-Match") == `"mine"`:
		h.Set("Etag", `"mine"`)
		w.WriteHeader(http.StatusNotModified)
		return
	case r.URL.RawQuery == "typed":
		h.Set("Content-Type", "text/loud")
	}
	_, _ = io.WriteString(w, strings.ToUpper(string(data)))
}

func TestFilter(t *testing.T) {
	for _, protocol := range []string{"http", "fastcgi"} {
		t.Run(protocol, func(t *testing.T) { testFilter(t, protocol, 1) })
	}
	for _, version := range []int{2, 3} {
		t.Run(fmt.Sprintf("over HTTP/%d", version), func(t *testing.T) { testFilter(t, "http", version) })
	}
}

func testFilter(t *testing.T, protocol string, version int) {
	dir := t.TempDir()
	text := strings.Repeat("abcdefghij", 20_000)
	write(t, filepath.Join(dir, "files/a.txt"), "abcdefghij")
	write(t, filepath.Join(dir, "files/large.txt"), text)
	at := time.Unix(1_700_000_000, 0)
	if err := os.Chtimes(filepath.Join(dir, "files/a.txt"), at, at); err != nil {
		t.Fatal(err)
	}
	api := behind(t, protocol, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h := w.Header()
		h.Set("Content-Type", "text/x")
		h.Set("Etag", `"first"`)
		h.Set("Cache-Control", "private")
		h.Add("Set-Cookie", "a=1")
		switch r.URL.Path {
		case "/error":
			w.WriteHeader(http.StatusNotFound)
		case "/away":
			h.Set("Location", "/elsewhere")
			w.WriteHeader(http.StatusSeeOther)
		case "/encoded":
			h.Set("Content-Encoding", "br")
		case "/file":
			h.Set("X-Sendfile", dir+"/files/a.txt")
		case "/cut":
			h.Set("Content-Length", "100")
		}
		fmt.Fprintf(w, "%s by api: %s", r.Method, body)
	})
	config, by := spoken(t, dir, fmt.Sprintf(filtering, behind(t, "fastcgi", shout), protocol, api), version)
	s := launch(t, parse(t, dir, config), newFakeApps())
	client, url := by(s)
	for _, tt := range []struct {
		name, method, path string
		ask                []string
		want               int
		body               string
		headers            []string
	}{
		{"a file", "GET", "/files/a.txt", nil, 200, "ABCDEFGHIJ", []string{"X-Told: GET FILTER 10 1700000000 text/plain; charset=utf-8", "Etag: ", "Last-Modified: ", "Accept-Ranges: ", "Content-Type: text/plain; charset=utf-8"}},
		{"its head", "HEAD", "/files/a.txt", nil, 200, "", []string{"X-Told: HEAD FILTER 10 1700000000 text/plain; charset=utf-8", "Etag: "}},
		{"a range is none of the filter's answer", "GET", "/files/a.txt", []string{"Range: bytes=2-4"}, 200, "ABCDEFGHIJ", []string{"Content-Range: "}},
		{"a condition is the filter's", "GET", "/files/a.txt", []string{`If-None-Match: "mine"`}, 304, "", []string{`Etag: "mine"`}},
		{"a large file", "GET", "/files/large.txt", nil, 200, strings.ToUpper(text), nil},
		{"compressed behind the filter", "GET", "/files/large.txt", []string{"Accept-Encoding: gzip"}, 200, strings.ToUpper(text), []string{"Content-Encoding: gzip"}},
		{"a missing file", "GET", "/files/none.txt", nil, 404, "the page of an error", []string{"X-Told: "}},
		{"a type of its own", "GET", "/files/a.txt?typed", nil, 200, "ABCDEFGHIJ", []string{"Content-Type: text/loud"}},
		{"an error of the filter", "GET", "/files/a.txt?error", nil, 418, "ABCDEFGHIJ", []string{"Content-Type: "}},
		{"larger than it may be", "GET", "/small/a.txt", nil, 502, "*", nil},
		{"nobody filters", "GET", "/dead/a.txt", nil, 502, "*", nil},
		{"a fixed text", "GET", "/fixed", nil, 200, "A FIXED TEXT", nil},
		{"an app", "GET", "/x", nil, 200, "GET BY API: ", []string{"Content-Type: text/x", "Etag: ", "Cache-Control: private", "Set-Cookie: a=1"}},
		{"an app's head", "HEAD", "/x", nil, 200, "", []string{"Content-Type: text/x", "X-Told: HEAD FILTER 12 0 text/x"}},
		{"a POST", "POST", "/x", nil, 200, "POST BY API: ", []string{"X-Told: POST FILTER 13 0 text/x"}},
		{"an app's error", "GET", "/error", nil, 404, "GET by api: ", []string{"X-Told: ", `Etag: "first"`}},
		{"an app's redirect", "GET", "/away", nil, 303, "GET by api: ", []string{"Location: /elsewhere", "X-Told: "}},
		{"what is encoded", "GET", "/encoded", nil, 502, "*", []string{"Content-Encoding: "}},
		{"a file that an app names", "GET", "/file", nil, 200, "ABCDEFGHIJ", []string{"Set-Cookie: a=1", "Content-Type: text/x"}},
		{"what is cut short", "GET", "/cut", nil, 502, "*", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res, body := askBy(t, client, tt.method, url+tt.path, tt.ask...)
			if res.StatusCode != tt.want || tt.body != "*" && body != tt.body {
				t.Errorf("%d %.80q, want %d %.80q", res.StatusCode, body, tt.want, tt.body)
			}
			// A filter that ends later than it begins leaves no length; else it is of its own answer.
			if n := res.ContentLength; tt.method != http.MethodHead && res.Header.Get("Content-Encoding") == "" && n >= 0 && n != int64(len(body)) {
				t.Errorf("Content-Length: %d, want %d", n, len(body))
			}
			for _, h := range tt.headers {
				name, value, _ := strings.Cut(h, ": ")
				if got := res.Header.Get(name); got != value {
					t.Errorf("%s: %q, want %q", name, got, value)
				}
			}
		})
	}
	if used := s.spool.Used(); used != 0 {
		t.Errorf("%d bytes of the spool are still taken", used)
	}
	log := s.log.String()
	for _, want := range []string{"larger than max_body of who filters", "would not be understood"} {
		if n := strings.Count(log, want); n != 1 {
			t.Errorf("%d lines with %q in %s", n, want, log)
		}
	}
}
