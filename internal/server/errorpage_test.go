package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// A page that is a file says nothing of when the file was made: caches would
// keep the error for a tenth of its age.
func TestErrorPageOfAFileHasNoDate(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/www/404.html", strings.Repeat("sorry ", 500))
	s := launch(t, parse(t, dir, `
[[site]]
listen = "127.0.0.1:0"
root = "{dir}/www"
error_pages = { "404" = "/404.html" }
`), newFakeApps())
	for _, coding := range []string{"identity", "gzip"} {
		for _, method := range []string{"GET", "HEAD"} {
			res, _ := ask(t, method, s.url("127.0.0.1:0")+"/none", "Accept-Encoding: "+coding)
			if got := fmt.Sprint(res.Header["Etag"], res.Header["Last-Modified"], res.Header["Accept-Ranges"]); res.StatusCode != http.StatusNotFound || got != "[] [] []" {
				t.Errorf("%s, %s: %d with %s", method, coding, res.StatusCode, got)
			}
		}
	}
}

// The pages of a route take the place of the site's; they may be a group of
// routes, or elsewhere, and have a status of their own.
func TestErrorPagesOfRoutes(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/www/404.html", "the site's")
	write(t, dir+"/www/own.html", "the route's")
	plan := parse(t, dir, `
[[site]]
listen = "127.0.0.1:0"
root = "{dir}/www"
error_pages = { "404" = "/404.html" }
[[site.route]]
path = "/own/*"
files = { root = "{dir}/www" }
error_pages = { "404" = "/own.html", "403" = "@fallback" }
[[site.route]]
path = "/none/*"
files = { root = "{dir}/www" }
error_pages = {}
[[site.route]]
path = "/ok/*"
files = { root = "{dir}/www" }
error_pages = { "404" = "=200 /own.html" }
[[site.route]]
path = "/said/*"
rewrite = "/inner{path}"
files = { root = "{dir}/www" }
error_pages = { "404" = "= @fallback" }
[[site.route]]
path = "/kept/*"
files = { root = "{dir}/www" }
error_pages = { "4xx" = "@fallback" }
[[site.route]]
path = "/away/*"
files = { root = "{dir}/www" }
error_pages = { "404" = "https://{host}.example/{status}", "405" = "=301 https://other.example/" }
[[site.route]]
path = "/file/*"
files = { root = "{dir}/www" }
error_pages = { "404" = "=410 file:{dir}/www/own.html" }
[[site.route]]
group = "fallback"
regexp = "teapot$"
respond = { status = 418, body = "short and stout" }
[[site.route]]
group = "fallback"
respond = { body = "{method} {path}", headers = { X-By = "group" } }
`)
	if err := plan.readPages(true); err != nil {
		t.Fatal(err)
	}
	s := launch(t, plan, newFakeApps())
	url := s.url("127.0.0.1:0")
	for _, c := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/x", 404, "the site's"},
		{"GET", "/own/x", 404, "the route's"},
		{"GET", "/none/x", 404, "404 Not Found\n"},
		{"GET", "/ok/x", 200, "the route's"},
		{"GET", "/said/x", 200, "GET /inner/said/x"},
		{"GET", "/said/teapot", 418, "short and stout"},
		{"GET", "/kept/x", 404, "GET /kept/x"},
		{"POST", "/kept/x", 405, "POST /kept/x"},
		{"GET", "/file/x", 410, "the route's"},
		{"GET", "/own.html", 200, "the route's"},
	} {
		res, body := ask(t, c.method, url+c.path)
		if res.StatusCode != c.status || body != c.body {
			t.Errorf("%s %s: %s %q, want %d %q", c.method, c.path, res.Status, body, c.status, c.body)
		}
	}
	for _, c := range []struct{ method, where string }{{"GET", "302 https://127.0.0.1.example/404"}, {"POST", "301 https://other.example/"}} {
		res, _ := ask(t, c.method, url+"/away/x")
		if got := fmt.Sprint(res.StatusCode, " ", res.Header.Get("Location")); got != c.where {
			t.Errorf("%s /away/x: %s, want %s", c.method, got, c.where)
		}
	}
}
