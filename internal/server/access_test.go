package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

const guarded = `
[server]
trusted_proxies = ["127.0.0.2", "unix"]
proxy_headers = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"]
max_connections_per_client = 40

[[site]]
listen = ["127.0.0.1:0", "unix:{dir}/web.sock"]
deny = ["192.0.2.66"]
access_log = "{dir}/access.log"
log_format = "{client} {user} {scheme} {status} {path}"

[[site.route]]
path = "/private/*"
app = "main"
[site.route.basic_auth]
realm = "Mill"
users = { jo = "$2y$05$xn.yxYIi6MsWZRzp0nrlA.wilWlXYn4Wn9kwWSk7NxVOg0Mk1KIsq" }
file = "{dir}/htpasswd"

[[site.route]]
path = "/inside/*"
app = "main"
allow = ["192.0.2.0/24", "2001:db8::/32"]

[[site.route]]
path = "/local/*"
app = "main"
allow = "unix"

[[site.route]]
path = "/upload/*"
app = "main"
max_body = "10B"

[[site.route]]
path = "/limited/*"
app = "main"
limit = { rate = "1/h", burst = 2 }

[[site.route]]
path = "/keyed/*"
app = "main"
limit = { rate = "1/h", burst = 1, by = "{header.X-Key}" }

[[site.route]]
app = "main"

[app.main]
wsgi = "one:app"
`

func guardedSite(t *testing.T) (dir string) {
	dir = t.TempDir()
	write(t, dir+"/htpasswd", "ann:$apr1$8hMqIklw$j.VDsxjYVU9WYpCukf5Fm1\n") // pass
	return dir
}

// exchange sends a request from an address of this machine and returns the
// response.
func exchange(t *testing.T, url, from, request string) (status int, h http.Header, body string) {
	t.Helper()
	d := net.Dialer{Timeout: 10 * time.Second}
	network, address := "tcp", strings.TrimPrefix(url, "http://")
	if path, ok := strings.CutPrefix(url, "unix:"); ok {
		network, address = "unix", path
	} else if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	c, err := d.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, strings.ReplaceAll(request, "\n", "\r\n")); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("%.60q: %v", request, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	if res.Close { // which ReadResponse takes out
		res.Header.Set("Connection", "close")
	}
	return res.StatusCode, res.Header, strings.TrimSpace(string(b))
}

func credentials(text string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(text)) + "\n"
}

// proxy is a trusted proxy's address on this machine.
const proxy = "127.0.0.2"

func TestGuarded(t *testing.T) {
	dir := guardedSite(t)
	s := launch(t, parse(t, dir, guarded), newFakeApps())
	url, unix := s.url("127.0.0.1:0"), "unix:"+dir+"/web.sock"
	for _, test := range []struct {
		name, url, from, request string
		status                   int
		body                     string // a part of it
		header                   string // "Name: a part of its value"
	}{
		{"plain", url, "", "GET /who HTTP/1.1\nHost: a.com\n\n", 200, "REMOTE_ADDR=127.0.0.1 SERVER_NAME=a.com SERVER_PORT=80", ""},

		{"no password", url, "", "GET /private/who HTTP/1.1\nHost: a\n\n", 401, "", `Www-Authenticate: Basic realm="Mill"`},
		{"a body that is not asked for", url, "", "POST /private/who HTTP/1.1\nHost: a\nContent-Length: 1000000\nExpect: 100-continue\n\n", 401, "", "Connection: close"},
		{"a wrong password", url, "", "GET /private/who HTTP/1.1\nHost: a\n" + credentials("jo:word") + "\n", 401, "", ""},
		{"of the table", url, "", "GET /private/who HTTP/1.1\nHost: a\n" + credentials("jo:pass") + "\n", 200, "REMOTE_USER=jo", ""},
		{"of the file", url, "", "GET /private/who HTTP/1.1\nHost: a\n" + credentials("ann:pass") + "\n", 200, "REMOTE_USER=ann", ""},
		{"a forged user", url, "", "GET /who HTTP/1.1\nHost: a\nRemote-User: root\nRemote_User: root\n\n", 200, "REMOTE_ADDR=127.0.0.1 SERVER_NAME", ""},
		{"credentials nobody asked for", url, "", "GET /who HTTP/1.1\nHost: a\n" + credentials("root:x") + "\n", 200, "REMOTE_ADDR=127.0.0.1 SERVER_NAME", ""},

		{"not inside", url, "", "GET /inside/who HTTP/1.1\nHost: a\n\n", 403, "", ""},
		{"says it is inside", url, "", "GET /inside/who HTTP/1.1\nHost: a\nX-Forwarded-For: 192.0.2.1\n\n", 403, "", ""},
		{"a proxy says it is inside", url, proxy, "GET /inside/who HTTP/1.1\nHost: a\nX-Forwarded-For: 192.0.2.1\n\n", 200, "REMOTE_ADDR=192.0.2.1", ""},
		{"IPv6 inside", url, proxy, "GET /inside/who HTTP/1.1\nHost: a\nX-Forwarded-For: 2001:db8::7\n\n", 200, "REMOTE_ADDR=2001:db8::7", ""},
		{"says to a proxy that it is inside", url, proxy, "GET /inside/who HTTP/1.1\nHost: a\nX-Forwarded-For: 192.0.2.1, 198.51.100.1\n\n", 403, "", ""},
		{"not on the socket", url, "", "GET /local/who HTTP/1.1\nHost: a\n\n", 403, "", ""},
		{"on the socket", unix, "", "GET /local/who HTTP/1.1\nHost: a\n\n", 200, "SERVER_NAME=a", ""},
		{"a proxy on the socket", unix, "", "GET /local/who HTTP/1.1\nHost: a\nX-Forwarded-For: 192.0.2.1\n\n", 403, "", ""},
		{"denied by the site", url, proxy, "GET /who HTTP/1.1\nHost: a\nX-Forwarded-For: 192.0.2.66\n\n", 403, "", ""},
		{"denied, with a body", url, proxy, "POST /who HTTP/1.1\nHost: a\nX-Forwarded-For: 192.0.2.66\nContent-Length: 1000000\nExpect: 100-continue\n\n", 403, "", ""},

		{"a client's lies", url, "", "GET /who HTTP/1.1\nHost: a\nX-Forwarded-For: 10.0.0.1\nX-Forwarded-Proto: https\nX-Forwarded-Host: evil\nForwarded: for=10.0.0.1\n\n", 200,
			"REMOTE_ADDR=127.0.0.1 SERVER_NAME=a SERVER_PORT=80 X_FORWARDED_FOR=127.0.0.1 X_FORWARDED_PROTO=http X_FORWARDED_HOST=a", ""},
		{"a proxy's word", url, proxy, "GET /who HTTP/1.1\nHost: inner:8000\nX-Forwarded-For: 10.9.9.9, 203.0.113.7\nX-Forwarded-Proto: https\nX-Forwarded-Host: www.a.com\n\n", 200,
			"REMOTE_ADDR=203.0.113.7 HTTPS=on SERVER_NAME=www.a.com SERVER_PORT=443 X_FORWARDED_FOR=203.0.113.7 X_FORWARDED_PROTO=https X_FORWARDED_HOST=www.a.com", ""},
		{"a header that it must not set", url, proxy, "GET /who HTTP/1.1\nHost: a\nForwarded: for=10.0.0.1;host=evil\nX-Forwarded-For: 203.0.113.7\n\n", 200,
			"REMOTE_ADDR=203.0.113.7 SERVER_NAME=a SERVER_PORT=80 X_FORWARDED_FOR=203.0.113.7 X_FORWARDED_PROTO=http", ""},

		{"fits", url, "", "POST /upload/x HTTP/1.1\nHost: a\nContent-Length: 10\n\n0123456789", 200, "main one:app /upload/x 10", ""},
		{"too long", url, "", "POST /upload/x HTTP/1.1\nHost: a\nContent-Length: 11\n\n01234567890", 413, "", "Connection: close"},
		{"too long, asked for", url, "", "POST /upload/x HTTP/1.1\nHost: a\nContent-Length: 11\nExpect: 100-continue\n\n", 413, "", ""},
		{"chunked, fits", url, "", "POST /upload/x HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\na\n0123456789\n0\n\n", 200, "main one:app /upload/x 10", ""},
		{"chunked, too long", url, "", "POST /upload/x HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\nb\n01234567890\n0\n\n", 413, "", ""},

		{"the first", url, "", "GET /limited/x HTTP/1.1\nHost: a\n\n", 200, "", ""},
		{"the second", url, "", "GET /limited/x HTTP/1.1\nHost: a\n\n", 200, "", ""},
		{"one too many", url, "", "GET /limited/x HTTP/1.1\nHost: a\n\n", 429, "", "Retry-After: 3600"},
		{"another client", url, proxy, "GET /limited/x HTTP/1.1\nHost: a\nX-Forwarded-For: 2001:db8::1\n\n", 200, "", ""},
		{"of its network", url, proxy, "GET /limited/x HTTP/1.1\nHost: a\nX-Forwarded-For: 2001:db8::2\n\n", 200, "", ""},
		{"of its network, one too many", url, proxy, "GET /limited/x HTTP/1.1\nHost: a\nX-Forwarded-For: 2001:db8::3\n\n", 429, "", ""},
		{"of another network", url, proxy, "GET /limited/x HTTP/1.1\nHost: a\nX-Forwarded-For: 2001:db8:0:1::3\n\n", 200, "", ""},
		{"by a header", url, "", "GET /keyed/x HTTP/1.1\nHost: a\nX-Key: 1\n\n", 200, "", ""},
		{"by a header, one too many", url, "", "GET /keyed/x HTTP/1.1\nHost: a\nX-Key: 1\n\n", 429, "", ""},
		{"by another", url, "", "GET /keyed/x HTTP/1.1\nHost: a\nX-Key: 2\n\n", 200, "", ""},
	} {
		status, h, body := exchange(t, test.url, test.from, test.request)
		name, part, _ := strings.Cut(test.header, ": ")
		if status != test.status || !strings.Contains(body, test.body) || !strings.Contains(h.Get(name), part) {
			t.Errorf("%s: %d %q, %s %q; want %d, %q, %q", test.name, status, body, name, h.Get(name), test.status, test.body, test.header)
		}
	}

	// A reload gives nobody new requests.
	changed := strings.Replace(guarded, `rate = "1/h", burst = 2`, `rate = "2/h", burst = 2`, 1)
	if err := s.reloadTo(parse(t, dir, changed)); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := exchange(t, url, "", "GET /limited/x HTTP/1.1\nHost: a\n\n"); status != 429 {
		t.Errorf("after a reload a client that was refused gets %d", status)
	}

	if err := s.ReopenLogs(); err != nil { // writes what there is
		t.Fatal(err)
	}
	log, err := os.ReadFile(dir + "/access.log")
	for _, line := range []string{
		"127.0.0.1 jo http 200 /private/who", "127.0.0.1 ann http 200 /private/who", "203.0.113.7 - https 200 /who", "192.0.2.66 - http 403 /who", "127.0.0.1 - http 401 /private/who",
	} {
		if err != nil || !strings.Contains(string(log), line) {
			t.Errorf("the log has no line %q (%v):\n%s", line, err, log)
		}
	}
	if strings.Contains(string(log), "root") || strings.Contains(string(log), "jo http 401") {
		t.Errorf("the log believes who a client says it is:\n%s", log)
	}
}

// A connection that begins with a header of the PROXY protocol is its client's,
// for lists, limits, apps and the log; one without is closed.
func TestProxyProtocol(t *testing.T) {
	dir := guardedSite(t)
	text := strings.Replace(guarded, "deny =", "proxy_protocol = true\ndeny =", 1)
	s := launch(t, parse(t, dir, text), newFakeApps())
	url := s.url("127.0.0.1:0")
	const header = "PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\n"
	status, _, body := exchange(t, url, proxy, header+"GET /inside/who HTTP/1.1\nHost: a\n\n")
	if status != 200 || !strings.HasPrefix(body, "REMOTE_ADDR=192.0.2.1 ") {
		t.Errorf("with a header: %d %q", status, body)
	}
	if status, _, body := exchange(t, url, proxy, header+"GET /who HTTP/1.0\n\n"); status != 200 || !strings.Contains(body, "SERVER_NAME=198.51.100.1 SERVER_PORT=443") {
		t.Errorf("without a Host: %d %q", status, body)
	}
	// What a client says over a connection that is its own is not believed.
	if status, _, body := exchange(t, url, proxy, header+"GET /who HTTP/1.1\nHost: a\nX-Forwarded-For: 10.0.0.1\n\n"); status != 200 || !strings.HasPrefix(body, "REMOTE_ADDR=192.0.2.1 ") {
		t.Errorf("with a header and X-Forwarded-For: %d %q", status, body)
	}
	for from, request := range map[string]string{
		proxy:       "GET /who HTTP/1.1\nHost: a\n\n",
		"127.0.0.1": header + "GET /who HTTP/1.1\nHost: a\n\n",
	} {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		c, err := d.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(c, strings.ReplaceAll(request, "\n", "\r\n")) // it may be closed already
		if b, err := io.ReadAll(c); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("from %s, %.20q is answered with %q, %v", from, request, b, err)
		}
		c.Close()
	}
	eventually(t, "the log tells of a refused connection", func() bool { return strings.Contains(s.log.String(), "a connection is refused") })

	// The protocol is given up by a reload.
	if err := s.reloadTo(parse(t, dir, guarded)); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := exchange(t, url, "", "GET /who HTTP/1.1\nHost: a\n\n"); status != 200 {
		t.Errorf("after a reload without proxy_protocol: %d", status)
	}
	if err := s.reloadTo(parse(t, dir, text)); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := exchange(t, url, proxy, header+"GET /who HTTP/1.1\nHost: a\n\n"); status != 200 {
		t.Errorf("after a reload with it: %d", status)
	}
}

// Connections beyond the limit are told so, and there is room when one ends.
func TestConnectionLimits(t *testing.T) {
	dir := guardedSite(t)
	text := strings.Replace(guarded, "max_connections_per_client = 40", "max_connections = 4\nmax_connections_per_client = 2", 1)
	s := launch(t, parse(t, dir, text), newFakeApps())
	url := s.url("127.0.0.1:0")
	open := func(from string) (c net.Conn, status int) {
		t.Helper()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		c, err := d.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(c, "GET /who HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "G") // it is not idle: that would be given up; one that is refused may be closed
		return c, res.StatusCode
	}
	want := func(from string, status int) net.Conn {
		t.Helper()
		c, got := open(from)
		if got != status {
			t.Errorf("a connection from %s gets %d, want %d", from, got, status)
		}
		return c
	}
	first := want("127.0.0.1", 200)
	want("127.0.0.1", 200)
	want("127.0.0.1", 503)
	want("127.0.0.3", 200)
	want(proxy, 200) // stands for many, but is one in all
	want("127.0.0.3", 503)
	first.Close()
	eventually(t, "there is room again", func() bool {
		_, status := open("127.0.0.1")
		return status == 200
	})
}

// A route's own write_timeout cuts a client off that takes nothing of a response,
// and leaves the next response of a connection alone.
func TestWriteTimeoutOfRoute(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/files/small", "small")
	f, err := os.Create(dir + "/files/large")
	if err == nil {
		err = errors.Join(f.Truncate(64<<20), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	s := launch(t, parse(t, dir, `
[[site]]
listen = "127.0.0.1:0"
[[site.route]]
path = "/patient/*"
files = { root = "{dir}/files", strip = "/patient" }
[[site.route]]
files = { root = "{dir}/files" }
write_timeout = "300ms"
min_write_rate = "1KiB"
`), newFakeApps())
	url := s.url("127.0.0.1:0")
	open := func(path string) net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.WriteString(c, "GET /small HTTP/1.1\r\nHost: a\r\n\r\nGET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		return c
	}
	open("/large") // and reads nothing
	patient := open("/patient/large")
	eventually(t, "the client that takes nothing is cut off", func() bool { return s.Snapshot().Connections == 1 })
	in := bufio.NewReader(patient)
	for _, want := range []int64{5, 64 << 20} {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, res.Body); n != want || err != nil {
			t.Errorf("a client of the other route gets %d bytes of %d, %v", n, want, err)
		}
	}
}

// TLS begins behind the header of the PROXY protocol.
func TestProxyProtocolAndTLS(t *testing.T) {
	dir := t.TempDir()
	a := newAuthority(t)
	a.issue(t, dir, "a", false, "a.test")
	s := launch(t, parse(t, dir, `
[server]
trusted_proxies = "127.0.0.1"
[[site]]
listen = "127.0.0.1:0"
hosts = "a.test"
proxy_protocol = true
tls = { certificate = "{dir}/a.pem", key = "{dir}/a.key" }
[[site.route]]
app = "main"
[app.main]
wsgi = "one:app"
`), newFakeApps())
	_, address, _ := strings.Cut(s.url("127.0.0.1:0"), "://")
	for _, protocol := range []string{"http/1.1", "h2"} {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n"); err != nil {
			t.Fatal(err)
		}
		secure := tls.Client(c, &tls.Config{RootCAs: a.roots, ServerName: "a.test", NextProtos: []string{protocol}})
		transport := &http.Transport{ForceAttemptHTTP2: protocol == "h2", DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
			return secure, secure.Handshake()
		}}
		res, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Get("https://a.test/who")
		if err != nil {
			t.Fatalf("%s: %v", protocol, err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil || !strings.HasPrefix(string(body), "REMOTE_ADDR=192.0.2.1 HTTPS=on ") {
			t.Errorf("%s: %q, %v", res.Proto, body, err)
		}
		res.Body.Close()
		transport.CloseIdleConnections()
	}
}

// The page of an error is not refused for want of the room that its own request
// takes.
func TestLimitAndErrorPages(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/files/sorry.html", "sorry")
	s := launch(t, parse(t, dir, `
[[site]]
listen = "127.0.0.1:0"
error_pages = { "404" = "/sorry.html", "429" = "/sorry.html", "401" = "/sorry.html" }
[[site.route]]
path = "/private/*"
files = { root = "{dir}/files" }
basic_auth = { users = { jo = "$2y$05$xn.yxYIi6MsWZRzp0nrlA.wilWlXYn4Wn9kwWSk7NxVOg0Mk1KIsq" } }
[[site.route]]
files = { root = "{dir}/files" }
limit = { rate = "1/h", burst = 2, connections = 1 }
`), newFakeApps())
	url := s.url("127.0.0.1:0")
	wantGet(t, url+"/nothing", 404, "sorry")
	wantGet(t, url+"/sorry.html", 200, "sorry")
	wantGet(t, url+"/sorry.html", 429, "sorry")
	if status, h, body := exchange(t, url, "", "GET /sorry.html HTTP/1.1\nHost: a\n\n"); status != 429 || h.Get("Retry-After") == "" || body != "sorry" {
		t.Errorf("%d %v %q; want 429 with Retry-After", status, h, body)
	}
	// Another route's error comes to the page's limit like anything else.
	if status, h, body := exchange(t, url, "", "GET /private/x HTTP/1.1\nHost: a\n\n"); status != 401 || h.Get("WWW-Authenticate") == "" || h.Get("Retry-After") != "" || body != "401 Unauthorized" {
		t.Errorf("%d %v %q; want 401 with its challenge, and no page", status, h, body)
	}
}
