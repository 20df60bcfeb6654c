package gateway

import (
	"bufio"
	"crypto/tls"
	"errors"
	"net/http"
	"strings"
	"testing"
)

func request(t testing.TB, head string) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.ReplaceAll(head, "\n", "\r\n") + "\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	r.RemoteAddr = "192.0.2.1:4711"
	return r
}

func values(params []Param) map[string]string {
	m := map[string]string{}
	for _, p := range params {
		m[p.Name] = p.Value
	}
	return m
}

func TestAppendHTTP(t *testing.T) {
	r := request(t, `POST /app/a%20b?x=1 HTTP/1.1
Host: example.org:8080
Content-Type: text/plain
Content-Length: 3
Cookie: a=1
Cookie: b=2
X-List: one
X-List: two
Proxy: http://evil
Remote_User: root
Transfer-Foo: kept
Connection: X-List
Te: trailers
Expect: 100-continue`)
	params, err := AppendHTTP(nil, r, Target{ScriptName: "/app", PathInfo: "/a b", ContentLength: 3})
	if err != nil {
		t.Fatal(err)
	}
	got := values(params)
	if len(got) != len(params) {
		t.Errorf("a parameter comes twice: %v", params)
	}
	want := map[string]string{
		"REQUEST_METHOD": "POST", "SCRIPT_NAME": "/app", "PATH_INFO": "/a b", "QUERY_STRING": "x=1",
		"REQUEST_URI": "/app/a%20b?x=1", "SERVER_NAME": "example.org", "SERVER_PORT": "8080",
		"SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "192.0.2.1", "REMOTE_PORT": "4711", "REQUEST_SCHEME": "http",
		"HTTP_HOST": "example.org:8080", "CONTENT_LENGTH": "3", "CONTENT_TYPE": "text/plain",
		"HTTP_COOKIE": "a=1; b=2", "HTTP_X_LIST": "one, two", "HTTP_TRANSFER_FOO": "kept",
	}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s is %q, want %q", name, got[name], value)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s=%q should not be there", name, got[name])
		}
	}
}

func TestAppendHTTPDuplicateContentType(t *testing.T) {
	r := request(t, "GET / HTTP/1.1\nHost: x\nContent-Type: a/b\nContent-Type: c/d")
	if _, err := AppendHTTP(nil, r, Target{ContentLength: -1}); !errors.Is(err, ErrDuplicateContentType) {
		t.Errorf("got %v, want ErrDuplicateContentType", err)
	}
}

func TestServerName(t *testing.T) {
	for _, tt := range []struct {
		host string
		tls  bool
		name string
		port string
	}{
		{"example.org", false, "example.org", "80"},
		{"example.org", true, "example.org", "443"},
		{"example.org:81", true, "example.org", "81"},
		{"[2001:db8::1]:82", false, "2001:db8::1", "82"},
		{"[2001:db8::1]", false, "2001:db8::1", "80"},
		{"", false, "localhost", "80"},
	} {
		r := request(t, "GET / HTTP/1.0")
		r.Host = tt.host
		if tt.tls {
			r.TLS = &tls.ConnectionState{}
		}
		params, err := AppendHTTP(nil, r, Target{ContentLength: -1})
		if err != nil {
			t.Fatal(err)
		}
		got := values(params)
		if got["SERVER_NAME"] != tt.name || got["SERVER_PORT"] != tt.port {
			t.Errorf("host %q, TLS %v: %s port %s, want %s port %s", tt.host, tt.tls, got["SERVER_NAME"], got["SERVER_PORT"], tt.name, tt.port)
		}
		if _, ok := got["CONTENT_LENGTH"]; ok {
			t.Error("CONTENT_LENGTH without a body")
		}
		if got["HTTPS"] == "on" != tt.tls {
			t.Errorf("HTTPS is %q with TLS %v", got["HTTPS"], tt.tls)
		}
	}
}

func TestParseStatus(t *testing.T) {
	for status, want := range map[string]int{
		"200 OK": 200, "404": 404, "299 \xe9": 299, "999 x": 999,
		"": 0, "20": 0, "2000": 0, "abc": 0, "100 Continue": 0, "-20 x": 0, "200\tx": 0, "200 a\nb": 0, "200 a\x00": 0,
	} {
		got, err := ParseStatus(status)
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("ParseStatus(%q) = %d, %v, want %d", status, got, err, want)
		}
	}
}

func TestAppHeader(t *testing.T) {
	for _, tt := range []struct {
		name, value, canonical string
		keep, ok               bool
	}{
		{"content-type", "text/plain", "Content-Type", true, true},
		{"X-Latin", "caf\xe9\t", "X-Latin", true, true},
		{"connection", "close", "Connection", false, true},
		{"Transfer-Encoding", "chunked", "Transfer-Encoding", false, true},
		{"", "v", "", false, false},
		{"Bad Name", "v", "", false, false},
		{"Bad:Name", "v", "", false, false},
		{"Caf\xe9", "v", "", false, false},
		{"X", "a\rb", "", false, false},
		{"X", "a\nb", "", false, false},
		{"X", "a\x00b", "", false, false},
		{"X", "a\x7fb", "", false, false},
	} {
		canonical, keep, err := AppHeader(tt.name, tt.value)
		if canonical != tt.canonical || keep != tt.keep || (err == nil) != tt.ok {
			t.Errorf("AppHeader(%q, %q) = %q, %v, %v; want %q, %v, ok %v", tt.name, tt.value, canonical, keep, err, tt.canonical, tt.keep, tt.ok)
		}
	}
}

// FuzzAppendHTTP: whatever a client sends, every name is a safe one, none
// comes twice, and none of the server's own comes from a header.
func FuzzAppendHTTP(f *testing.F) {
	f.Add("X-Forwarded-For", "1.2.3.4")
	f.Add("Content_Length", "7")
	f.Add("Proxy", "x")
	f.Add("Content-Type", "text/plain; charset=\xff")
	f.Add("SCRIPT-NAME", "/evil")
	f.Fuzz(func(t *testing.T, name, value string) {
		r := request(t, "GET /p HTTP/1.1\nHost: h")
		r.Header[http.CanonicalHeaderKey(name)] = []string{value}
		params, err := AppendHTTP(nil, r, Target{PathInfo: "/p", ContentLength: -1})
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for i, p := range params {
			if seen[p.Name] {
				t.Errorf("%s comes twice", p.Name)
			}
			seen[p.Name] = true
			fromHeader := i >= 12
			if fromHeader && !strings.HasPrefix(p.Name, "HTTP_") && p.Name != "CONTENT_TYPE" {
				t.Errorf("header %q became %s", name, p.Name)
			}
			if p.Name == "HTTP_PROXY" || strings.Trim(p.Name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
				t.Errorf("header %q became %q", name, p.Name)
			}
		}
	})
}

func BenchmarkAppendHTTP(b *testing.B) {
	r := request(b, `GET /path?x=1 HTTP/1.1
Host: example.org
User-Agent: Mozilla/5.0
Accept: text/html
Accept-Language: en
Accept-Encoding: gzip
Cookie: sessionid=abcdef
Sec-Fetch-Mode: navigate
Upgrade-Insecure-Requests: 1`)
	var params []Param
	b.ReportAllocs()
	for b.Loop() {
		params, _ = AppendHTTP(params[:0], r, Target{PathInfo: "/path", ContentLength: -1})
	}
}
