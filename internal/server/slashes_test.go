package server

import (
	"strings"
	"testing"
)

const slashes = `
[[site]]
listen = "127.0.0.1:0"
root = "{dir}/www"

[[site.route]]
path = "/private/*"
files = { root = "{dir}/www" }
[site.route.basic_auth]
realm = "Mill"
users = { jo = "$2y$05$xn.yxYIi6MsWZRzp0nrlA.wilWlXYn4Wn9kwWSk7NxVOg0Mk1KIsq" }

[[site.route]]
path = "/inside/*"
files = { root = "{dir}/www" }
deny = ["127.0.0.1"]

[[site.route]]
path = "/blog/*"
mount = "/blog"
upstream = "php"
script = { root = "{dir}/www/blog", extensions = [".php"] }

[[site.route]]
regexp = '^/to/(http://.*)'
respond = "{1}"

[upstream.php]
protocol = "fastcgi"
servers = "ADDRESS"
`

// What guards a path guards it however many slashes are written: the files
// below a root are found by any number.
func TestSlashesLeadPastNoGuard(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"private/x", "inside/x", "blog/x.php", "open/x"} {
		write(t, dir+"/www/"+name, "secret")
	}
	s := launch(t, parse(t, dir, strings.Replace(slashes, "ADDRESS", echoing(t), 1)), newFakeApps())
	url := s.url("127.0.0.1:0")
	for _, at := range []struct {
		path   string
		status int
	}{
		{"/private/x", 401}, {"//private/x", 401}, {"/private//x", 401}, {"//private//x", 401}, {"/%2fprivate/x", 401}, {"/%2Fprivate%2F/x", 401},
		{"/inside/x", 403}, {"//inside/x", 403}, {"///inside/x", 403},
		{"/open/x", 200}, {"//open//x", 200},
	} {
		if status, _, body := exchange(t, url, "", "GET "+at.path+" HTTP/1.1\nHost: h\nConnection: close\n\n"); status != at.status {
			t.Errorf("%s: %d %q, want %d", at.path, status, body, at.status)
		}
	}
	if _, _, body := exchange(t, url, "", "GET /to/http://x//y HTTP/1.1\nHost: h\nConnection: close\n\n"); body != "http://x//y" {
		t.Errorf("a regexp with two slashes: %q", body)
	}
	for _, path := range []string{"//blog/x.php", "/blog//x.php", "//blog//x.php"} { // never its source
		if _, _, body := exchange(t, url, "", "GET "+path+" HTTP/1.1\nHost: h\nConnection: close\n\n"); strings.Contains(body, "secret") || !strings.HasPrefix(body, "/blog/x.php ") {
			t.Errorf("%s: %q", path, body)
		}
	}
}
