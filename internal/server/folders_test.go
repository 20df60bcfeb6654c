package server

import (
	"strings"
	"testing"
)

const manySites = `
[[site]]
listen = ["127.0.0.1:0"]
hosts = ['~^(?P<owner>[^.]+)\.pages\.example$']
root = "{dir}/users/{owner}/public"

[[site.route]]
path = "/tried/*"
try_files = ["{path}", "=410"]
files = { root = "{dir}/users/{owner}", strip = "/tried" }

[[site]]
listen = ["127.0.0.1:0"]
default = true
root = "{dir}/hosts/{host}"
`

// The folder of each host answers for it, and no name leads to another one.
func TestFolders(t *testing.T) {
	dir := t.TempDir()
	writeAll(t, dir, map[string]string{
		"users/ann/public/index.html": "ann",
		"users/bob/public/index.html": "bob",
		"hosts/a.example/index.html":  "a",
		"hosts/index.html":            "above",
		"index.html":                  "secret",
		"hosts/.hidden/index.html":    "hidden",
		"hosts/file":                  "no folder",
		"hosts/django/manage.py":      "source",
	})
	s := launch(t, parse(t, strings.ReplaceAll(dir, "{", "{{"), manySites), newFakeApps())
	f := s.fronts["127.0.0.1:0"]
	for _, test := range []asking{
		{request: "/", host: "ann.pages.example", code: 200, body: "ann"},
		{request: "/", host: "bob.pages.example", code: 200, body: "bob"},
		{request: "/", host: "eve.pages.example", code: 404},
		{request: "/tried/public/index.html", host: "ann.pages.example", code: 200, body: "ann"},
		{request: "/tried/none", host: "ann.pages.example", code: 410},
		{request: "/tried/none", host: "eve.pages.example", code: 410},
		{request: "/", host: "A.example:80", code: 200, body: "a"},
		{request: "/", host: "a.example", code: 200, body: "a"},
		{request: "/", host: "..", code: 404},
		{request: "/", host: ".", code: 404},
		{request: "/", host: "", code: 404},
		{request: "/", host: "../hosts/a.example", code: 404},
		{request: "/", host: "a.example/../..", code: 404},
		{request: "/", host: ".hidden", code: 404},
		{request: "/", host: "file", code: 404},
		{request: "/", host: "django", code: 404},
		{request: "/", host: strings.Repeat("x", 300), code: 404},
	} {
		test.check(t, f)
	}
	if log := s.log.String(); strings.Count(log, "cannot serve the files of a request") != 1 || !strings.Contains(log, "manage.py") {
		t.Errorf("the log does not tell of the project that is no site: %s", log)
	}
}
