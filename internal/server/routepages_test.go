package server

import (
	"os"
	"strings"
	"testing"
)

// A route's pages of errors are in place of all of the site's, and what it
// answers may be kept out of the log.
func TestRouteOfItsOwnPagesAndLog(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/own.html", "own page")
	write(t, dir+"/www/a.txt", "a")
	s := launch(t, parse(t, dir, `
[[site]]
listen = "127.0.0.1:0"
access_log = "{dir}/access.log"
error_pages = { "404" = "/site-404", "403" = "/site-403" }

[[site.route]]
path = "/site-404"
respond = "the site's 404"

[[site.route]]
path = "/site-403"
respond = "the site's 403"

[[site.route]]
path = "/own-404"
respond = "the route's 404"

[[site.route]]
path = "/own/refused"
respond = { status = 403 }
error_pages = { "404" = "/own-404", "500" = "{dir}/own.html" }

[[site.route]]
path = "/own/*"
files = { root = "{dir}/www" }
error_pages = { "404" = "/own-404" }
unlogged = true

[[site.route]]
path = "/closed"
respond = { status = 403 }

[[site.route]]
files = { root = "{dir}/www" }
`), newFakeApps())
	for _, test := range []struct {
		path, body string
		code       int
	}{
		{"/none", "the site's 404", 404}, {"/own/none", "the route's 404", 404}, {"/closed", "the site's 403", 403}, {"/own/refused", "403 forbidden", 403}, {"/a.txt", "a", 200},
	} {
		code, body := get(t, s.url("127.0.0.1:0")+test.path)
		if code != test.code || strings.TrimSpace(body) != test.body {
			t.Errorf("%s: %d %q, want %d %q", test.path, code, body, test.code, test.body)
		}
	}
	if err := s.ReopenLogs(); err != nil { // which writes them
		t.Fatal(err)
	}
	log, err := os.ReadFile(dir + "/access.log")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(log), "\n"); n != 4 || strings.Contains(string(log), "/own/none") {
		t.Errorf("%d lines:\n%s", n, log)
	}
}
