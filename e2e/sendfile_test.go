package e2e

import (
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sendfileConfig has one app behind a site, and for another front server.
const sendfileConfig = `
[[site]]
listen = ["127.0.0.1:0"]

[[site.route]]
path = "/protected/*"
internal = true
files = { root = "private", strip = "/protected" }

[[site.route]]
app = "main"
x_sendfile = ["private"]

[app.main]
wsgi = "mysite.wsgi:application"
env = { PRIVATE = "${PRIVATE}" }
venv = "${VENV}"
workers = 1

[[app.main.listen]]
protocol = "http"
address = "unix:app.sock"
`

// overSocket connects to a Unix socket, whatever the URL says.
func overSocket(path string) *http.Transport {
	return &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}
}

// demand requests a URL as a client that decodes for itself.
func demand(t *testing.T, c *http.Client, url string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "identity")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var body io.Reader = res.Body
	if res.Header.Get("Content-Encoding") == "gzip" && res.StatusCode == 200 {
		if body, err = gzip.NewReader(body); err != nil {
			t.Fatal(err)
		}
	}
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text)
}

// TestDjangoSendfile has files sent that Django's views decide about.
func TestDjangoSendfile(t *testing.T) {
	folder := startproject(t)
	views, err := os.ReadFile("testdata/sendfile/views.py")
	if err != nil {
		t.Fatal(err)
	}
	private := filepath.Join(folder, "private")
	if err := os.Mkdir(private, 0o755); err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("0123456789", 20_000)
	old := time.Now().Add(-time.Hour)
	for name, content := range map[string]string{
		filepath.Join(folder, "mysite/urls.py"):  string(views),
		filepath.Join(folder, "millrace.toml"):   strings.NewReplacer("${PRIVATE}", private, "${VENV}", venv).Replace(sendfileConfig),
		filepath.Join(private, "report.txt"):     text,
		filepath.Join(private, "naïve 100%.txt"): "odd name",
	} {
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, old, old); err != nil {
			t.Fatal(err)
		}
	}
	appendTo(t, filepath.Join(folder, "mysite", "settings.py"), "\nALLOWED_HOSTS = ['*']\n")
	s := start(t, folder)
	c := &http.Client{}

	for _, path := range []string{"/path/report.txt", "/uri/report.txt"} {
		t.Run(path[1:5], func(t *testing.T) {
			if res, body := demand(t, c, s.url+path); res.StatusCode != 403 || body != "no ticket\n" {
				t.Errorf("without a ticket: %d %q", res.StatusCode, body)
			}
			url := s.url + path + "?ticket=valid"
			res, body := demand(t, c, url)
			h := res.Header
			if res.StatusCode != 200 || body != text || res.ContentLength != int64(len(text)) || h.Get("Cache-Control") != "private" ||
				!strings.HasPrefix(h.Get("Content-Type"), "text/plain") || h.Get("X-Sendfile") != "" || h.Get("X-Accel-Redirect") != "" {
				t.Errorf("%d, %d bytes, %v", res.StatusCode, len(body), h)
			}
			if strings.HasPrefix(path, "/path") && (h.Get("Content-Disposition") != `attachment; filename="report.txt"` || h.Get("Set-Cookie") == "") {
				t.Errorf("what Django says is lost: %v", h)
			}
			if res, body := demand(t, c, url, "Range: bytes=3-5"); res.StatusCode != 206 || body != "345" {
				t.Errorf("a range: %d %q", res.StatusCode, body)
			}
			if res, _ := demand(t, c, url, "If-None-Match: "+h.Get("Etag")); res.StatusCode != 304 {
				t.Errorf("with its ETag %s: %d", h.Get("Etag"), res.StatusCode)
			}
			res, body = demand(t, c, url, "Accept-Encoding: gzip")
			tag := res.Header.Get("Etag")
			if body != text || res.Header.Get("Content-Encoding") != "gzip" || !strings.HasSuffix(tag, `-gzip"`) {
				t.Errorf("compressed: %d bytes, %v", len(body), res.Header)
			}
			if res, _ := demand(t, c, url, "Accept-Encoding: gzip", "If-None-Match: "+tag); res.StatusCode != 304 || res.Header.Get("Etag") != tag {
				t.Errorf("compressed, with its ETag: %d, %v", res.StatusCode, res.Header)
			}
			if res, body := demand(t, c, strings.Replace(url, "report", "none", 1)); res.StatusCode != 404 || strings.Contains(body, private) {
				t.Errorf("a missing file: %d %q", res.StatusCode, body)
			}
		})
	}
	if res, body := demand(t, c, s.url+"/uri/na%C3%AFve%20100%25.txt?ticket=valid"); res.StatusCode != 200 || body != "odd name" {
		t.Errorf("an odd name: %d %q", res.StatusCode, body)
	}
	if res, _ := demand(t, c, s.url+"/protected/report.txt"); res.StatusCode != 404 {
		t.Errorf("the internal route, from outside: %d", res.StatusCode)
	}
	if res, body := demand(t, c, s.url+"/path/..%2Fmillrace.toml?ticket=valid"); res.StatusCode == 200 {
		t.Errorf("a file outside: %d %.100q", res.StatusCode, body)
	}
	if res, body := demand(t, c, s.url+"/wrapped/report.txt"); res.StatusCode != 200 || body != text || res.ContentLength != int64(len(text)) {
		t.Errorf("wsgi.file_wrapper: %d, %d bytes, %v", res.StatusCode, len(body), res.Header)
	}
	if res, body := demand(t, c, s.url+"/wrapped/report.txt", "Accept-Encoding: gzip"); body != text || res.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("wsgi.file_wrapper, compressed: %d, %d bytes, %v", res.StatusCode, len(body), res.Header)
	}
	if res, body := demand(t, c, s.url+"/wrapped/report.txt", "Range: bytes=3-5"); res.StatusCode != 206 || body != "345" {
		t.Errorf("wsgi.file_wrapper, a range: %d, %.40q, %v", res.StatusCode, body, res.Header)
	}
	if res, body := demand(t, c, s.url+"/page", "Accept-Encoding: gzip"); !strings.Contains(body, "paragraph 499") || res.Header.Get("Content-Encoding") != "gzip" || res.Header.Get("Vary") == "" || res.ContentLength <= 0 {
		t.Errorf("a page, compressed: %v", res.Header)
	}
	if res, body := demand(t, c, s.url+"/stream", "Accept-Encoding: gzip"); body != "line 0\nline 1\nline 2\n" {
		t.Errorf("a stream: %q, %v", body, res.Header)
	}

	// Whoever is a front server for the app's own address sends it himself.
	front := &http.Client{Transport: overSocket(filepath.Join(folder, "app.sock"))}
	if res, _ := demand(t, front, "http://app/path/report.txt?ticket=valid", "Accept-Encoding: gzip"); res.Header.Get("X-Sendfile") != filepath.Join(private, "report.txt") || res.Header.Get("Content-Encoding") != "" {
		t.Errorf("at the app's own address: %v", res.Header)
	}
	if res, _ := demand(t, front, "http://app/uri/report.txt?ticket=valid"); res.Header.Get("X-Accel-Redirect") != "/protected/report.txt" {
		t.Errorf("at the app's own address: %v", res.Header)
	}
}
