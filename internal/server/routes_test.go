package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// routed is a site with everything that routing does. Its texts are looked at
// by what the client sees.
const routed = `
[[site]]
listen = ["127.0.0.1:0"]
hosts = ["one.example", "*.one.example", '~^(?P<shop>[a-z]+)\.shops\.example$']
default = true
root = "{dir}/public"
error_pages = { "404" = "/pages/missing?code={status}", "418" = "/nowhere", "5xx" = "down.html" }

[site.headers]
set = { X-Site = "{host}" }
add = { Vary = "Cookie" }

[site.map.lang]
from = "{host}"
values = { "de.one.example" = "de", "~^fr[.]" = "fr" }
default = "en"

[site.map.moved]
from = "{path}"
values = { "/was/here" = "/is/there", "/was/away" = "https://elsewhere.example/x" }

# conditions
[[site.route]]
path = "/c/*"
method = ["POST", "PUT"]
respond = "{method}"

[[site.route]]
path = "/c/*"
header = { X-Kind = "~^(?P<kind>a+)$" }
respond = "kind {kind}"

[[site.route]]
path = "/c/*"
query = { lang = "de", page = "*" }
respond = "query"

[[site.route]]
path = "/c/*"
cookie = { beta = "yes" }
not = { client = "192.0.2.0/24" }
respond = "cookie"

[[site.route]]
path = "/c/*"
any = [{ path = "/c/x" }, { regexp = "^/c/[0-9]+$", not = { query = { off = "*" } } }]
respond = "any"

[[site.route]]
path = "/c/*"
client = ["198.51.100.0/24", "2001:db8::/32"]
respond = "client {client}"

[[site.route]]
path = "/c/*"
method = "GET"
respond = { status = 206, body = "{{{path}}", type = "application/json", headers = { X-Q = "{query.v}" } }

# rewriting
[[site.route]]
regexp = '^/blog/(\d+)/(?P<slug>.+)$'
rewrite = "/posts/{slug}?id={1}"

[[site.route]]
regexp = '^/spaced/(.*)$'
rewrite = "/app/{1}"

[[site.route]]
path = "/again/*"
rewrite = { to = "/posts/again", repeat = true }

[[site.route]]
regexp = '^/endless(.*)$'
rewrite = { to = "/endless/x{1}", repeat = true }

[[site.route]]
regexp = '^/up/(.*)$'
rewrite = "/files/{query.f}"

[[site.route]]
path = "/params/*"
params = { LANG = "{map.lang}", SAID = "{query.x}" }
app = "main"

[[site.route]]
path = "/posts/*"
rewrite = "/app{path}"
app = "main"

[[site.route]]
path = "/app/*"
app = "main"

# redirects
[[site.route]]
path = "/was/*"
redirect = "{map.moved}"

[[site.route]]
path = "/was/*"
respond = "still here"

[[site.route]]
regexp = '^/go/(.*)$'
redirect = { to = "/{1}", status = 308 }

[[site.route]]
regexp = '^/out/(.*)$'
redirect = { to = "{1}", status = 301 }

[[site.route]]
path = "/https"
redirect = "https://{host}{uri}"

[[site.route]]
path = "/lang"
redirect = "/{map.lang}/{shop}?{query}"

# files
[[site.route]]
path = "/files/*"
try_files = ["{path}", "{path}.html", "{path}/", "/tried{path}?t=1"]
files = { root = "{dir}/media", strip = "/files" }

[[site.route]]
path = "/tried/*"
app = "main"

[[site.route]]
path = "/strict/*"
try_files = ["{path}", "=410"]
files = { root = "{dir}/media", strip = "/strict" }

[[site.route]]
path = "/front/*"
try_files = ["{path}", "{path}"]
files = { root = "{dir}/media", strip = "/front" }

[[site.route]]
path = "/front/*"
app = "main"

# answers, and their headers
[[site.route]]
path = "/gone"
respond = { status = 410 }

[[site.route]]
path = "/pages/*"
respond = { body = "page for {query.code}", type = "text/html", headers = { ETag = '"x"' } }
headers = { remove = ["Etag"], set = { X-Page = "{query.code}" } }

[[site.route]]
path = "/teapot"
respond = { status = 418 }

[[site.route]]
any = [{ path = "/says/*" }, { path = "/own/*" }]
app = "main"

[[site]]
listen = ["127.0.0.1:0"]
hosts = ["two.example"]
error_pages = { "4xx" = "/pages/any" }
error_pages_of_apps = true

[[site.route]]
path = "/pages/any"
respond = "page two"

[[site.route]]
app = "main"

[app.main]
wsgi = "one:app"
`

// routes launches the sites of routed, and returns the front.
func routes(t *testing.T) (*serving, *front) {
	t.Helper()
	dir := t.TempDir()
	write(t, dir+"/public/index.html", "home")
	write(t, dir+"/media/a.txt", "media")
	write(t, dir+"/media/b.html", "page b")
	write(t, dir+"/media/sub/index.html", "sub")
	write(t, dir+"/down.html", "<p>down</p>")
	plan := parse(t, dir, routed)
	for _, w := range plan.Config.Warnings {
		t.Errorf("a warning: %v", w)
	}
	if err := plan.readPages(false); err != nil {
		t.Fatal(err)
	}
	s := launch(t, plan, newFakeApps())
	return s, s.fronts["127.0.0.1:0"]
}

// asking is a request and what is expected of its response.
type asking struct {
	request string            // "METHOD TARGET", or a target alone
	host    string            // default one.example
	header  map[string]string // of the request; Client is its address
	code    int
	body    string            // "" is not looked at
	wants   map[string]string // headers; "" is none
}

func (a *asking) ask(h http.Handler) *httptest.ResponseRecorder {
	method, target, ok := strings.Cut(a.request, " ")
	if !ok {
		method, target = "GET", a.request
	}
	r := httptest.NewRequest(method, target, nil)
	if r.Host = a.host; a.host == "" {
		r.Host = "one.example"
	}
	r.RemoteAddr = "203.0.113.9:1234"
	for name, value := range a.header {
		if name == "Client" {
			r.RemoteAddr = value
			continue
		}
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func (a *asking) check(t *testing.T, h http.Handler) {
	t.Helper()
	w := a.ask(h)
	if w.Code != a.code || a.body != "" && strings.TrimSpace(w.Body.String()) != a.body {
		t.Errorf("%s %s: %d %q, want %d %q", a.host, a.request, w.Code, w.Body, a.code, a.body)
	}
	for name, want := range a.wants {
		if got := strings.Join(w.Header()[name], "|"); got != want {
			t.Errorf("%s %s: %s is %q, want %q", a.host, a.request, name, got, want)
		}
	}
}

func TestRoutes(t *testing.T) {
	s, f := routes(t)
	home := "home"
	for _, test := range []asking{
		// hosts
		{request: "/", code: 200, body: home, wants: map[string]string{"X-Site": "one.example", "Vary": "Cookie"}},
		{request: "/", host: "ONE.example.:80", code: 200, body: home, wants: map[string]string{"X-Site": "one.example"}},
		{request: "/", host: "a.b.one.example", code: 200, body: home},
		{request: "/", host: "unknown", code: 200, body: home},
		{request: "/x", host: "two.example", code: 200, body: "main one:app /x 0", wants: map[string]string{"X-Site": ""}},

		// conditions
		{request: "POST /c/", code: 200, body: "POST"},
		{request: "/c/?lang=de&page=", code: 200, body: "query"},
		{request: "/c/?lang=de", code: 206},
		{request: "/c/", header: map[string]string{"X-Kind": "aaa"}, code: 200, body: "kind aaa"},
		{request: "/c/", header: map[string]string{"X-Kind": "aab"}, code: 206},
		{request: "/c/", header: map[string]string{"Cookie": "beta=yes"}, code: 200, body: "cookie"},
		{request: "/c/", header: map[string]string{"Cookie": "beta=yes", "Client": "192.0.2.7:1"}, code: 206},
		{request: "/c/x", code: 200, body: "any"},
		{request: "/c/12", code: 200, body: "any"},
		{request: "/c/12?off", code: 206},
		{request: "/c/", header: map[string]string{"Client": "[2001:db8::5]:1"}, code: 200, body: "client 2001:db8::5"},
		{request: "/c/", header: map[string]string{"Client": "[::ffff:198.51.100.3]:1"}, code: 200, body: "client ::ffff:198.51.100.3"},
		{request: "/c/a%20b?v=1%0d%0aX:2", code: 206, body: "{/c/a b}", wants: map[string]string{"Content-Type": "application/json", "X-Q": "1  X:2"}},
		{request: "HEAD /c/", code: 206},
		{request: "DELETE /c/", code: 405}, // the site's root answers

		// rewriting
		{request: "/blog/7/a/b", code: 200, body: "main one:app /app/posts/a/b 0", wants: map[string]string{"X-Seen": `/app/posts/a/b?id=7 "" /blog/7/a/b`}},
		{request: "/blog/7/a%3Fb?x=1", code: 200, wants: map[string]string{"X-Seen": `/app/posts/a%3Fb?id=7 "" /blog/7/a%3Fb?x=1`}},
		{request: "/spaced/a%20b%2Fc?x=1", code: 200, wants: map[string]string{"X-Seen": `/app/a%20b/c?x=1 "" /spaced/a%20b%2Fc?x=1`}},
		{request: "/spaced//evil.example/", code: 200, wants: map[string]string{"X-Seen": `/app//evil.example/ "" /spaced//evil.example/`}},
		{request: "/again/x?y", code: 200, wants: map[string]string{"X-Seen": `/app/posts/again?y "" /again/x?y`}},
		{request: "/endless", code: 500, body: "<p>down</p>"},
		{request: "/up/x?f=a.txt", code: 200, body: "media"},
		{request: "/up/x?f=../../etc/passwd", code: 400},
		{request: "/up/x?f=%00", code: 400},
		{request: "/up/x?f=b?c", code: 200, wants: map[string]string{"X-Seen": `/tried/files/b%3Fc?t=1 "" /up/x?f=b?c`}},

		// redirects
		{request: "/was/here", code: 302, wants: map[string]string{"Location": "/is/there"}},
		{request: "/was/away", code: 302, wants: map[string]string{"Location": "https://elsewhere.example/x"}},
		{request: "/was/never", code: 200, body: "still here"},
		{request: "/go/a%20b", code: 308, wants: map[string]string{"Location": "/a%20b"}},
		{request: "/go//evil.example/", code: 308, wants: map[string]string{"Location": "/evil.example/"}},
		{request: "/go/%5Cevil.example/", code: 308, wants: map[string]string{"Location": "/%5Cevil.example/"}},
		{request: "/out/https://evil.example/", code: 301, wants: map[string]string{"Location": "/https://evil.example/"}},
		{request: "/out/%2F%2Fevil.example/", code: 301, wants: map[string]string{"Location": "/evil.example/"}},
		{request: "/out/javascript:x", code: 301, wants: map[string]string{"Location": "/javascript:x"}},
		{request: "/https?a=%0d%0a", code: 302, wants: map[string]string{"Location": "https://one.example/https?a=%0d%0a"}},
		{request: "/https", host: "evil.example@one.example", code: 302, wants: map[string]string{"Location": "https://evil.example%40one.example/https"}},
		{request: "/lang?x=1", host: "de.one.example", code: 302, wants: map[string]string{"Location": "/de/?x=1"}},
		{request: "/lang", host: "fr.one.example", code: 302, wants: map[string]string{"Location": "/fr/"}},
		{request: "/lang", host: "books.shops.example", code: 302, wants: map[string]string{"Location": "/en/books"}},

		// parameters
		{request: "/params/?x=a%0d%0ab", host: "de.one.example", code: 200, wants: map[string]string{"X-Params": "[{LANG de} {SAID a  b}]"}},
		{request: "/posts/x", code: 200, wants: map[string]string{"X-Params": "[]"}},

		// files
		{request: "/files/a.txt", code: 200, body: "media"},
		{request: "/files/b", code: 200, body: "page b"},
		{request: "/files/sub", code: 200, body: "sub"},
		{request: "/files/none?q", code: 200, wants: map[string]string{"X-Seen": `/tried/files/none?t=1 "" /files/none?q`}},
		{request: "/files/.hidden", code: 200, wants: map[string]string{"X-Seen": `/tried/files/.hidden?t=1 "" /files/.hidden`}},
		{request: "/strict/a.txt", code: 200, body: "media"},
		{request: "/strict/none", code: 410, body: "410 gone"},
		{request: "/front/a.txt", code: 200, body: "media"},
		{request: "/front/none?q=1", code: 200, wants: map[string]string{"X-Seen": `/front/none?q=1 "" /front/none?q=1`}},

		// errors
		{request: "/missing", code: 404, body: "page for 404", wants: map[string]string{"Content-Type": "text/html", "Etag": "", "X-Page": "404", "X-Site": "one.example"}},
		{request: "HEAD /missing", code: 404, wants: map[string]string{"X-Page": "404"}},
		{request: "/missing", header: map[string]string{"Range": "bytes=0-1", "If-None-Match": "*"}, code: 404, body: "page for 404"},
		{request: "/gone", code: 410, body: "410 gone"},
		{request: "/teapot", code: 418, body: "418 I'm a teapot"}, // its page is missing
		{request: "/own/503", code: 503, body: "<p>down</p>", wants: map[string]string{"Content-Type": "text/html; charset=utf-8", "Retry-After": "7"}},
		{request: "/says/503", code: 503, body: "the app says 503"},
		{request: "/says/404", code: 404, body: "the app says 404"},
		{request: "/says/404", host: "two.example", code: 404, body: "page two"},
		{request: "/says/500", host: "two.example", code: 500, body: "the app says 500"},

		// what no route sees
		{request: "/c/%2e%2e/x", code: 400},
		{request: "/c/%01", code: 400},
	} {
		test.check(t, f)
	}
	if log := s.log.String(); !strings.Contains(log, "rewritten without end") || !strings.Contains(log, "uri=/endless") {
		t.Errorf("the log does not tell of the endless rewrite: %s", log)
	}
}

// A page of errors stands aside for the maintenance page.
func TestErrorPagesInMaintenance(t *testing.T) {
	s, f := routes(t)
	s.closed.Store(&Maintenance{All: true})
	(&asking{request: "/c/x", code: 503, body: strings.TrimSpace(string(plainPage.text))}).check(t, f)
}
