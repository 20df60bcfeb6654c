package server

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const sending = `
[[site]]
listen = "127.0.0.1:0"

[site.error_pages]
404 = "/errors/404.html"

[[site.route]]
path = "/protected/*"
internal = true
files = { root = "{dir}/private", strip = "/protected" }

[[site.route]]
path = "/errors/*"
internal = true
respond = "the page of an error"

[[site.route]]
path = "/plain/*"
upstream = "api"

[[site.route]]
path = "/accel/*"
x_sendfile = []
upstream = "api"

[[site.route]]
x_sendfile = ["{dir}/private"]
upstream = "api"

[upstream.api]
protocol = "%s"
servers = ["%s"]
`

// ask requests a URL, with headers "Name: value".
func ask(t *testing.T, method, url string, headers ...string) (*http.Response, string) {
	t.Helper()
	return askBy(t, &http.Transport{DisableCompression: true, DisableKeepAlives: true}, method, url, headers...)
}

// askBy is ask of a client of its own.
func askBy(t *testing.T, by http.RoundTripper, method, url string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			req.Host = value
		}
		req.Header.Add(name, value)
	}
	res, err := by.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var body io.Reader = res.Body
	if res.Header.Get("Content-Encoding") == "gzip" && method != "HEAD" && res.StatusCode == 200 {
		if body, err = gzip.NewReader(body); err != nil {
			t.Fatal(err)
		}
	}
	b, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

// TestSendfile sends what a back end names: over HTTP, which has lengths of its
// own, and over FastCGI.
func TestSendfile(t *testing.T) {
	for _, protocol := range []string{"http", "fastcgi", "scgi"} {
		t.Run(protocol, func(t *testing.T) { testSendfile(t, protocol) })
	}
}

func testSendfile(t *testing.T, protocol string) {
	dir := t.TempDir()
	text := strings.Repeat("0123456789", 200)
	write(t, filepath.Join(dir, "private/a.txt"), text)
	write(t, filepath.Join(dir, "private/next"), "no file is sent from here")
	long := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "private/a.txt"), long, long); err != nil {
		t.Fatal(err)
	}
	address := behind(t, protocol, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/x")
		h.Set("Set-Cookie", "a=1")
		switch r.URL.Path {
		case "/file", "/plain/file", "/accel/file":
			h.Set("X-Sendfile", dir+"/private/a.txt")
		case "/missing":
			h.Set("X-Sendfile", dir+"/private/none.txt")
		case "/outside":
			h.Set("X-Sendfile", "/etc/passwd")
		case "/path", "/plain/path", "/accel/path":
			h.Set("X-Accel-Redirect", "/protected/a.txt")
			h.Set("X-Accel-Buffering", "no")
		case "/path-missing":
			h.Set("X-Accel-Redirect", "/protected/none.txt")
		case "/circle":
			h.Set("X-Accel-Redirect", "/circle")
		case "/endless":
			h.Set("X-Sendfile", dir+"/private/a.txt")
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, text); err != nil {
					return
				}
			}
			return
		}
		_, _ = io.WriteString(w, "its own")
	})
	apps := newFakeApps()
	s := launch(t, parse(t, dir, fmt.Sprintf(sending, protocol, address)), apps)
	url := s.url("127.0.0.1:0")
	for _, tt := range []struct {
		name, method, path string
		ask                []string
		want               int
		body               string
		headers            []string
	}{
		{"a file", "GET", "/file", nil, 200, text, []string{"Content-Type: text/x", "Set-Cookie: a=1", "X-Sendfile: ", "Content-Length: 2000", "Vary: Accept-Encoding"}},
		{"a file, compressed", "GET", "/file", []string{"Accept-Encoding: gzip"}, 200, text, []string{"Content-Encoding: gzip", "Vary: Accept-Encoding", "Accept-Ranges: "}},
		{"a range of it", "GET", "/file", []string{"Range: bytes=3-5", "Accept-Encoding: gzip"}, 206, "345", []string{"Content-Range: bytes 3-5/2000"}},
		{"its head", "HEAD", "/file", nil, 200, "", []string{"Content-Length: 2000", "Content-Type: text/x"}},
		{"a file beside an endless body", "GET", "/endless", nil, 200, text, nil},
		{"a missing file", "GET", "/missing", nil, 404, "the page of an error", []string{"X-Sendfile: ", "Set-Cookie: a=1"}},
		{"a file outside", "GET", "/outside", nil, 500, "Internal Server Error\n", []string{"X-Sendfile: "}},
		{"a path", "GET", "/path", nil, 200, text, []string{"Content-Type: text/x", "Set-Cookie: a=1", "X-Accel-Redirect: ", "X-Accel-Buffering: ", "Content-Length: 2000"}},
		{"a path, compressed", "GET", "/path", []string{"Accept-Encoding: gzip"}, 200, text, []string{"Content-Encoding: gzip", "Vary: Accept-Encoding"}},
		{"a range of a path", "GET", "/path", []string{"Range: bytes=3-5"}, 206, "345", nil},
		{"a path for a POST", "POST", "/path", nil, 200, text, nil},
		{"the head of a path", "HEAD", "/path", nil, 200, "", []string{"Content-Length: 2000"}},
		{"a path without a file", "GET", "/path-missing", nil, 404, "the page of an error", []string{"X-Accel-Redirect: "}},
		{"a path that leads in a circle", "GET", "/circle", nil, 500, "Internal Server Error\n", []string{"X-Accel-Redirect: "}},
		{"an internal path, from outside", "GET", "/protected/a.txt", nil, 200, "its own", nil},
		{"the page of an error, from outside", "GET", "/errors/404.html", nil, 200, "its own", nil},
		{"a route that allows neither: a file", "GET", "/plain/file", nil, 200, "its own", []string{"X-Sendfile: "}},
		{"a route that allows neither: a path", "GET", "/plain/path", nil, 200, "its own", []string{"X-Accel-Redirect: "}},
		{"a route that allows paths: a file", "GET", "/accel/file", nil, 500, "Internal Server Error\n", nil},
		{"a route that allows paths: a path", "GET", "/accel/path", nil, 200, text, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res, body := ask(t, tt.method, url+tt.path, tt.ask...)
			if res.StatusCode != tt.want || body != tt.body {
				t.Errorf("%d %.80q, want %d %.80q", res.StatusCode, body, tt.want, tt.body)
			}
			for _, h := range tt.headers {
				name, value, _ := strings.Cut(h, ": ")
				if got := res.Header.Get(name); got != value {
					t.Errorf("%s: %q, want %q", name, got, value)
				}
			}
		})
	}
	for _, path := range []string{"/file", "/path"} {
		res, _ := ask(t, "GET", url+path, "Accept-Encoding: gzip")
		tag := res.Header.Get("Etag")
		if tag == "" {
			t.Errorf("%s has no ETag: %v", path, res.Header)
		}
		res, _ = ask(t, "GET", url+path, "Accept-Encoding: gzip", "If-None-Match: "+tag)
		if res.StatusCode != 304 || res.Header.Get("Etag") != tag || res.Header.Get("Set-Cookie") == "" {
			t.Errorf("%s with its ETag %s: %d, %v", path, tag, res.StatusCode, res.Header)
		}
	}
	log := s.log.String()
	for _, want := range []string{"private/none.txt", "/etc/passwd", "x_sendfile", "/circle"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %s", want)
		}
	}
	if strings.Contains(log, "cut short") {
		t.Errorf("the log says that something was cut short: %s", log)
	}
}

// TestSendfileLength: some back ends say the file's length, and send nothing.
func TestSendfileLength(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "private/a.txt"), "0123456789")
	address := behindRaw(t, func(*http.Request) string {
		return "Status: 200 OK\r\nContent-Type: text/x\r\nContent-Length: 10\r\nX-Sendfile: " + dir + "/private/a.txt\r\n\r\n"
	})
	s := launch(t, parse(t, dir, fmt.Sprintf(sending, "scgi", address)), newFakeApps())
	if res, body := ask(t, "GET", s.url("127.0.0.1:0")+"/file"); res.StatusCode != 200 || body != "0123456789" {
		t.Errorf("%d %q", res.StatusCode, body)
	}
	if log := s.log.String(); strings.Contains(log, "ERROR") {
		t.Error(log)
	}
}
