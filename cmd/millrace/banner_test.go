package main

import (
	"strings"
	"testing"

	"millrace/internal/config"
	"millrace/internal/project"
	"millrace/internal/server"
)

func TestBanner(t *testing.T) {
	python := map[string]project.Interpreter{"main": {Path: "/v/bin/python", Version: "3.11.7", Implementation: "cpython", Why: ".venv beside the app"}}
	django := &found{Found: &project.Found{
		Kind: project.KindDjango, Source: "/srv/mysite", Python: python,
		Django: &project.Django{Version: "5.2", Settings: "mysite.settings", Finders: []project.Folder{
			{Label: "admin", Folder: "/v/admin/static"}, {Label: "polls", Folder: "/srv/mysite/polls/static"},
		}},
		Config: &config.Config{
			Sites: []config.Site{{Listen: []string{"127.0.0.1:0", "unix:/run/x.sock"}, Root: "/srv/public", Routes: []config.Route{
				{Path: "/static/*", Files: &config.Files{Root: config.Strings{"/v/admin/static", "/srv/mysite/polls/static"}}},
				{Path: "/media/*", Files: &config.Files{Root: config.Strings{"/srv/media"}}},
				{Regexp: "^/x", App: "main"},
				{Path: "/api/*", Upstream: "api"},
				{App: "main"},
			}}},
			Upstreams: map[string]*config.Upstream{"api": {Protocol: "fastcgi", Servers: []config.UpstreamServer{{Address: "a:1"}, {Address: "b:2"}, {Address: "c:3"}, {Address: "d:4"}, {Address: "e:5"}, {Address: "f:6"}}}},
			Apps:      map[string]*config.App{"main": {WSGI: "mysite.wsgi:application", MinSpare: 2, MaxChildren: 20}},
		},
	}}
	status := &server.Status{Listen: []server.Address{{Given: "127.0.0.1:0", URL: "http://127.0.0.1:4711"}, {Given: "unix:/run/x.sock", URL: "unix:/run/x.sock"}}}
	var out strings.Builder
	if err := banner(&out, django, status); err != nil {
		t.Fatal(err)
	}
	want := `millrace 0.1: Django 5.2 project in /srv/mysite, settings mysite.settings, Python 3.11.7, /v/bin/python (.venv beside the app)
  http://127.0.0.1:4711/static/  files: admin, polls (from the staticfiles finders)
  http://127.0.0.1:4711/media/   files: /srv/media
  http://127.0.0.1:4711 ~ ^/x    app: mysite.wsgi:application, 2 to 20 workers
  http://127.0.0.1:4711/api/     upstream: api, fastcgi at a:1, b:2, c:3, d:4, e:5, and 1 more
  http://127.0.0.1:4711/         app: mysite.wsgi:application, 2 to 20 workers
  http://127.0.0.1:4711/         files: /srv/public, where nothing else answers
  unix:/run/x.sock /static/      files: admin, polls (from the staticfiles finders)
  unix:/run/x.sock /media/       files: /srv/media
  unix:/run/x.sock ~ ^/x         app: mysite.wsgi:application, 2 to 20 workers
  unix:/run/x.sock /api/         upstream: api, fastcgi at a:1, b:2, c:3, d:4, e:5, and 1 more
  unix:/run/x.sock /             app: mysite.wsgi:application, 2 to 20 workers
  unix:/run/x.sock /             files: /srv/public, where nothing else answers
ready
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	if got := describeFiles(django, []string{"/1", "/2", "/3", "/4", "/5", "/6", "/7"}); got != "/1, /2, /3, /4, /5, and 2 more" {
		t.Errorf("%q", got)
	}
}

// TestBannerOfTLS: an address that only leads to https is not said to serve.
func TestBannerOfTLS(t *testing.T) {
	f := &found{Found: &project.Found{Kind: project.KindConfig, Source: "/srv/m.toml", Config: &config.Config{
		Sites: []config.Site{{
			Listen: []string{":443"}, Hosts: []string{"a.example"}, Root: "/srv/public",
			TLS: &config.TLS{Plain: []string{":80"}, Redirect: true},
		}, {
			Listen: []string{":443"}, Hosts: []string{"b.example"}, Root: "/srv/public",
			TLS: &config.TLS{Plain: []string{":80"}},
		}},
	}}}
	status := &server.Status{Listen: []server.Address{{Given: ":443", URL: "https://localhost"}, {Given: ":80", URL: "http://localhost"}}}
	var out strings.Builder
	if err := banner(&out, f, status); err != nil {
		t.Fatal(err)
	}
	want := `millrace 0.1: /srv/m.toml
  https://localhost/  files: /srv/public, where nothing else answers (a.example)
  http://localhost/   redirect: to https (a.example)
  https://localhost/  files: /srv/public, where nothing else answers (b.example)
  http://localhost/   files: /srv/public, where nothing else answers (b.example)
ready
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}
