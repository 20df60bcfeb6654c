package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// privateConfig has one tree of private files behind a Django session: the app
// as an authorizer and by a subrequest, with answers that are kept and without.
const privateConfig = `
[[site]]
listen = ["127.0.0.1:0"]
access_log = "access.log"
log_format = "{user} {uri} {status}"

[[site.route]]
path = "/may-i"
internal = true
app = "main"

[[site.route]]
path = "/may-i"
respond = { status = 404 }

[[site.route]]
path = "/role/*"
files = { root = "private", strip = "/role" }
auth = { app = "main" }

[[site.route]]
path = "/kept/*"
files = { root = "private", strip = "/kept" }
auth = { app = "main", cache = "1h", cache_by = ["{cookie.sessionid}"] }

[[site.route]]
path = "/sub/*"
files = { root = "private", strip = "/sub" }
auth = { path = "/may-i", user = "X-User" }

[[site.route]]
path = "/who"
app = "main"
auth = { path = "/may-i", user = "X-User", headers = ["X-User"], cache = "1h" }

[[site.route]]
path = "/stamped/*"
files = { root = "private", strip = "/stamped" }
auth = { app = "main" }
filter = "main"

[[site.route]]
app = "main"

[app.main]
wsgi = "mysite.wsgi:application"
venv = "${VENV}"
workers = 2
`

const privateURLs = `
from django.urls import path
from mysite import gate
urlpatterns += [
    path("may-i", gate.may_i),
    path("who", gate.who),
    path("role/<path:name>", gate.authorize),
    path("kept/<path:name>", gate.authorize),
    path("stamped/<path:name>", lambda request, name: (
        gate.stamp if request.environ["FCGI_ROLE"] == "FILTER" else gate.authorize)(request, name)),
]
`

// login is a client with a session of a user.
func login(t *testing.T, base, user, password string) *http.Client {
	t.Helper()
	c := client(t)
	page := get(t, c, base+"/admin/login/", http.StatusOK)
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := c.PostForm(page.Request.URL.String(), url.Values{"username": {user}, "password": {password}, "csrfmiddlewaretoken": {token(t, page)}, "next": {"/"}})
	read(t, resp, err, http.StatusFound)
	return c
}

// TestDjangoPrivateFiles: who is logged in gets files, with all that belongs to
// them, and others are sent to the login.
func TestDjangoPrivateFiles(t *testing.T) {
	folder := startproject(t)
	gate, err := os.ReadFile("testdata/private/gate.py")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(folder, "private"), 0o755); err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("0123456789", 20_000)
	old := time.Now().Add(-time.Hour)
	for name, content := range map[string]string{
		"mysite/gate.py":     string(gate),
		"millrace.toml":      strings.ReplaceAll(privateConfig, "${VENV}", venv),
		"private/report.txt": text,
		"private/small.txt":  "abc",
	} {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	appendTo(t, filepath.Join(folder, "mysite", "settings.py"), "\nALLOWED_HOSTS = ['*']\nLOGIN_REDIRECT_URL = '/admin/'\n")
	appendTo(t, filepath.Join(folder, "mysite", "urls.py"), privateURLs)
	python(t, folder, nil, "manage.py", "migrate")
	python(t, folder, []string{"DJANGO_SUPERUSER_PASSWORD=water"}, "manage.py", "createsuperuser", "--noinput", "--username", "miller", "--email", "miller@example.com")
	python(t, folder, nil, "manage.py", "shell", "-c", "from django.contrib.auth.models import User; User.objects.create_user('guest', 'g@example.com', 'wine', is_staff=True)")
	s := start(t, folder)

	nobody := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	miller, guest := login(t, s.url, "miller", "water"), login(t, s.url, "guest", "wine")
	for _, path := range []string{"/role", "/kept", "/sub", "/kept", "/role", "/sub"} {
		t.Run(path[1:], func(t *testing.T) {
			file := s.url + path + "/report.txt"
			res, body := demand(t, miller, file)
			h := res.Header
			if res.StatusCode != 200 || body != text || res.ContentLength != int64(len(text)) || h.Get("Accept-Ranges") != "bytes" || h.Get("Variable-Remote_user") != "" || h.Get("X-User") != "" {
				t.Errorf("the file: %d, %d bytes, %v", res.StatusCode, len(body), h)
			}
			if res, body := demand(t, miller, file, "Range: bytes=3-5"); res.StatusCode != 206 || body != "345" {
				t.Errorf("a range: %d %.40q", res.StatusCode, body)
			}
			if res, _ := demand(t, miller, file, "If-None-Match: "+h.Get("Etag")); res.StatusCode != 304 {
				t.Errorf("with its ETag: %d", res.StatusCode)
			}
			if res, body := demand(t, miller, file, "Accept-Encoding: gzip"); body != text || res.Header.Get("Content-Encoding") != "gzip" {
				t.Errorf("compressed: %d bytes, %v", len(body), res.Header)
			}
			if res, _ := demand(t, miller, s.url+path+"/none.txt"); res.StatusCode != 404 {
				t.Errorf("a missing file: %d", res.StatusCode)
			}
			for _, cookie := range []string{"", "sessionid=abcdefghijklmnopqrstuvwxyz012345", "sessionid="} {
				res, body := demand(t, nobody, file, "Cookie: "+cookie)
				if want := "/admin/login/?next=" + path + "/report.txt"; res.StatusCode != 302 || res.Header.Get("Location") != want || strings.Contains(body, "0123456789") {
					t.Errorf("with the cookie %q: %d to %s", cookie, res.StatusCode, res.Header.Get("Location"))
				}
			}
			if res, body := demand(t, guest, file); res.StatusCode != 403 || body != "not you, guest\n" {
				t.Errorf("a user who may not: %d %.80q", res.StatusCode, body)
			}
		})
	}
	if res, _ := demand(t, nobody, s.url+"/may-i", "X-Original-URI: /x"); res.StatusCode != 404 {
		t.Errorf("the check, from outside: %d", res.StatusCode)
	}
	for range 2 {
		if _, body := demand(t, miller, s.url+"/who", "X-User: root"); body != "miller miller" {
			t.Errorf("the app is told of %q", body)
		}
	}
	if res, body := demand(t, miller, s.url+"/stamped/small.txt"); res.StatusCode != 200 || body != "ABC / FILTER" {
		t.Errorf("a file that is filtered: %d %.80q", res.StatusCode, body)
	}
	if res, _ := demand(t, nobody, s.url+"/stamped/small.txt"); res.StatusCode != 302 {
		t.Errorf("a file that is filtered, for nobody: %d", res.StatusCode)
	}

	before := s.status().Accepted
	for i := range 100 {
		if res, _ := demand(t, miller, fmt.Sprintf("%s/kept/small.txt?%d", s.url, i)); res.StatusCode != 200 {
			t.Fatalf("an answer that is kept: %d", res.StatusCode)
		}
	}
	if after := s.status().Accepted; after != before {
		t.Errorf("the app was asked %d times for an answer that is kept", after-before)
	}
	var log string
	for _, want := range []string{"miller /role/report.txt 200", "miller /kept/report.txt 206", "miller /sub/report.txt 304", " /sub/report.txt 302", "miller /who 200", "miller /kept/small.txt?99 200"} {
		s.waitFor("the access log to have "+want, func() bool {
			b, err := os.ReadFile(filepath.Join(folder, "access.log"))
			log = string(b)
			return err == nil && strings.Contains(log, want)
		})
	}
	if strings.Contains(log, "may-i 2") {
		t.Error("the access log has the subrequests")
	}
}
