package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// millrace runs a command line in this process.
func millrace(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = Main{}.Run(t.Context(), args, &out, &errs)
	return status, out.String(), errs.String()
}

var gatewaySchemes = []string{"fcgi", "scgi", "uwsgi", "ajp"}

func TestRequest(t *testing.T) {
	file := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(file, bytes.Repeat([]byte("x"), 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		uri  string
		args []string
		want string // of stdout; a final … is any rest
	}{
		{"plain", "/a%20b/?x=1", nil, "GET /a%20b/?x=1 host=HOST type= length=0 body=\n"},
		{"no path", "", nil, "GET / host=HOST type= length=0 body=\n"},
		{"method", "/", []string{"-X", "DELETE"}, "DELETE / host=HOST type= length=0 body=\n"},
		{"data", "/", []string{"-d", "a=1"}, "POST / host=HOST type=application/x-www-form-urlencoded length=3 body=a=1\n"},
		{"empty data", "/", []string{"-d", ""}, "POST / host=HOST type=application/x-www-form-urlencoded length=0 body=\n"},
		{"data and headers", "/", []string{"-X", "PATCH", "-H", "Content-Type: text/plain", "-d", "@" + file, "-H", "Host: example.org"},
			"PATCH / host=example.org type=text/plain length=3145728 body=xxx…"},
		{"upload", "/size", []string{"-T", file}, "3145728 <nil>\n"},
		{"large response", "/big", nil, strings.Repeat("0123456789abcdef", 32*4096)},
		{"no agent", "/", []string{"-i", "-H", "User-Agent:"}, "STATUS 200 OK\nContent-Type: text/plain\nX-Agent: \n\nGET /…"},
		{"agent", "/", []string{"-i"}, "STATUS 200 OK\nContent-Type: text/plain\nX-Agent: millrace/" + version + "\n\nGET /…"},
		{"head", "/status/200", []string{"-I"}, "STATUS 200 OK\nContent-Type: text/plain\n\n"},
		{"not found", "/status/404", []string{"-i"}, "STATUS 404 Not Found\nContent-Type: text/plain\n\n"},
		{"no content", "/status/204", []string{"-i"}, "STATUS 204 No Content\nContent-Type: text/plain\n\n"},
		{"redirect", "/status/302", []string{"-i"}, "STATUS 302 Found\nContent-Type: text/plain\n\n"},
	}
	for _, scheme := range append([]string{"http"}, gatewaySchemes...) {
		for _, network := range []string{"tcp", "unix"} {
			base := startBackend(t, scheme, network, backendHandler())
			for _, test := range tests {
				t.Run(scheme+"/"+network+"/"+test.name, func(t *testing.T) {
					args := append([]string{"request", at(base, test.uri)}, test.args...)
					if scheme == "ajp" {
						args = append(args, "--secret", backendSecret)
					}
					host, first := "127.0.0.1", "Status:"
					if network == "unix" {
						host = "localhost"
					} else if scheme == "http" {
						host = strings.TrimPrefix(base, "http://")
					}
					if scheme == "http" {
						first = "HTTP/1.1"
					}
					want := strings.NewReplacer("HOST", host, "STATUS", first).Replace(test.want)
					status, stdout, stderr := millrace(t, args...)
					got := dropHeaders(stdout, "Date", "Content-Length", "Connection")
					start, open := strings.CutSuffix(want, "…")
					if status != 0 || stderr != "" || !open && got != want || !strings.HasPrefix(got, start) {
						t.Errorf("status %d, stderr %q\n%.300q, want\n%.300q", status, stderr, got, want)
					}
				})
			}
		}
	}
}

// dropHeaders drops lines that are not the same each time.
func dropHeaders(text string, names ...string) string {
	if strings.Count(text, "\n") > 100 {
		return text
	}
	var kept []string
	for _, line := range strings.SplitAfter(text, "\n") {
		drop := false
		for _, name := range names {
			drop = drop || strings.HasPrefix(line, name+": ")
		}
		if !drop {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

func TestRequestParams(t *testing.T) {
	base := startBackend(t, "fcgi", "unix", backendHandler())
	tests := []struct {
		args []string
		has  []string
		not  []string
	}{
		{nil, []string{"REQUEST_METHOD=GET", "SCRIPT_NAME=", "PATH_INFO=/params", "QUERY_STRING=x=1", "REQUEST_URI=/params?x=1", "SERVER_NAME=localhost",
			"SERVER_PORT=80", "SERVER_PROTOCOL=HTTP/1.1", "REMOTE_ADDR=127.0.0.1", "GATEWAY_INTERFACE=CGI/1.1", "HTTP_HOST=localhost", "FCGI_ROLE=RESPONDER"}, []string{"CONTENT_LENGTH"}},
		{[]string{"-P", "REMOTE_USER=jo=anna", "-P", "SERVER_NAME=example.org"}, []string{"REMOTE_USER=jo=anna", "SERVER_NAME=example.org"}, []string{"SERVER_NAME=localhost"}},
		{[]string{"-P", "EMPTY="}, []string{"EMPTY="}, nil},
		{[]string{"--no-param", "PATH_INFO", "--no-param", "SERVER_SOFTWARE"}, []string{"SCRIPT_NAME="}, []string{"PATH_INFO", "SERVER_SOFTWARE"}},
		{[]string{"-P", "SCRIPT_FILENAME=/srv/a.php"}, []string{"SCRIPT_FILENAME=/srv/a.php", "SCRIPT_NAME=/params"}, []string{"PATH_INFO"}},
		{[]string{"-P", "SCRIPT_FILENAME=/srv/a.php", "-P", "PATH_INFO=/params"}, []string{"SCRIPT_NAME=", "PATH_INFO=/params"}, nil},
		{[]string{"-H", "X-A: 1", "-H", "x-a: 2", "-H", "Cookie: a=1", "-H", "Cookie: b=2"}, []string{"HTTP_X_A=1, 2", "HTTP_COOKIE=a=1; b=2"}, nil},
		{[]string{"-d", "", "-H", "Content-Type:"}, []string{"CONTENT_LENGTH=0"}, []string{"CONTENT_TYPE"}},
	}
	for _, test := range tests {
		status, stdout, stderr := millrace(t, append([]string{"request", at(base, "/params?x=1")}, test.args...)...)
		if status != 0 || stderr != "" {
			t.Errorf("%v: status %d, %s", test.args, status, stderr)
		}
		lines := "\n" + stdout
		for _, want := range test.has {
			if !strings.Contains(lines, "\n"+want+"\n") {
				t.Errorf("%v: no %s in\n%s", test.args, want, stdout)
			}
		}
		for _, bad := range test.not {
			if strings.Contains(lines, "\n"+bad) {
				t.Errorf("%v: %s in\n%s", test.args, bad, stdout)
			}
		}
	}
}

func TestRequestRoles(t *testing.T) {
	base := startBackend(t, "fcgi", "unix", backendHandler())
	file := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(file, []byte("quiet words"), 0o600); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := millrace(t, "request", at(base, "/private"), "--role", "authorizer", "-P", "REMOTE_USER=jo", "-i")
	if status != 0 || stderr != "" || stdout != "Status: 200 OK\nContent-Type: text/plain\nVariable-AUTH_GROUP: friends of jo\n\n" {
		t.Errorf("authorizer: %d, %q, %q", status, stdout, stderr)
	}
	if status, _, stderr = millrace(t, "request", at(base, "/private"), "--role", "authorizer", "-f"); status != 1 || !strings.Contains(stderr, "403 Forbidden") {
		t.Errorf("authorizer that refuses: %d, %q", status, stderr)
	}
	status, stdout, stderr = millrace(t, "request", at(base, "/shout"), "--role", "filter", "--file", file)
	if status != 0 || stderr != "" || stdout != "FILTER 11 QUIET WORDS <nil>" {
		t.Errorf("filter: %d, %q, %q", status, stdout, stderr)
	}
}

func TestRequestStderr(t *testing.T) {
	base := startBackend(t, "fcgi", "unix", backendHandler())
	if status, stdout, stderr := millrace(t, "request", at(base, "/complain")); status != 0 || stdout != "but not much\n" || stderr != "something is\x1b[1m wrong\n" {
		t.Errorf("%d, %q, %q", status, stdout, stderr)
	}
	var b strings.Builder
	p := &programErrors{w: &b, visible: true}
	for _, piece := range []string{"one\x1b[2J\ntwo", " \u009b \xff\n", "\nthree"} {
		if _, err := p.Write([]byte(piece)); err != nil {
			t.Fatal(err)
		}
	}
	p.end()
	if want := "one\\x1b[2J\ntwo \\u009b \\xff\n\nthree\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

func TestRequestJSON(t *testing.T) {
	base := startBackend(t, "fcgi", "unix", backendHandler())
	file := filepath.Join(t.TempDir(), "out")
	status, stdout, stderr := millrace(t, "request", at(base, "/private"), "--role", "authorizer", "-P", "REMOTE_USER=jo", "--json")
	var r requestResult
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || status != 0 || stderr != "" {
		t.Fatalf("%d, %q, %v\n%s", status, stderr, err, stdout)
	}
	if r.Status != 200 || r.Variables["AUTH_GROUP"] != "friends of jo" || r.Headers["Content-Type"][0] != "text/plain" || r.TotalMS < r.HeadMS || r.HeadMS <= 0 {
		t.Errorf("%+v", r)
	}
	status, stdout, _ = millrace(t, "request", at(base, "/"), "-d", "abc", "--json", "-o", file)
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || status != 0 {
		t.Fatalf("%d, %v\n%s", status, err, stdout)
	}
	body, err := os.ReadFile(file)
	if err != nil || !strings.HasSuffix(string(body), "body=abc\n") || r.Bytes != int64(len(body)) || r.BytesSent != 3 {
		t.Errorf("%q, %v, %+v", body, err, r)
	}
	status, stdout, stderr = millrace(t, "request", at(base, "/cut"), "--json")
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || status != 1 || !strings.Contains(r.Error, "cut short after 6 bytes") || !strings.Contains(stderr, "cut short after 6 bytes") {
		t.Errorf("%d, %q, %v, %+v", status, stderr, err, r)
	}
}

func TestRequestTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(backendHandler())
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	defer s.Close()
	status, stdout, stderr := millrace(t, "request", s.URL+"/x", "-k", "-v")
	if status != 0 || !strings.HasPrefix(stdout, "GET /x host=127.0.0.1:") || !strings.Contains(stderr, "> GET /x HTTP/1.1\n") {
		t.Errorf("-k: %d, %q, %s", status, stdout, stderr)
	}
	if status, _, stderr = millrace(t, "request", s.URL); status != 1 || !strings.Contains(stderr, "certificate") || !strings.Contains(stderr, "-k takes any") {
		t.Errorf("a certificate that nobody knows: %d, %s", status, stderr)
	}
	if r, status, stderr := bench(t, s.URL, "-k", "-n", "20", "-c", "2"); status != 0 || r.Requests != 20 || r.Opened > 2 {
		t.Errorf("bench: %d, %s%+v", status, stderr, r)
	}
}

// TestRequestFailures has a problem and a hint for whatever can go wrong.
func TestRequestFailures(t *testing.T) {
	dead := filepath.Join(t.TempDir(), "dead")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := l.Addr().String()
	l.Close()
	type test struct {
		args          []string
		problem, hint string
	}
	tests := []test{
		{[]string{"fcgi://" + refused + "/"}, "cannot be reached", "is it running"},
		{[]string{"http://" + refused + "/"}, "cannot be reached", "is it running"},
		{[]string{"scgi+unix:" + dead}, "cannot be reached", "there is no such socket"},
	}
	for _, scheme := range append([]string{"http"}, gatewaySchemes...) {
		base := startBackend(t, scheme, "unix", backendHandler())
		var secret []string
		if scheme == "ajp" {
			secret = []string{"--secret", backendSecret}
		}
		tests = append(tests,
			test{append([]string{at(base, "/silent"), "--timeout", "20ms"}, secret...), "did not answer in time", "--timeout"},
			test{append([]string{at(base, "/silent"), "-m", "20ms"}, secret...), "context deadline exceeded", "--max-time"},
			test{append([]string{at(base, "/cut")}, secret...), "cut short after 6 bytes", "broke the response off"},
			test{append([]string{at(base, "/status/500"), "-f"}, secret...), "the status is 500 Internal Server Error", "--fail"},
		)
		if scheme == "fcgi" {
			tests = append(tests, test{[]string{strings.Replace(base, "fcgi+", "scgi+", 1)}, "hung up", "does it speak SCGI"},
				test{[]string{strings.Replace(base, "fcgi+", "http+", 1)}, "hung up", "does it speak HTTP"})
		}
		if scheme == "http" {
			tests = append(tests, test{[]string{strings.Replace(base, "http+", "fcgi+", 1), "--timeout", "50ms"}, "did not answer in time", "does it speak FastCGI"})
		}
		if scheme == "ajp" {
			tests = append(tests, test{[]string{at(base, "/status/200"), "--secret", "wrong", "-f"}, "403", "--fail"})
		}
	}
	for _, test := range tests {
		status, _, stderr := millrace(t, append([]string{"request"}, test.args...)...)
		problem, hint, ok := strings.Cut(stderr, "\n  hint: ")
		if status != 1 || !ok || !strings.Contains(problem, test.problem) || !strings.Contains(hint, test.hint) || !strings.HasPrefix(problem, "millrace: "+test.args[0]) || strings.Count(stderr, "\n") != 2 {
			t.Errorf("%v: status %d\n%s", test.args, status, stderr)
		}
	}
}

// TestRequestUsage has a mistake in each command line.
func TestRequestUsage(t *testing.T) {
	const fcgi, http, scgi = "fcgi://127.0.0.1/", "http://127.0.0.1/", "scgi://127.0.0.1/"
	tests := []struct {
		args          []string
		problem, hint string
	}{
		{nil, "the URL is missing", "usage: millrace request URL"},
		{[]string{fcgi, fcgi}, "one argument too many", "usage"},
		{[]string{"127.0.0.1:9000"}, "does not begin with a protocol", "fcgi://"},
		{[]string{fcgi, "-H", "nothing"}, `-H "nothing" has no colon`, "Accept"},
		{[]string{fcgi, "-H", "a b: c"}, "bad header name", "Accept"},
		{[]string{fcgi, "-H", "A: b\r\nC: d"}, "control character", "Accept"},
		{[]string{fcgi, "-H", "Content-Length: 5"}, "framing", "-d or -T"},
		{[]string{fcgi, "-H", "X_Under: 1"}, "no server passes the header X_under on", "-P 'HTTP_X_UNDER=…'"},
		{[]string{fcgi, "-H", "Proxy: x"}, "no server passes the header Proxy on", "-P 'HTTP_PROXY=…'"},
		{[]string{fcgi, "-P", "NOVALUE"}, `-P "NOVALUE" is no NAME=VALUE`, "--no-param"},
		{[]string{fcgi, "-P", "=x"}, "is no NAME=VALUE", "--no-param"},
		{[]string{fcgi, "-P", "CONTENT_LENGTH=3"}, "CONTENT_LENGTH", "-d or -T"},
		{[]string{fcgi, "--no-param", "NOSUCH"}, "no such parameter", "-v"},
		{[]string{fcgi, "-X", "GE T"}, "is no method", "DELETE"},
		{[]string{fcgi, "-d", "a", "-d", "b"}, "-d is given twice", "one body"},
		{[]string{fcgi, "-d", "a", "-T", "b"}, "-d and -T", "one of them"},
		{[]string{fcgi, "-d", "@/no/such/file"}, "cannot open /no/such/file", "- for stdin"},
		{[]string{fcgi, "-d", "@/"}, "/ is a folder", "name a file"},
		{[]string{fcgi, "-I", "-X", "GET"}, "-I asks for the head alone", "-i shows"},
		{[]string{fcgi, "-o", "/no/such/folder/x"}, "cannot create", "written"},
		{[]string{fcgi, "--timeout", "0"}, "--timeout 0s", "10s"},
		{[]string{fcgi, "--timeout", "soon"}, "--timeout", "--help"},
		{[]string{fcgi, "--connect-timeout", "-1s"}, "--connect-timeout -1s", "2s"},
		{[]string{fcgi, "-m", "-1s"}, "--max-time -1s", "30s"},
		{[]string{fcgi, "--role", "king"}, `--role "king" is unknown`, "authorizer"},
		{[]string{fcgi, "--role", "filter"}, "needs something to work on", "--file"},
		{[]string{fcgi, "--role", "filter", "--file", "/"}, "no file with a size", "read"},
		{[]string{fcgi, "--file", "x"}, "--file is for a filter", "--role filter"},
		{[]string{fcgi, "--role", "authorizer", "-d", "x"}, "an authorizer gets no body", "-d"},
		{[]string{fcgi, "--secret", "x"}, "--secret is for AJP, and the URL is one of FastCGI", "leave it out"},
		{[]string{scgi, "--role", "authorizer"}, "--role is for FastCGI, and the URL is one of SCGI", "leave it out"},
		{[]string{http, "-P", "A=b"}, "-P is for gateway protocols, and the URL is one of HTTP", "leave it out"},
		{[]string{http, "--no-param", "A"}, "--no-param is for gateway protocols", "leave it out"},
		{[]string{http, "-k"}, "-k is for https", "leave it out"},
	}
	for _, test := range tests {
		status, stdout, stderr := millrace(t, append([]string{"request"}, test.args...)...)
		problem, hint, _ := strings.Cut(stderr, "\n  hint: ")
		if status != exitUsage || stdout != "" || !strings.Contains(problem, test.problem) || !strings.Contains(hint, test.hint) {
			t.Errorf("%q: status %d, %q\n%s", test.args, status, stdout, stderr)
		}
	}
}
