package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const hostileAuthorizers = `
[[site]]
listen = "127.0.0.1:0"
[[site.route]]
path = "/silent/*"
respond = "private"
auth = { upstream = "late"%[1]s }
[[site.route]]
respond = "private"
auth = { upstream = "gate"%[1]s }
[upstream.late]
protocol = "%[2]s"
servers = ["%[3]s"]
timeout = "400ms"
[upstream.gate]
protocol = "%[2]s"
servers = ["%[3]s"]
timeout = "20s"
`

// TestHostileAuthorizers: whatever is answered in place of a yes, nobody passes,
// the client gets 502, 503 or 504, and the log has one line of it; with answers
// that are kept as well, of which no such one is.
func TestHostileAuthorizers(t *testing.T) {
	for _, p := range rawProtocols() {
		for _, cache := range []string{"", `, cache = "1h"`} {
			t.Run(p.name+cache, func(t *testing.T) {
				t.Parallel()
				b := p.listen(t)
				s := launch(t, parse(t, t.TempDir(), fmt.Sprintf(hostileAuthorizers, cache, p.protocol, b.address)), newFakeApps())
				url := s.url("127.0.0.1:0")
				for i, c := range p.cases {
					path := fmt.Sprintf("/case/%d", i)
					if strings.Contains(c.name, "silence") {
						path = "/silent" + path
					}
					hostileAuthorizer(t, s, url, path, c, p.protocol == "fastcgi")
				}
			})
		}
	}
}

func hostileAuthorizer(t *testing.T, s *serving, url, path string, c hostileCase, role bool) {
	t.Helper()
	want := c.want
	switch {
	case want == http.StatusNotModified && !role:
		want = http.StatusBadGateway
	case want == http.StatusNoContent && !role:
		want = http.StatusOK
	}
	for range 2 { // what was an error is asked for again
		logged := len(s.log.String())
		code, body, header, err := askWhole(c.method, url+path)
		switch {
		case err != nil:
			t.Errorf("%s: %v", c.name, err)
		case want > 100 && code != want:
			t.Errorf("%s: %d %.100q, want %d", c.name, code, body, want)
		case (code == http.StatusOK) != (body == "private") || body != "private" && strings.Contains(body, "private"):
			t.Errorf("%s: %d %.100q", c.name, code, body)
		case strings.Contains(strings.ToLower(fmt.Sprint(body, header)), "evil"):
			t.Errorf("%s: the client got %.200q, %v", c.name, body, header)
		}
		if lines := errorLines(s.log.String()[logged:]); want >= 500 && (len(lines) != 1 || !strings.Contains(lines[0], path)) {
			t.Errorf("%s: %d lines in the log:\n%s", c.name, len(lines), strings.Join(lines, ""))
		}
	}
	if code, body := get(t, url+"/good"); code != 200 || body != "private" {
		t.Errorf("%s: after it: %d %q", c.name, code, body)
	}
}

// TestAuthorizeBeforeBody: a body is not asked for by 100 before its request may
// pass, and never for one that may not.
func TestAuthorizeBeforeBody(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "files/a.txt"), "a")
	gate, api := behind(t, "fastcgi", gatekeeper(nil)), behind(t, "fastcgi", apiShows)
	s := launch(t, parse(t, dir, fmt.Sprintf(authorizing, gate, "http", behind(t, "http", gatekeeper(nil)), api)), newFakeApps())
	for _, path := range []string{"/role/app/x", "/sub/app/x"} {
		for _, tt := range []struct{ cookie, want string }{{"who=ada", "HTTP/1.1 100 Continue"}, {"a=b", "HTTP/1.1 302 Found"}, {"who=mallory", "HTTP/1.1 403 Forbidden"}} {
			c, err := net.Dial("tcp", strings.TrimPrefix(s.url("127.0.0.1:0"), "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: a\r\nCookie: %s\r\nContent-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n", path, tt.cookie)
			in := bufio.NewReader(c)
			line, err := in.ReadString('\n')
			if strings.TrimSpace(line) != tt.want {
				t.Errorf("%s for %s: %q, %v; want %q", path, tt.cookie, line, err, tt.want)
			}
			if !strings.Contains(tt.want, "100") {
				continue
			}
			if _, err := io.WriteString(c, "body"); err != nil {
				t.Fatal(err)
			}
			all, err := io.ReadAll(in)
			if err != nil || !strings.Contains(string(all), `"body":"body"`) || !strings.Contains(string(all), `"CONTENT_LENGTH":"4"`) {
				t.Errorf("%s: %q, %v", path, all, err)
			}
		}
	}
}

const authorizedSocket = `
[[site]]
listen = "127.0.0.1:0"
[[site.route]]
path = "/check"
internal = true
upstream = "sub"
[[site.route]]
upstream = "ws"
auth = { path = "/check", headers = ["X-User"], to_client = ["X-Told"]%s }
[upstream.sub]
protocol = "http"
servers = ["%s"]
[upstream.ws]
protocol = "http"
servers = ["%s"]
`

// TestAuthorizeWebSocket: the question is a plain GET, and a connection that may
// pass is upgraded behind it, with the headers of the answer.
func TestAuthorizeWebSocket(t *testing.T) {
	for _, cache := range []string{"", `, cache = "1h"`} {
		asked := make(chan *http.Request, 10)
		echo, _ := webSocketEcho(t)
		s := launch(t, parse(t, t.TempDir(), fmt.Sprintf(authorizedSocket, cache, behind(t, "http", gatekeeper(asked)), echo)), newFakeApps())
		for _, tt := range []struct {
			cookie string
			want   int
		}{{"who=ada", 101}, {"a=b", 302}, {"who=mallory", 403}, {"who=ada", 101}} {
			c, err := net.Dial("tcp", strings.TrimPrefix(s.url("127.0.0.1:0"), "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(c, strings.Replace(wsHello, "Host:", "Cookie: "+tt.cookie+"\r\nHost:", 1))
			in := bufio.NewReader(c)
			res, err := http.ReadResponse(in, nil)
			if err != nil || res.StatusCode != tt.want || tt.want == 101 && res.Header.Get("X-Told") != "yes" {
				t.Errorf("for %s: %v, %v; want %d", tt.cookie, res, err, tt.want)
				continue
			}
			if tt.want == 101 {
				(&webSocket{c, in, t}).echo("hello")
			}
		}
		for len(asked) > 0 {
			if r := <-asked; r.Method != "GET" || r.Header["Upgrade"] != nil || r.Header["Sec-Websocket-Key"] != nil {
				t.Errorf("the question is %s with %v", r.Method, r.Header)
			}
		}
	}
}

// TestAuthorizeLocalRedirect: a local redirect is for the client to follow, and
// no yes, though what it leads to answers 200.
func TestAuthorizeLocalRedirect(t *testing.T) {
	raw := behindRaw(t, func(*http.Request) string { return "Location: /login?next=x\r\n\r\n" })
	s := launch(t, parse(t, t.TempDir(), fmt.Sprintf(`
[[site]]
listen = "127.0.0.1:0"
[[site.route]]
path = "/login"
respond = "a page for everyone"
[[site.route]]
path = "/check"
internal = true
upstream = "raw"
[[site.route]]
path = "/sub"
respond = "private"
auth = "/check"
[[site.route]]
path = "/kept"
respond = "private"
auth = { path = "/check", cache = "1h" }
[[site.route]]
respond = "private"
auth = { upstream = "raw" }
[upstream.raw]
protocol = "scgi"
servers = ["%s"]
`, raw)), newFakeApps())
	for _, path := range []string{"/sub", "/kept", "/kept", "/own"} {
		res, body := ask(t, "GET", s.url("127.0.0.1:0")+path)
		if res.StatusCode != 302 || res.Header.Get("Location") != "/login?next=x" || body != "" {
			t.Errorf("%s: %d to %q, %q", path, res.StatusCode, res.Header.Get("Location"), body)
		}
	}
}
