package server

import (
	"net/http"
	"strings"
	"testing"

	"millrace/internal/admin"
)

const guardsAll = `
[[site]]
listen = ["127.0.0.1:0"]
root = "{dir}/files"
limit = { rate = "1/h", burst = 3, by = "{header.X-Key}" }
[site.basic_auth]
realm = "All"
users = { jo = "$2y$05$xn.yxYIi6MsWZRzp0nrlA.wilWlXYn4Wn9kwWSk7NxVOg0Mk1KIsq" }

[[site.route]]
path = "/app/*"
app = "main"

[[site.route]]
path = "/open/*"
app = "main"
basic_auth = false
limit = false

[[site.route]]
path = "/apart/*"
app = "main"
limit = { rate = "1/h", burst = 1, by = "{header.X-Key}" }
[site.route.basic_auth]
realm = "Own"
users = { ann = "$2y$05$xn.yxYIi6MsWZRzp0nrlA.wilWlXYn4Wn9kwWSk7NxVOg0Mk1KIsq" }

[app.main]
wsgi = "one:app"
`

// TestSiteGuards: what a site says of passwords and rates holds for its routes
// and its root, unless a route says otherwise; the rate is of all together.
func TestSiteGuards(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/files/a.txt", "file")
	s := launch(t, parse(t, dir, guardsAll), newFakeApps())
	url := s.url("127.0.0.1:0")
	jo, ann := credentials("jo:pass"), credentials("ann:pass")
	for _, test := range []struct {
		path, key, as string
		want          int
		realm         string
	}{
		{"/app/x", "1", "", 401, "All"},
		{"/a.txt", "2", "", 401, "All"},
		{"/app/x", "3", ann, 401, "All"},
		{"/open/x", "4", "", 200, ""},
		{"/apart/x", "5", "", 401, "Own"},
		{"/apart/x", "6", jo, 401, "Own"},
		{"/apart/x", "7", ann, 200, ""},
		{"/apart/x", "7", ann, 429, ""},
		{"/app/x", "7", jo, 200, ""}, // its own limit did not count here
		{"/a.txt", "7", jo, 200, ""},
		{"/app/y", "7", jo, 200, ""},
		{"/a.txt", "7", jo, 429, ""},
		{"/app/x", "7", jo, 429, ""},
		{"/open/x", "7", "", 200, ""},
		{"/app/x", "8", jo, 200, ""},
	} {
		status, h, body := exchange(t, url, "", "GET "+test.path+" HTTP/1.1\nHost: a\nX-Key: "+test.key+"\n"+test.as+"\n")
		if status != test.want || test.realm != "" && !strings.Contains(h.Get("WWW-Authenticate"), test.realm) {
			t.Errorf("%s with %q: %d %q %q, want %d %q", test.path, test.as, status, h.Get("WWW-Authenticate"), body, test.want, test.realm)
		}
	}
	// A reload gives nobody new requests.
	if err := s.reloadTo(parse(t, dir, guardsAll)); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := exchange(t, url, "", "GET /app/x HTTP/1.1\nHost: a\nX-Key: 7\n"+jo+"\n"); status != 429 {
		t.Errorf("after a reload: %d", status)
	}
}

const pageOfApp = `
[[site]]
listen = ["127.0.0.1:0"]
error_pages = { "404" = "/page/404" }

[[site.route]]
path = "/page/*"
app = "pages"
limit = { rate = "1/h", burst = 2 }

[[site.route]]
path = "/files/*"
files = { root = "{dir}" }

[app.pages]
wsgi = "pages:app"
`

// TestPageOfAppIsGuarded: the page of an error that an app makes takes the
// app's time like any request: limits count it, and maintenance holds it.
func TestPageOfAppIsGuarded(t *testing.T) {
	dir := t.TempDir()
	s := launch(t, parse(t, dir, pageOfApp), newFakeApps())
	url := s.url("127.0.0.1:0")
	want := func(what, body string) {
		t.Helper()
		if status, _, got := exchange(t, url, "", "GET /files/none HTTP/1.1\nHost: a\n\n"); status != http.StatusNotFound || !strings.Contains(got, body) {
			t.Errorf("%s: %d %q, want 404 and %q", what, status, got, body)
		}
	}
	want("a page of the app's", "pages pages:app /page/404")
	if _, err := s.Maintain(admin.Maintenance{On: true, App: "pages"}); err != nil {
		t.Fatal(err)
	}
	want("in maintenance", "404 Not Found")
	if _, err := s.Maintain(admin.Maintenance{App: "pages"}); err != nil {
		t.Fatal(err)
	}
	want("the second of two", "pages pages:app /page/404")
	want("one too many", "404 Not Found")
}
