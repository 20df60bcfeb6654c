package server

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"millrace/gateway"
)

// authorizing is a tree of files and a back end behind every way of asking.
const authorizing = `
[[site]]
listen = "127.0.0.1:0"
access_log = "{dir}/access.log"
log_format = "{user} {uri} {status} {auth.X-Plan}"

[[site.route]]
path = "/check"
internal = true
upstream = "sub"

[[site.route]]
path = "/self/*"
regexp = "^/self/"
method = ["GET", "POST"]
files = { root = "{dir}" }
auth = "/self/check"

[[site.route]]
path = "/role/files/*"
files = { root = "{dir}/files", strip = "/role/files" }
auth = { upstream = "gate", headers = ["X-User", "X-Plan"], to_client = ["Set-Cookie", "X-Told"] }

[[site.route]]
path = "/sub/files/*"
files = { root = "{dir}/files", strip = "/sub/files" }
auth = { path = "/check?of={path}", headers = ["X-User", "X-Plan"], user = "X-User", to_client = ["Set-Cookie", "X-Told"] }

[[site.route]]
path = "/role/app/*"
upstream = "api"
params = { PLAN = "{auth.X-Plan}", METHOD = "{auth.AUTH_METHOD}" }
auth = { upstream = "gate", headers = ["X-User", "X-Plan"] }

[[site.route]]
path = "/sub/app/*"
upstream = "api"
params = { PLAN = "{auth.X-Plan}" }
auth = { path = "/check", headers = ["X-User", "X-Plan"], user = "X-User" }

[[site.route]]
path = "/own/app/*"
upstream = "api"
auth = { upstream = "sub", headers = ["X-User"], user = "X-User" }

[[site.route]]
path = "/either/*"
upstream = "api"
basic_auth = { users = { jo = "{SHA}bVpFkgoVreoEnI8i1Wn/IJYlpDs=" } }
auth = { path = "/check", headers = ["X-User"], user = "X-User", satisfy = "any" }

[upstream.gate]
protocol = "fastcgi"
servers = ["%s"]

[upstream.sub]
protocol = "%s"
servers = ["%s"]

[upstream.api]
protocol = "fastcgi"
servers = ["%s"]
`

// gatekeeper answers by the cookie "who".
func gatekeeper(seen chan<- *http.Request) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if seen != nil {
			select {
			case seen <- r:
			default: // nobody looks
			}
		}
		h, who := w.Header(), ""
		if c, err := r.Cookie("who"); err == nil {
			who = c.Value
		}
		h.Set("Content-Type", "text/html")
		switch who {
		case "":
			h.Set("Location", "/login?next="+r.Header.Get("X-Original-Uri"))
			h.Add("Set-Cookie", "asked=1")
			w.WriteHeader(http.StatusFound)
		case "mallory":
			h.Set("X-Why", "you")
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, "not you")
		case "password":
			h.Set("WWW-Authenticate", `Bearer realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		case "lost":
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, "no such user")
		case "broken":
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, "a secret traceback")
		case "empty":
			w.WriteHeader(http.StatusNoContent)
		case "large":
			_, _ = io.Copy(w, io.LimitReader(zeros{}, 1<<20))
		default:
			h["Variable-REMOTE_USER"] = []string{who}
			h["Variable-AUTH_METHOD"] = []string{"session"}
			h["Variable-CONTENT_LENGTH"] = []string{"7"}
			h["Variable-HTTP_PROXY"] = []string{"evil"}
			h.Set("X-User", who)
			h.Set("X-Plan", "gold")
			h.Set("X-Told", "yes")
			h.Add("Set-Cookie", "seen=1")
			_, _ = io.WriteString(w, "you may")
		}
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// apiShows answers with what it was told.
func apiShows(w http.ResponseWriter, r *http.Request) {
	told := map[string]string{"x-user": strings.Join(r.Header["X-User"], "|"), "x-plan": strings.Join(r.Header["X-Plan"], "|")}
	body, _ := io.ReadAll(r.Body)
	told["body"] = string(body)
	for _, name := range []string{"REMOTE_USER", "AUTH_TYPE", "AUTH_METHOD", "CONTENT_LENGTH", "HTTP_PROXY", "PLAN", "METHOD", "FCGI_ROLE"} {
		if v, ok := gateway.Lookup(gateway.FrontOf(r.Context()).Params, name); ok {
			told[name] = v
		}
	}
	w.Header().Set("Set-Cookie", "app=1")
	_ = json.NewEncoder(w).Encode(told)
}

func TestAuthorize(t *testing.T) {
	for _, protocol := range []string{"http", "fastcgi", "scgi", "uwsgi", "ajp"} {
		t.Run(protocol, func(t *testing.T) { testAuthorize(t, protocol, 1) })
	}
	for _, version := range []int{2, 3} {
		t.Run(fmt.Sprintf("over HTTP/%d", version), func(t *testing.T) { testAuthorize(t, "http", version) })
	}
}

// spoken makes a site one that is spoken to in a version of HTTP, and returns who
// asks it, once it is launched: at one.test but for HTTP/1.1.
func spoken(t *testing.T, dir, text string, version int) (config string, by func(s *serving) (client http.RoundTripper, url string)) {
	t.Helper()
	if version == 1 {
		return text, func(s *serving) (http.RoundTripper, string) {
			return &http.Transport{DisableCompression: true, DisableKeepAlives: true}, s.url("127.0.0.1:0")
		}
	}
	a := newAuthority(t)
	a.issue(t, dir, "one", false, "one.test")
	const listen = "listen = \"127.0.0.1:0\"\n"
	text = strings.Replace(text, listen, listen+"tls = { certificate = \"{dir}/one.pem\", key = \"{dir}/one.key\" }\n", 1)
	return text, func(s *serving) (http.RoundTripper, string) {
		at := s.hostPort("127.0.0.1:0")
		if version == 3 {
			return a.client3(t, at).Transport, "https://one.test"
		}
		client := a.client(at, true).Transport.(*http.Transport)
		client.DisableCompression = true
		t.Cleanup(client.CloseIdleConnections)
		return client, "https://one.test"
	}
}

func testAuthorize(t *testing.T, protocol string, version int) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "files/a.txt"), "0123456789")
	gate, sub, api := behind(t, "fastcgi", gatekeeper(nil)), behind(t, protocol, gatekeeper(nil)), behind(t, "fastcgi", apiShows)
	text, by := spoken(t, dir, fmt.Sprintf(authorizing, gate, protocol, sub, api), version)
	s := launch(t, parse(t, dir, text), newFakeApps())
	client, url := by(s)
	ask := func(t *testing.T, method, url string, headers ...string) (*http.Response, string) {
		t.Helper()
		if version > 1 { // which have no Connection
			headers = slices.DeleteFunc(slices.Clone(headers), func(h string) bool { return strings.HasPrefix(h, "Connection: ") })
		}
		res, body := askBy(t, client, method, url, headers...)
		if res.ProtoMajor != version {
			t.Errorf("the answer is one of %s", res.Proto)
		}
		return res, body
	}
	same := protocol == "fastcgi" // its own route asks as an authorizer then
	for _, tt := range []struct {
		name, method, path string
		ask                []string
		want               int
		body               string
		headers            []string
	}{
		{"role: a file", "GET", "/role/files/a.txt", []string{"Cookie: who=ada"}, 200, "0123456789", []string{"X-Told: yes", "Set-Cookie: seen=1", "X-User: ", "Variable-Remote_user: "}},
		{"role: a range", "GET", "/role/files/a.txt", []string{"Cookie: who=ada", "Range: bytes=2-4"}, 206, "234", []string{"X-Told: yes"}},
		{"role: nobody", "GET", "/role/files/a.txt", nil, 302, "", []string{"Location: /login?next=", "Set-Cookie: asked=1"}},
		{"role: forbidden", "GET", "/role/files/a.txt", []string{"Cookie: who=mallory"}, 403, "not you", []string{"X-Why: you", "Content-Type: text/html"}},
		{"role: its 404 is the client's", "GET", "/role/files/a.txt", []string{"Cookie: who=lost"}, 404, "no such user", nil},
		{"role: its 500 is the client's", "GET", "/role/files/a.txt", []string{"Cookie: who=broken"}, 500, "a secret traceback", nil},
		{"role: 204 is no 200", "GET", "/role/files/a.txt", []string{"Cookie: who=empty"}, 204, "", nil},
		{"role: a long yes", "GET", "/role/files/a.txt", []string{"Cookie: who=large"}, 200, "0123456789", nil},
		{"role: no file for a head", "HEAD", "/role/files/a.txt", []string{"Cookie: who=ada"}, 200, "", []string{"Content-Length: 10"}},
		{"role: a missing file", "GET", "/role/files/b.txt", []string{"Cookie: who=ada"}, 404, "*", nil},

		{"sub: a file", "GET", "/sub/files/a.txt", []string{"Cookie: who=ada"}, 200, "0123456789", []string{"X-Told: yes", "Set-Cookie: seen=1", "X-User: "}},
		{"sub: a range", "GET", "/sub/files/a.txt", []string{"Cookie: who=ada", "Range: bytes=2-4", "If-None-Match: x"}, 206, "234", nil},
		{"sub: nobody", "GET", "/sub/files/a.txt?x=1", nil, 302, "", []string{"Location: /login?next=/sub/files/a.txt?x=1", "Set-Cookie: asked=1"}},
		{"sub: forbidden", "GET", "/sub/files/a.txt", []string{"Cookie: who=mallory"}, 403, "not you", []string{"X-Why: you"}},
		{"sub: a password", "GET", "/sub/files/a.txt", []string{"Cookie: who=password"}, 401, "", []string{`Www-Authenticate: Bearer realm="x"`}},
		{"sub: 404 is an error", "GET", "/sub/files/a.txt", []string{"Cookie: who=lost"}, 502, "*", nil},
		{"sub: 500 is an error", "GET", "/sub/files/a.txt", []string{"Cookie: who=broken"}, 502, "*", nil},
		{"sub: 204 is a yes", "GET", "/sub/files/a.txt", []string{"Cookie: who=empty"}, 200, "0123456789", nil},
		{"sub: a long yes", "GET", "/sub/files/a.txt", []string{"Cookie: who=large"}, 200, "0123456789", nil},
		{"the check, from outside", "GET", "/check", []string{"Cookie: who=ada"}, 404, "*", nil},
		{"a loop", "GET", "/self/x", nil, 502, "*", nil},

		{"a password in place of a session", "GET", "/either/x", []string{"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("jo:water")), "X-User: root"}, 200,
			`{"AUTH_TYPE":"Basic","FCGI_ROLE":"RESPONDER","REMOTE_USER":"jo","body":"","x-plan":"","x-user":""}` + "\n", nil},
		{"a wrong password", "GET", "/either/x", []string{"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("jo:wine")), "Cookie: who=ada"}, 401, "*", nil},
		{"neither", "GET", "/either/x", nil, 302, "", nil},
		{"a session in place of a password", "GET", "/either/x", []string{"Cookie: who=ada"}, 200,
			`{"FCGI_ROLE":"RESPONDER","REMOTE_USER":"ada","body":"","x-plan":"","x-user":"ada"}` + "\n", nil},

		{"role: an app", "GET", "/role/app/x", []string{"Cookie: who=ada", "X-User: root", "X-User: admin", "Connection: X-User"}, 200,
			`{"AUTH_METHOD":"session","FCGI_ROLE":"RESPONDER","METHOD":"session","PLAN":"gold","REMOTE_USER":"ada","body":"","x-plan":"gold","x-user":"ada"}` + "\n",
			[]string{"Set-Cookie: app=1"}},
		{"sub: an app", "GET", "/sub/app/x", []string{"Cookie: who=ada", "X-User: root", "X-Plan: free"}, 200,
			`{"FCGI_ROLE":"RESPONDER","PLAN":"gold","REMOTE_USER":"ada","body":"","x-plan":"gold","x-user":"ada"}` + "\n", nil},
		{"sub: an app that is told nothing", "GET", "/sub/app/x", []string{"Cookie: who=empty", "X-User: root", "X-Plan: free"}, 200,
			`{"FCGI_ROLE":"RESPONDER","PLAN":"","body":"","x-plan":"","x-user":""}` + "\n", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res, body := ask(t, tt.method, url+tt.path, tt.ask...)
			if res.StatusCode != tt.want || tt.body != "*" && body != tt.body {
				t.Errorf("%d %.200q, want %d %.200q", res.StatusCode, body, tt.want, tt.body)
			}
			for _, h := range tt.headers {
				name, value, _ := strings.Cut(h, ": ")
				if got := res.Header.Get(name); got != value {
					t.Errorf("%s: %q, want %q", name, got, value)
				}
			}
			if strings.Contains(body, "secret") && !strings.HasPrefix(tt.path, "/role") {
				t.Error("the client sees an error of the check")
			}
		})
	}
	if !same {
		if res, body := ask(t, "GET", url+"/own/app/x", "Cookie: who=ada"); res.StatusCode != 200 || !strings.Contains(body, `"REMOTE_USER":"ada"`) {
			t.Errorf("back ends without roles: %d %q", res.StatusCode, body)
		}
		if res, _ := ask(t, "GET", url+"/own/app/x?y"); res.StatusCode != 302 || !strings.HasSuffix(res.Header.Get("Location"), "/own/app/x?y") {
			t.Errorf("back ends without roles, nobody: %d %v", res.StatusCode, res.Header)
		}
	}
	for _, line := range []string{"ada /role/files/a.txt 200 gold\n", "ada /sub/files/a.txt 200 gold\n", "- /sub/files/a.txt 403 -\n", "jo /either/x 200 -\n"} {
		eventually(t, "the access log has "+line, func() bool {
			b, err := os.ReadFile(filepath.Join(dir, "access.log"))
			return err == nil && strings.Contains(string(b), line)
		})
	}
	log := s.log.String()
	if n := strings.Count(log, "neither lets pass nor refuses"); n != 2 {
		t.Errorf("%d lines about answers that are none, in %s", n, log)
	}
	if n := strings.Count(log, "the server's to say"); n != 2 { // of two routes
		t.Errorf("%d lines about variables that are left out: %s", n, log)
	}
}

// TestAuthorizerIsTold is what an authorizer gets (FastCGI 1.0, section 6.3),
// and what a subrequest is.
func TestAuthorizerIsTold(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "files/a.txt"), "0123456789")
	asked, sub := make(chan *http.Request, 1), make(chan *http.Request, 1)
	gate, check, api := behind(t, "fastcgi", gatekeeper(asked)), behind(t, "http", gatekeeper(sub)), behind(t, "fastcgi", apiShows)
	s := launch(t, parse(t, dir, fmt.Sprintf(authorizing, gate, "http", check, api)), newFakeApps())
	url := s.url("127.0.0.1:0")
	head := []string{"Cookie: who=ada", "If-None-Match: x", "Range: bytes=0-1", "Accept-Encoding: gzip", "Content-Type: text/x", "X-Original-URI: /forged", "X-User: root", "Accept: x/y"}

	if res, _ := ask(t, "POST", url+"/role/app/x%2Fy?q=1", head...); res.StatusCode != 200 {
		t.Fatal(res.Status)
	}
	params := gateway.FrontOf((<-asked).Context()).Params
	for name, want := range map[string]string{
		"FCGI_ROLE": "AUTHORIZER", "REQUEST_METHOD": "POST", "REQUEST_URI": "/role/app/x%2Fy?q=1", "QUERY_STRING": "q=1", "HTTP_COOKIE": "who=ada", "HTTP_ACCEPT": "x/y",
	} {
		if got, _ := gateway.Lookup(params, name); got != want {
			t.Errorf("an authorizer's %s is %q, want %q", name, got, want)
		}
	}
	for _, p := range params {
		if slices.Contains([]string{"CONTENT_LENGTH", "PATH_INFO", "PATH_TRANSLATED", "SCRIPT_NAME", "CONTENT_TYPE", "HTTP_RANGE", "HTTP_IF_NONE_MATCH", "HTTP_ACCEPT_ENCODING", "HTTP_X_USER"}, p.Name) {
			t.Errorf("an authorizer gets %s", p.Name)
		}
	}

	if res, _ := ask(t, "POST", url+"/sub/app/x%2Fy?q=1", head...); res.StatusCode != 200 {
		t.Fatal(res.Status)
	}
	r := <-sub
	if got := r.Method + " " + r.RequestURI + " " + r.Header.Get("X-Original-Method") + " " + strings.Join(r.Header["X-Original-Uri"], "|"); got != "GET /check POST /sub/app/x%2Fy?q=1" {
		t.Errorf("a subrequest is %q", got)
	}
	for _, name := range []string{"Content-Length", "Content-Type", "Range", "If-None-Match", "Accept-Encoding", "X-User"} {
		if r.Header[name] != nil {
			t.Errorf("a subrequest has %s", name)
		}
	}
}

const authorizedCache = `
[server.cache]
memory = "1MiB"
[[site]]
listen = "127.0.0.1:0"
[[site.route]]
upstream = "api"
cache = { private_cookies = [] }
auth = { upstream = "gate", headers = ["X-User"] }

[upstream.gate]
protocol = "fastcgi"
servers = ["%s"]
[upstream.api]
protocol = "http"
servers = ["%s"]
`

// TestAuthorizeBeforeCache: what is kept passes the authorizer as well, and what
// was answered for somebody is not kept, unless it is for all.
func TestAuthorizeBeforeCache(t *testing.T) {
	gate := behind(t, "fastcgi", gatekeeper(nil))
	api := behind(t, "http", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", strings.TrimPrefix(r.URL.Path, "/"))
		_, _ = io.WriteString(w, "for "+r.Header.Get("X-User"))
	})
	s := launch(t, parse(t, t.TempDir(), fmt.Sprintf(authorizedCache, gate, api)), newFakeApps())
	url := s.url("127.0.0.1:0")
	for _, tt := range []struct {
		path, who string
		want      int
		body      string
	}{
		{"/max-age=60", "ada", 200, "for ada"},
		{"/max-age=60", "bob", 200, "for bob"},
		{"/max-age=60,public", "ada", 200, "for ada"},
		{"/max-age=60,public", "bob", 200, "for ada"}, // as the app has said
		{"/max-age=60,public", "mallory", 403, "not you"},
	} {
		if res, body := ask(t, "GET", url+tt.path, "Cookie: who="+tt.who); res.StatusCode != tt.want || body != tt.body {
			t.Errorf("%s for %s: %d %q, want %d %q", tt.path, tt.who, res.StatusCode, body, tt.want, tt.body)
		}
	}
}
