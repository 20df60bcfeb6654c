package server

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

const reversing = `
[[site]]
listen = ["127.0.0.1:0"]
[[site.route]]
path = "/shop/*"
upstream = "web"
mount = "/shop"
[[site.route]]
path = "/own/*"
upstream = "web"
mount = "/own"
[site.route.reverse]
automatic = false
location = { "http://old.example/" = "/own/old/", '~^http://([a-z]+)\.internal/(.*)$' = "https://$1.example/$2" }
cookie_domain = { "old.example" = "new.example" }
cookie_path = { "/app" = "/own" }
[[site.route]]
path = "/told"
upstream = "web"
[site.route.request_headers]
set = { Host = "inner.example", X-Real-IP = "{client}", Accept = "text/x" }
add = { X-Twice = "{host}" }
remove = ["Cookie", "X-Forwarded-Host"]
[site.route.headers]
remove = ["X-Powered-By"]
[[site.route]]
path = "/fast"
upstream = "fast"
[site.route.request_headers]
set = { Host = "inner.example", X-User = "{header.X-Name}" }
[[site.route]]
upstream = "web"
[upstream.web]
protocol = "http"
servers = [%q]
[upstream.fast]
protocol = "fastcgi"
servers = [%q]
`

// TestReverse: what a back end says of its own place leads clients to the site.
func TestReverse(t *testing.T) {
	var web string
	web = behind(t, "http", func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Location", strings.ReplaceAll(r.URL.Query().Get("to"), "SELF", web))
		h.Add("Set-Cookie", "a=1; Domain=127.0.0.1; Path=/")
		h.Add("Set-Cookie", "b=1; Domain=old.example; Path=/app/x")
		w.WriteHeader(302)
	})
	s := launch(t, parse(t, t.TempDir(), fmt.Sprintf(reversing, web, web)), newFakeApps())
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, test := range []struct{ path, to, location, cookies string }{
		{"/shop/x", "http://SELF/login", "/shop/login", "a=1; Path=/shop|b=1; Domain=old.example; Path=/shop/app/x"},
		{"/shop/x", "/login", "/shop/login", ""},
		{"/shop/x", "https://other.example/", "https://other.example/", ""},
		{"/x", "http://SELF/login", "/login", "a=1; Path=/|b=1; Domain=old.example; Path=/app/x"},
		{"/told", "http://inner.example/x", "/x", ""},
		{"/own/x", "http://SELF/login", "http://" + web + "/login", "a=1; Domain=127.0.0.1; Path=/|b=1; Domain=new.example; Path=/own/x"},
		{"/own/x", "http://old.example/a", "/own/old/a", ""},
		{"/own/x", "http://b.internal/a", "https://b.example/a", ""},
	} {
		res, err := client.Get(s.url("127.0.0.1:0") + test.path + "?to=" + test.to)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if got := res.Header.Get("Location"); got != test.location {
			t.Errorf("%s to %s: %q, want %q", test.path, test.to, got, test.location)
		}
		if got := strings.Join(res.Header["Set-Cookie"], "|"); test.cookies != "" && got != test.cookies {
			t.Errorf("%s: cookies %q, want %q", test.path, got, test.cookies)
		}
	}
}

// TestRequestHeaders: a back end is told what the route says, and its client
// not what it takes away.
func TestRequestHeaders(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Powered-By", "x")
		var lines []string
		for _, name := range []string{"X-Real-Ip", "Accept", "X-Twice", "Cookie", "X-Forwarded-Host", "X-Forwarded-For", "X-User"} {
			if values, ok := r.Header[name]; ok {
				lines = append(lines, name+"="+strings.Join(values, ","))
			}
		}
		slices.Sort(lines)
		fmt.Fprintf(w, "%s %s", r.Host, strings.Join(lines, " "))
	}
	s := launch(t, parse(t, t.TempDir(), fmt.Sprintf(reversing, behind(t, "http", echo), behind(t, "fastcgi", echo))), newFakeApps())
	for path, want := range map[string]string{
		"/told": "inner.example Accept=text/x X-Forwarded-For=127.0.0.1 X-Real-Ip=127.0.0.1 X-Twice=one,site.example",
		"/fast": "inner.example Cookie=a=1 X-Forwarded-For=127.0.0.1 X-Real-Ip=127.0.0.1 X-Twice=one X-User=Ann",
		"/":     "site.example Cookie=a=1 X-Forwarded-For=127.0.0.1 X-Forwarded-Host=site.example X-Twice=one",
	} {
		req, _ := http.NewRequest("GET", s.url("127.0.0.1:0")+path, nil)
		req.Host = "site.example"
		req.Header = http.Header{"X-Real-Ip": {"6.6.6.6"}, "Cookie": {"a=1"}, "X-Twice": {"one"}, "X-Forwarded-For": {"6.6.6.6"}, "X-Name": {"Ann"}, "X-User": {"Eve"}}
		if path != "/fast" {
			delete(req.Header, "X-User")
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if string(b) != want {
			t.Errorf("%s: got\n%s\nwant\n%s", path, b, want)
		}
		if (res.Header["X-Powered-By"] == nil) != (path == "/told") {
			t.Errorf("%s: the client gets %v", path, res.Header)
		}
	}
}
