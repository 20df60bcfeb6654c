package gateway

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// fileParams are the parameters of a file: NAME=value lines, after one that
// tells the request that a front server got.
func fileParams(t testing.TB, b []byte) (params []Param) {
	t.Helper()
	first, rest, _ := bytes.Cut(b, []byte("\n"))
	if !bytes.HasPrefix(first, []byte("# ")) {
		t.Fatalf("the first line is %q", first)
	}
	for line := range bytes.Lines(rest) {
		name, value, ok := strings.Cut(strings.TrimSuffix(string(line), "\n"), "=")
		if !ok {
			t.Fatalf("no parameter: %q", line)
		}
		params = append(params, Param{name, value})
	}
	return params
}

// What the front servers of Debian 12 sent for one and the same request,
//
//	GET /caf%C3%A9/a%20b%2Fc;d?x=1&y=%20 HTTP/1.1
//	Host: example.org:8080
//	User-Agent: test/1
//	Cookie: a=1
//	Cookie: b=2
//	X-List: one
//	X-List: two
//	Proxy: http://evil/
//	X_Under: u
//	X-Latin: caf\xe9
//	Authorization: Basic bWU6c2VjcmV0
//
// under various prefixes, and for a POST of "hello". nginx has its stock
// fastcgi_params, scgi_params and uwsgi_params.
func TestFrontServers(t *testing.T) {
	const path = "/café/a b/c;d"
	type want struct {
		protocol             string
		script               bool // it starts the program
		scriptName, pathInfo string
		derived              bool // no PATH_INFO came
		host, cookie         string
	}
	wants := map[string]want{
		"nginx-fastcgi":       {"fastcgi", false, "", path, true, "example.org", "a=1; b=2"}, // Debian's HTTP_HOST is $host
		"nginx-fastcgi-post":  {"fastcgi", false, "", path, true, "example.org", "a=1; b=2"},
		"nginx-fastcgi-split": {"fastcgi", false, "/split", path, false, "example.org", "a=1; b=2"},
		"nginx-scgi":          {"scgi", false, "", path, true, "example.org", "a=1; b=2"},
		"nginx-scgi-post":     {"scgi", false, "", path, true, "example.org", "a=1; b=2"},
		"nginx-uwsgi":         {"uwsgi", false, "", path, false, "example.org", "a=1; b=2"},
		"nginx-uwsgi-post":    {"uwsgi", false, "", path, false, "example.org", "a=1; b=2"},

		"lighttpd-fastcgi-mount":   {"fastcgi", false, "/app", path, false, "example.org:8080", "a=1; b=2"},
		"lighttpd-fastcgi-post":    {"fastcgi", false, "/app", path, false, "example.org:8080", "a=1; b=2"},
		"lighttpd-fastcgi-fixroot": {"fastcgi", false, "", "/fix" + path, false, "example.org:8080", "a=1; b=2"},
		// Without fix-root-scriptname an app at "/" gets its first segment as
		// SCRIPT_NAME. Nothing tells it from an app that is mounted there.
		"lighttpd-fastcgi-root": {"fastcgi", false, "/café", "/a b/c;d", false, "example.org:8080", "a=1; b=2"},
		"lighttpd-scgi-mount":   {"scgi", false, "/s", path, false, "example.org:8080", "a=1; b=2"},
		"lighttpd-cgi":          {"cgi", true, "/cgi/dump.sh", path, false, "example.org:8080", "a=1; b=2"},

		// Apache joins cookies by commas, itself.
		"apache-proxy_fcgi-root":   {"fastcgi", false, "", path, true, "example.org:8080", "a=1, b=2"},
		"apache-proxy_fcgi-mount":  {"fastcgi", false, "", "/app" + path, true, "example.org:8080", "a=1, b=2"},
		"apache-proxy_fcgi-post":   {"fastcgi", false, "", "/app" + path, true, "example.org:8080", "a=1, b=2"},
		"apache-proxy_scgi-mount":  {"scgi", false, "", "/s" + path, true, "example.org:8080", "a=1, b=2"},
		"apache-proxy_uwsgi-mount": {"uwsgi", false, "/u", path, false, "example.org:8080", "a=1, b=2"},
		"apache-mod_fcgid":         {"fastcgi", true, "/fcgid/dump.fcgi", path, false, "example.org:8080", "a=1, b=2"},
		"apache-cgi":               {"cgi", true, "/cgi/dump", path, false, "example.org:8080", "a=1, b=2"},

		"haproxy-fastcgi":          {"fastcgi", false, "", path, true, "example.org:8080", "a=1; b=2"},
		"haproxy-fastcgi-post":     {"fastcgi", false, "/app", path, false, "example.org:8080", "a=1; b=2"},
		"haproxy-fastcgi-pathinfo": {"fastcgi", false, "/app", path, false, "example.org:8080", "a=1; b=2"},
	}
	for file, b := range wireFiles(t, "fronts/*.params") {
		name := strings.TrimSuffix(filepath.Base(file), ".params")
		t.Run(name, func(t *testing.T) {
			w, ok := wants[name]
			if !ok {
				t.Fatal("nothing is said of this file")
			}
			delete(wants, name)
			params := fileParams(t, b)
			r, err := ToHTTP(context.Background(), Incoming{Protocol: w.protocol, Params: params, Script: w.script, Body: strings.NewReader("hello")})
			if err != nil {
				t.Fatal(err)
			}
			front := FrontOf(r.Context())
			if front.ScriptName != w.scriptName || front.PathInfo != w.pathInfo || front.HasPathInfo == w.derived || front.Protocol != w.protocol {
				t.Errorf("the path is %q + %q, told: %v", front.ScriptName, front.PathInfo, front.HasPathInfo)
			}
			first, _, _ := strings.Cut(string(b), "\n")
			method, uri, _ := strings.Cut(strings.TrimPrefix(first, "# "), " ")
			_, query, _ := strings.Cut(uri, "?")
			if r.Method != method || r.RequestURI != uri || r.URL.RawQuery != query || r.Proto != "HTTP/1.1" {
				t.Errorf("got %s %s (%s) %s", r.Method, r.RequestURI, r.URL.RawQuery, r.Proto)
			}
			if r.URL.Path != w.scriptName+w.pathInfo || r.URL.RequestURI() != uri {
				t.Errorf("the URL is %q, %q", r.URL.Path, r.URL.RequestURI())
			}
			if host, _, err := net.SplitHostPort(r.RemoteAddr); host != "127.0.0.1" || err != nil {
				t.Errorf("RemoteAddr is %q", r.RemoteAddr)
			}
			if r.Host != w.host || r.TLS != nil {
				t.Errorf("Host is %q, TLS %v", r.Host, r.TLS)
			}
			want := http.Header{"User-Agent": {"test/1"}, "Cookie": {w.cookie}, "X-List": {"one, two"}, "X-Latin": {"caf\xe9"}}
			if length, ok := r.Header["Content-Length"]; ok && slices.Equal(length, []string{"0"}) {
				r.Header.Del("Content-Length") // some say it
			}
			r.Header.Del("Authorization") // some pass it on
			if under := r.Header.Get("X-Under"); under != "" {
				want.Set("X-Under", "u") // lighttpd passes it for X-Under
			}
			body, err := io.ReadAll(r.Body)
			if method == "POST" {
				want.Set("Content-Type", "text/x-test")
				want.Set("Content-Length", "5")
				if r.ContentLength != 5 || string(body) != "hello" || err != nil {
					t.Errorf("the length is %d, the body %q, %v", r.ContentLength, body, err)
				}
			} else if r.ContentLength != 0 || len(body) != 0 || r.Body != http.NoBody {
				t.Errorf("the length is %d, the body %q", r.ContentLength, body)
			}
			if !reflect.DeepEqual(r.Header, want) {
				t.Errorf("the headers are %v, want %v", r.Header, want)
			}
			back, err := FromHTTP(r, mustSplit(t, r, ""))
			if err != nil {
				t.Fatal(err)
			}
			if user, _ := Lookup(params, "REMOTE_USER"); back.Param("REMOTE_USER") != user {
				t.Errorf("REMOTE_USER becomes %q, was %q", back.Param("REMOTE_USER"), user)
			}
			if _, ok := Lookup(back.Params, "HTTP_PROXY"); ok {
				t.Error("HTTP_PROXY is passed on")
			}
		})
	}
	for name := range wants {
		t.Errorf("there is no file %s.params", name)
	}
}

func mustSplit(t testing.TB, r *http.Request, mount string) Target {
	t.Helper()
	target, ok := Split(r, mount)
	if !ok {
		t.Fatalf("%s is not under %q", r.URL.Path, mount)
	}
	return target
}

// p makes parameters of "NAME=value".
func p(lines ...string) (params []Param) {
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		params = append(params, Param{name, value})
	}
	return params
}

func TestToHTTPPath(t *testing.T) {
	for _, tt := range []struct {
		name                          string
		in                            Incoming
		scriptName, pathInfo, escaped string
	}{
		{"both", Incoming{Params: p("SCRIPT_NAME=/app", "PATH_INFO=/a b")}, "/app", "/a b", "/app/a%20b"},
		{"an empty path", Incoming{Params: p("SCRIPT_NAME=/app", "PATH_INFO=")}, "/app", "", "/app"},
		{"the spelling of the client", Incoming{Params: p("SCRIPT_NAME=/app", "PATH_INFO=/a/b", "REQUEST_URI=/app/a%2fb?x")}, "/app", "/a/b", "/app/a%2fb"},
		{"another path than the client's", Incoming{Params: p("SCRIPT_NAME=/app", "PATH_INFO=/new path", "REQUEST_URI=/old%20path")}, "/app", "/new path", "/app/new%20path"},
		{"a spelling that cannot be decoded", Incoming{Params: p("PATH_INFO=/a", "REQUEST_URI=/%zz")}, "", "/a", "/a"},
		{"nothing but DOCUMENT_URI", Incoming{Params: p("SCRIPT_NAME=/a", "DOCUMENT_URI=/a", "REQUEST_URI=/x")}, "", "/a", "/a"},
		{"nothing but REQUEST_URI", Incoming{Params: p("SCRIPT_NAME=/a b", "REQUEST_URI=/a%20b?c")}, "", "/a b", "/a%20b"},
		{"REQUEST_URI in absolute form", Incoming{Params: p("REQUEST_URI=http://example.org/a?b")}, "", "/a", "/a"},
		{"without a path", Incoming{Params: p("REQUEST_URI=http://example.org?b")}, "", "/", "/"},
		{"a URL in the path", Incoming{Params: p("REQUEST_URI=/http://example.org/a")}, "", "/http://example.org/a", "/http://example.org/a"},
		{"nothing but SCRIPT_NAME", Incoming{Params: p("SCRIPT_NAME=/a")}, "", "/a", "/a"},
		{"a script without PATH_INFO", Incoming{Script: true, Params: p("SCRIPT_NAME=/cgi-bin/p", "REQUEST_URI=/cgi-bin/p")}, "/cgi-bin/p", "", "/cgi-bin/p"},
		{"lighttpd's root", Incoming{Params: p("SCRIPT_NAME=/", "PATH_INFO=a")}, "", "/a", "/a"},
		{"the root alone", Incoming{Params: p("SCRIPT_NAME=/", "PATH_INFO=")}, "", "/", "/"},
		{"two of a name", Incoming{Params: p("PATH_INFO=/first", "PATH_INFO=/last")}, "", "/last", "/last"},
		{"bytes that are no UTF-8", Incoming{Params: p("REQUEST_URI=/caf%E9")}, "", "/caf\xe9", "/caf%E9"},
		{"decoded once", Incoming{Params: p("REQUEST_URI=/%2561")}, "", "/%61", "/%2561"},
		{"a plus is a plus", Incoming{Params: p("REQUEST_URI=/a+b")}, "", "/a+b", "/a+b"},
		{"what package url would write in another way", Incoming{Params: p("REQUEST_URI=/a!b(c)")}, "", "/a!b(c)", "/a!b(c)"},
		{"OPTIONS *", Incoming{Params: p("REQUEST_URI=*")}, "", "*", "*"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.in.Params = append(tt.in.Params, Param{"REQUEST_METHOD", "GET"})
			r, err := ToHTTP(context.Background(), tt.in)
			if err != nil {
				t.Fatal(err)
			}
			front := FrontOf(r.Context())
			if _, told := Lookup(tt.in.Params, "PATH_INFO"); front.HasPathInfo != (told || tt.in.Script) {
				t.Errorf("HasPathInfo is %v", front.HasPathInfo)
			}
			if front.ScriptName != tt.scriptName || front.PathInfo != tt.pathInfo {
				t.Errorf("got %q + %q, want %q + %q", front.ScriptName, front.PathInfo, tt.scriptName, tt.pathInfo)
			}
			if r.URL.Path != tt.scriptName+tt.pathInfo || r.URL.EscapedPath() != tt.escaped {
				t.Errorf("the URL is %q, %q; want %q", r.URL.Path, r.URL.EscapedPath(), tt.escaped)
			}
		})
	}
}

func TestToHTTPQuery(t *testing.T) {
	for _, tt := range []struct {
		params     []Param
		query, uri string
	}{
		{p("QUERY_STRING=a=b", "REQUEST_URI=/p?a=b"), "a=b", "/p?a=b"},
		{p("QUERY_STRING=new", "REQUEST_URI=/p?old"), "new", "/p?old"},
		{p("QUERY_STRING=", "REQUEST_URI=/p?old"), "", "/p?old"}, // rewritten to none
		{p("REQUEST_URI=/p?a?b"), "a?b", "/p?a?b"},
		{p("QUERY_STRING=a", "PATH_INFO=/x y"), "a", "/x%20y?a"},
		{p("REQUEST_URI=/p?"), "", "/p?"},
		{p("PATH_INFO="), "", "/"},
	} {
		r, err := ToHTTP(context.Background(), Incoming{Params: append(tt.params, Param{"REQUEST_METHOD", "GET"})})
		if err != nil {
			t.Fatal(err)
		}
		if r.URL.RawQuery != tt.query || r.RequestURI != tt.uri {
			t.Errorf("%v: the query is %q, the URI %q; want %q, %q", tt.params, r.URL.RawQuery, r.RequestURI, tt.query, tt.uri)
		}
	}
	r, err := ToHTTP(context.Background(), Incoming{Params: p("REQUEST_METHOD=GET", "REQUEST_URI=/p?")})
	if err != nil || !r.URL.ForceQuery {
		t.Errorf("the empty query of /p? is lost: %v", err)
	}
}

func TestToHTTPServer(t *testing.T) {
	for _, tt := range []struct {
		params []Param
		host   string
		tls    bool
		proto  string
		remote string
	}{
		{p("HTTP_HOST=a:1", "SERVER_NAME=b", "SERVER_PORT=2"), "a:1", false, "HTTP/1.0", ""},
		{p("SERVER_NAME=b", "SERVER_PORT=2"), "b:2", false, "HTTP/1.0", ""},
		{p("SERVER_NAME=b", "SERVER_PORT=80", "SERVER_PROTOCOL=HTTP/1.1"), "b", false, "HTTP/1.1", ""},
		{p("SERVER_NAME=b", "SERVER_PORT=443", "HTTPS=on", "SERVER_PROTOCOL=HTTP/2.0"), "b", true, "HTTP/2.0", ""},
		{p("SERVER_NAME=b", "SERVER_PORT=443", "HTTPS=off"), "b:443", false, "HTTP/1.0", ""},
		{p("SERVER_NAME=::1", "SERVER_PORT=81"), "[::1]:81", false, "HTTP/1.0", ""},
		{p("SERVER_NAME=[::1]", "SERVER_PORT=80"), "[::1]", false, "HTTP/1.0", ""},
		{p("SERVER_NAME=b:8080", "SERVER_PORT=81"), "b:8080", false, "HTTP/1.0", ""}, // HAProxy's
		{p("SERVER_NAME=[::1]:8080", "SERVER_PORT=81"), "[::1]:8080", false, "HTTP/1.0", ""},
		{p("HTTPS=1"), "", true, "HTTP/1.0", ""},
		{p("HTTPS=ON"), "", true, "HTTP/1.0", ""},
		{p("HTTPS="), "", false, "HTTP/1.0", ""},
		{p("HTTPS=0"), "", false, "HTTP/1.0", ""},
		{p("HTTPS=Off"), "", false, "HTTP/1.0", ""},
		{p("HTTPS=on", "REQUEST_SCHEME=http"), "", true, "HTTP/1.0", ""},
		{p("REQUEST_SCHEME=https"), "", true, "HTTP/1.0", ""},
		{p("SERVER_PROTOCOL=INCLUDED"), "", false, "HTTP/1.0", ""},
		{p("REMOTE_ADDR=192.0.2.1", "REMOTE_PORT=99"), "", false, "HTTP/1.0", "192.0.2.1:99"},
		{p("REMOTE_ADDR=2001:db8::1", "REMOTE_PORT=99"), "", false, "HTTP/1.0", "[2001:db8::1]:99"},
		{p("REMOTE_ADDR=192.0.2.1"), "", false, "HTTP/1.0", "192.0.2.1:0"},
	} {
		r, err := ToHTTP(context.Background(), Incoming{Params: append(tt.params, Param{"REQUEST_METHOD", "GET"})})
		if err != nil {
			t.Fatal(err)
		}
		if r.Host != tt.host || (r.TLS != nil) != tt.tls || r.Proto != tt.proto || r.RemoteAddr != tt.remote {
			t.Errorf("%v: host %q, TLS %v, %s, from %q", tt.params, r.Host, r.TLS != nil, r.Proto, r.RemoteAddr)
		}
		if major, minor, _ := http.ParseHTTPVersion(r.Proto); r.ProtoMajor != major || r.ProtoMinor != minor {
			t.Errorf("%v: %s is %d.%d", tt.params, r.Proto, r.ProtoMajor, r.ProtoMinor)
		}
	}
	near, far := net.Pipe()
	defer far.Close()
	defer near.Close()
	r, err := ToHTTP(context.Background(), Incoming{Params: p("REQUEST_METHOD=GET"), Conn: near})
	if err != nil || r.RemoteAddr != near.RemoteAddr().String() {
		t.Errorf("from %q, %v; want the connection's", r.RemoteAddr, err)
	}
}

func TestToHTTPHeaders(t *testing.T) {
	r, err := ToHTTP(context.Background(), Incoming{Params: p(
		"REQUEST_METHOD=GET",
		"HTTP_X_ONE=1",
		"HTTP_COOKIE=a=1", "HTTP_COOKIE=b=2", "HTTP_COOKIE=c=3",
		"HTTP_ACCEPT=a", "HTTP_ACCEPT=b",
		"HTTP_X_EMPTY=",
		"HTTP_=nothing",
		"HTTP_X Y=no token",
		"HTTP_CAF\xc9=no token",
		"HTTP_X.Y=a token",
		"HTTP_PROXY=http://evil/", "HTTP_proxy=http://evil/", "HTTP_Proxy=http://evil/",
		"HTTP_CONNECTION=close", "HTTP_connection=close", "HTTP_TRANSFER_ENCODING=chunked", "HTTP_Transfer-Encoding=chunked",
		"HTTP_TE=trailers", "HTTP_UPGRADE=x", "HTTP_KEEP_ALIVE=1", "HTTP_TRAILER=X", "HTTP_PROXY_CONNECTION=x", "HTTP_EXPECT=100-continue",
		"HTTP_CONTENT_TYPE=evil", "HTTP_content_type=evil", "HTTP_CONTENT_LENGTH=7", "HTTP_content_length=7", "HTTP_host=evil",
		"CONTENT_TYPE=text/plain",
		"HTTP_HOST=first", "HTTP_HOST=last",
		"REMOTE_USER=me", "X_ONE=2",
	)})
	if err != nil {
		t.Fatal(err)
	}
	want := http.Header{"X-One": {"1"}, "Cookie": {"a=1; b=2; c=3"}, "Accept": {"a, b"}, "X-Empty": {""}, "X.y": {"a token"}, "Content-Type": {"text/plain"}}
	if !reflect.DeepEqual(r.Header, want) {
		t.Errorf("the headers are\n%v, want\n%v", r.Header, want)
	}
	if r.Host != "last" {
		t.Errorf("the host is %q", r.Host)
	}
	r.Header.Add("X-One", "mine") // the values of one header are not those of the next
	if r.Header.Get("Accept") != "a, b" || r.Header.Get("X-Empty") != "" {
		t.Errorf("adding to a header changes others: %v", r.Header)
	}
}

// The cost of a header that comes again and again grows with the size of what
// came, not with its square.
func TestToHTTPRepeatedHeader(t *testing.T) {
	const n = 20_000
	in := Incoming{Params: p("REQUEST_METHOD=GET")}
	for range n {
		in.Params = append(in.Params, Param{"HTTP_A", "b"})
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, err := ToHTTP(context.Background(), in)
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Repeat("b, ", n-1) + "b"; r.Header.Get("A") != want {
		t.Errorf("the header has %d bytes, want %d", len(r.Header.Get("A")), len(want))
	}
	if size := after.TotalAlloc - before.TotalAlloc; size > 500*n {
		t.Errorf("%d bytes were allocated for %d headers", size, n)
	}
}

func TestToHTTPBody(t *testing.T) {
	for _, tt := range []struct {
		name     string
		params   []Param
		streamed bool
		length   int64
		body     bool
	}{
		{"none", nil, false, 0, false},
		{"empty", p("CONTENT_LENGTH="), false, 0, false},
		{"zero", p("CONTENT_LENGTH=0"), false, 0, false},
		{"some", p("CONTENT_LENGTH=5"), false, 5, true},
		{"the same twice", p("CONTENT_LENGTH=5", "CONTENT_LENGTH=5"), false, 5, true},
		{"streamed", nil, true, -1, true},
		{"streamed with a length", p("CONTENT_LENGTH=5"), true, 5, true},
		{"streamed and empty", p("CONTENT_LENGTH=0"), true, 0, false},
	} {
		r, err := ToHTTP(context.Background(), Incoming{Params: append(tt.params, Param{"REQUEST_METHOD", "POST"}), Body: strings.NewReader("hello"), Streamed: tt.streamed})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if b, err := io.ReadAll(r.Body); r.ContentLength != tt.length || (len(b) > 0) != tt.body || err != nil {
			t.Errorf("%s: a length of %d and %q, %v", tt.name, r.ContentLength, b, err)
		}
	}
}

func TestToHTTPRefuses(t *testing.T) {
	for name, params := range map[string][]Param{
		"no method":              p("PATH_INFO=/"),
		"an empty method":        p("REQUEST_METHOD="),
		"a method with a blank":  p("REQUEST_METHOD=GET /"),
		"a method with a break":  p("REQUEST_METHOD=GET\r\n"),
		"NUL in the path":        p("REQUEST_METHOD=GET", "PATH_INFO=/a\x00b"),
		"LF in the path":         p("REQUEST_METHOD=GET", "PATH_INFO=/a\nb"),
		"LF in the script":       p("REQUEST_METHOD=GET", "SCRIPT_NAME=/a\nb", "PATH_INFO="),
		"LF in DOCUMENT_URI":     p("REQUEST_METHOD=GET", "DOCUMENT_URI=/a\nb"),
		"an encoded LF":          p("REQUEST_METHOD=GET", "REQUEST_URI=/a%0ab"),
		"an encoded NUL":         p("REQUEST_METHOD=GET", "REQUEST_URI=/a%00b"),
		"a bad encoding":         p("REQUEST_METHOD=GET", "REQUEST_URI=/a%zzb"),
		"CR in the URI":          p("REQUEST_METHOD=GET", "PATH_INFO=/", "REQUEST_URI=/a\rb"),
		"DEL in the query":       p("REQUEST_METHOD=GET", "QUERY_STRING=\x7f"),
		"LF in the host":         p("REQUEST_METHOD=GET", "HTTP_HOST=a\nb"),
		"LF in the server name":  p("REQUEST_METHOD=GET", "SERVER_NAME=a\nb"),
		"LF in a header":         p("REQUEST_METHOD=GET", "HTTP_X=a\nb"),
		"CR in a second header":  p("REQUEST_METHOD=GET", "HTTP_X=a", "HTTP_X=a\rb"),
		"NUL in a header":        p("REQUEST_METHOD=GET", "HTTP_X=a\x00b"),
		"LF in the content type": p("REQUEST_METHOD=GET", "CONTENT_TYPE=a\nb"),
		"LF in the address":      p("REQUEST_METHOD=GET", "REMOTE_ADDR=a\nb"),
		"LF in the port":         p("REQUEST_METHOD=GET", "REMOTE_ADDR=a", "REMOTE_PORT=1\n2"),
		"a length of words":      p("REQUEST_METHOD=GET", "CONTENT_LENGTH=five"),
		"a negative length":      p("REQUEST_METHOD=GET", "CONTENT_LENGTH=-5"),
		"two lengths":            p("REQUEST_METHOD=GET", "CONTENT_LENGTH=5", "CONTENT_LENGTH=6"),
		"two content types":      p("REQUEST_METHOD=GET", "CONTENT_TYPE=a/b", "CONTENT_TYPE=c/d"),
	} {
		if r, err := ToHTTP(context.Background(), Incoming{Params: params}); err == nil {
			t.Errorf("%s: taken as %s %s", name, r.Method, r.URL)
		}
	}
	if _, err := ToHTTP(context.Background(), Incoming{Role: Filter, Params: p("REQUEST_METHOD=GET", "FCGI_DATA_LENGTH=x")}); err == nil {
		t.Error("a bad length of a filter's data is taken")
	}
}

func TestToHTTPFront(t *testing.T) {
	type key struct{}
	ctx := context.WithValue(context.Background(), key{}, "value")
	ctx, cancel := context.WithCancel(ctx)
	data, stderr := strings.NewReader("data"), &bytes.Buffer{}
	params := p("REQUEST_METHOD=GET", "FCGI_DATA_LENGTH=4", "REMOTE_USER=me")
	r, err := ToHTTP(ctx, Incoming{Protocol: "fastcgi", Role: Filter, Params: params, Data: data, Stderr: stderr})
	if err != nil {
		t.Fatal(err)
	}
	front := FrontOf(r.Context())
	if front.Role != Filter || front.Data != data || front.DataLength != 4 || front.Stderr != stderr || !reflect.DeepEqual(front.Params, params) {
		t.Errorf("the front is %+v", front)
	}
	if r.Context().Value(key{}) != "value" || FrontOf(context.Background()) != nil {
		t.Error("the context is not the one that was given")
	}
	child, stop := context.WithCancel(r.Context())
	defer stop()
	if FrontOf(child) != front {
		t.Error("the front is not found in a context of its context")
	}
	cancel()
	if <-child.Done(); !errors.Is(r.Context().Err(), context.Canceled) {
		t.Error("the context's end is not seen")
	}
}

func TestSplit(t *testing.T) {
	plain := func(path string) *http.Request { return &http.Request{URL: &url.URL{Path: path}} }
	front, err := ToHTTP(context.Background(), Incoming{Params: p("REQUEST_METHOD=GET", "SCRIPT_NAME=/app", "PATH_INFO=/a")})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		r                    *http.Request
		mount                string
		scriptName, pathInfo string
		ok                   bool
	}{
		{plain("/a/b"), "", "", "/a/b", true},
		{plain("/a/b"), "/a", "/a", "/b", true},
		{plain("/a"), "/a", "/a", "", true},
		{plain("/a/"), "/a", "/a", "/", true},
		{plain("/ab"), "/a", "", "", false},
		{plain("/b"), "/a", "", "", false},
		{plain("*"), "", "", "*", true},
		{front, "", "/app", "/a", true},
		{front, "/app/a", "/app/a", "", true}, // ours goes before the front's
		{front, "/other", "", "", false},
	} {
		target, ok := Split(tt.r, tt.mount)
		if ok != tt.ok || target.ScriptName != tt.scriptName || target.PathInfo != tt.pathInfo || ok && target.ContentLength != -1 {
			t.Errorf("%s under %q: %+v, %v", tt.r.URL.Path, tt.mount, target, ok)
		}
	}
}

// What a front server said goes on, but for what only we know.
func TestFromHTTPFront(t *testing.T) {
	r, err := ToHTTP(context.Background(), Incoming{Params: p("REQUEST_METHOD=POST", "REQUEST_URI=/app/a?q", "QUERY_STRING=q", "SCRIPT_NAME=/app", "PATH_INFO=/a",
		"CONTENT_LENGTH=5", "CONTENT_TYPE=a/b", "REMOTE_USER=first", "REMOTE_USER=last", "OWN=1", "HTTP_X_A=1", "HTTP_PROXY=evil", "=nameless"), Body: strings.NewReader("hello")})
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Added", "by a handler")
	target := mustSplit(t, r, "")
	target.ContentLength = 5
	req, err := FromHTTP(r, target)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"REQUEST_METHOD": "POST", "REQUEST_URI": "/app/a?q", "QUERY_STRING": "q", "SCRIPT_NAME": "/app", "PATH_INFO": "/a",
		"CONTENT_LENGTH": "5", "CONTENT_TYPE": "a/b", "REMOTE_USER": "last", "OWN": "1", "HTTP_X_A": "1", "HTTP_X_ADDED": "by a handler",
		"GATEWAY_INTERFACE": "CGI/1.1", "SERVER_SOFTWARE": "millrace"}
	if got := values(req.Params); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if b, err := io.ReadAll(req.Body); string(b) != "hello" || err != nil || req.ContentLength != 5 {
		t.Errorf("the body is %q, %v, of %d bytes", b, err, req.ContentLength)
	}
}

// FuzzToHTTP: whatever a front server says, the request that is made of it is
// one that net/http could have read, and says the same when it is sent on.
func FuzzToHTTP(f *testing.F) {
	for _, b := range wireFiles(f, "fronts/*.params") {
		_, rest, _ := bytes.Cut(b, []byte("\n"))
		f.Add(bytes.ReplaceAll(rest, []byte("\n"), []byte("\x00")), false, false)
	}
	f.Add([]byte("REQUEST_METHOD=GET\x00HTTP_A=b\x00HTTP_A=c\x00CONTENT_LENGTH=5\x00SCRIPT_NAME=/"), true, true)
	f.Fuzz(func(t *testing.T, b []byte, script, streamed bool) {
		r, err := ToHTTP(context.Background(), Incoming{Params: p(strings.Split(string(b), "\x00")...), Script: script, Streamed: streamed, Body: strings.NewReader("")})
		if err != nil {
			return
		}
		front := FrontOf(r.Context())
		if r.Method == "" || r.URL == nil || r.Body == nil || r.URL.Path != front.ScriptName+front.PathInfo {
			t.Fatalf("not whole: %+v", r)
		}
		for _, s := range []string{r.Method, r.Host, r.RequestURI, r.URL.Path, r.URL.RawQuery, r.Proto, r.RemoteAddr} {
			if hasControl(s) {
				t.Errorf("control character in %q", s)
			}
		}
		for name, values := range r.Header {
			if len(values) != 1 || breaksLine(values[0]) || name != http.CanonicalHeaderKey(name) || !isToken(name) {
				t.Errorf("header %q: %q", name, values)
			}
			if cgi, ok := wellKnown[name]; ok && cgi == "" && name != "Content-Length" {
				t.Errorf("header %q is passed on", name)
			}
		}
		req, err := FromHTTP(r, mustSplit(t, r, ""))
		if err != nil {
			t.Fatal(err)
		}
		again, err := ToHTTP(context.Background(), Incoming{Params: req.Params, Script: script})
		if err != nil {
			t.Fatal(err)
		}
		for name := range r.Header {
			if strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-") != "" || name == "Content-Length" {
				delete(r.Header, name) // never sent, or the target's
			}
		}
		if again.Method != r.Method || again.Host != r.Host || !reflect.DeepEqual(again.Header, r.Header) || again.URL.Path != r.URL.Path && front.HasPathInfo {
			t.Errorf("sent on, it becomes\n%+v, was\n%+v", again, r)
		}
	})
}

// FuzzRoundTrip: an HTTP request that crosses a gateway protocol arrives as it
// was sent.
func FuzzRoundTrip(f *testing.F) {
	for _, head := range []string{
		"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
		"POST /caf%C3%A9/a%2Fb?x=1&y=%20 HTTP/1.1\r\nHost: h:8080\r\nContent-Length: 5\r\nContent-Type: a/b\r\nCookie: a=1; b=2\r\n\r\nhello",
		"GET /? HTTP/1.0\r\nHost: [::1]:80\r\nX-Latin: caf\xe9\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: h\r\nAccept: a\r\nAccept: b\r\nCookie: a\r\nCookie: b\r\n\r\n",
		"GET http://example.org/a?b HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET //a/../b;c=d/%2e%2E HTTP/1.1\r\nHost: h\r\nA_b: c\r\nProxy: x\r\nConnection: close\r\n\r\n",
		"GET /%00 HTTP/1.1\r\nHost: h\r\n\r\n",
	} {
		f.Add([]byte(head))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
		if err != nil || r.Method == "CONNECT" || r.URL.Opaque != "" || r.Host == "" || hasControl(r.Host) || len(r.Header["Content-Type"]) > 1 {
			return
		}
		r.RemoteAddr = "192.0.2.1:4711"
		for name, values := range r.Header { // as AppendHTTP says
			cgi, ok := cgiName(name)
			switch {
			case !ok:
				delete(r.Header, name)
			case cgi == "HTTP_COOKIE":
				r.Header[name] = []string{strings.Join(values, "; ")}
			default:
				r.Header[name] = []string{strings.Join(values, ", ")}
			}
			for _, value := range r.Header[name] {
				if breaksLine(value) {
					return // no server takes it
				}
			}
		}
		target := mustSplit(t, r, "")
		target.ContentLength = r.ContentLength
		req, err := FromHTTP(r, target)
		if err != nil {
			if hasControl(r.URL.Path) {
				return
			}
			t.Fatal(err)
		}
		if hasControl(r.RequestURI) || hasControl(r.URL.RawQuery) {
			return
		}
		got, err := ToHTTP(context.Background(), Incoming{Protocol: "test", Params: req.Params, Body: req.Body})
		if err != nil {
			t.Fatal(err)
		}
		if r.ContentLength > 0 {
			r.Header.Set("Content-Length", req.Param("CONTENT_LENGTH"))
		}
		got.Header.Del("Content-Length")
		r.Header.Del("Content-Length")
		if values, ok := r.Header["Content-Type"]; ok && values[0] == "" {
			delete(r.Header, "Content-Type") // an empty one is none
		}
		if got.Method != r.Method || got.RequestURI != r.RequestURI || got.Host != r.Host || got.RemoteAddr != r.RemoteAddr ||
			got.Proto != r.Proto || max(got.ContentLength, 0) != max(r.ContentLength, 0) {
			t.Errorf("got\n%+v, want\n%+v", got, r)
		}
		if got.URL.Path != r.URL.Path || got.URL.EscapedPath() != r.URL.EscapedPath() || got.URL.RawQuery != r.URL.RawQuery || got.URL.ForceQuery != r.URL.ForceQuery {
			t.Errorf("the URL is %#v, want %#v", got.URL, r.URL)
		}
		if !reflect.DeepEqual(got.Header, r.Header) {
			t.Errorf("the headers are %q, want %q", got.Header, r.Header)
		}
	})
}
