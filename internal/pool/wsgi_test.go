package pool

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/internal/testkit"
)

// pythons returns every CPython from 3.8 on that the machine has, by version.
func pythons(t testing.TB) map[string]string {
	t.Helper()
	found, err := findPythons()
	if err != nil {
		t.Fatal(err)
	}
	return found
}

var findPythons = sync.OnceValues(func() (map[string]string, error) {
	found := map[string]string{}
	var candidates []string
	for _, pattern := range []string{"/usr/bin/python3*", "/usr/local/bin/python3*", os.ExpandEnv("$HOME/.pyenv/versions/*/bin/python3")} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		candidates = append(candidates, names...)
	}
	if python, err := python3(); err == nil {
		candidates = append(candidates, python)
	}
	for _, name := range candidates {
		out, err := exec.Command(name, "-c", "import sys; print('%d.%d' % sys.version_info[:2], sys.version_info >= (3, 8))").Output()
		version, new, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
		if err == nil && new == "True" && found[version] == "" {
			found[version] = name
		}
	}
	if len(found) == 0 {
		return nil, errors.New("no python3 from 3.8 on is installed")
	}
	return found, nil
})

// ends returns the oldest and the newest of the machine's CPythons.
func ends(t testing.TB) map[string]string {
	t.Helper()
	all := pythons(t)
	var versions []string
	for version := range all {
		versions = append(versions, version)
	}
	slices.SortFunc(versions, func(a, b string) int { return len(a)*1000 - len(b)*1000 + strings.Compare(a, b) })
	oldest, newest := versions[0], versions[len(versions)-1]
	return map[string]string{oldest: all[oldest], newest: all[newest]}
}

// logBuffer is a log that a test can look into.
type logBuffer struct{ testkit.Output }

// wait polls until the log holds every one of the texts on one line.
func (l *logBuffer) wait(t testing.TB, texts ...string) {
	t.Helper()
	eventually(t, func() error {
		for line := range strings.Lines(l.String()) {
			all := true
			for _, text := range texts {
				all = all && strings.Contains(line, text)
			}
			if all {
				return nil
			}
		}
		return fmt.Errorf("no line with %q in the log:\n%s", texts, l)
	})
}

// eventually polls until check succeeds.
func eventually(t testing.TB, check func() error) {
	t.Helper()
	eventuallyWithin(t, time.Minute, check)
}

// eventuallyWithin polls until check succeeds, for so long.
func eventuallyWithin(t testing.TB, limit time.Duration, check func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-poll.C
	}
}

// logged has cfg log into a buffer.
func logged(cfg *Config) *logBuffer {
	l := &logBuffer{}
	cfg.Log = slog.New(slog.NewTextHandler(l, nil))
	return l
}

// methods are the ways to run one and the same app, each a line or two of its
// configuration, with what the environ says of them: multithread,
// multiprocess, run_once.
var methods = map[string]struct {
	set   func(cfg *Config)
	flags string
}{
	"prefork":         {func(*Config) {}, "[False, True, False]"},
	"ondemand":        {func(cfg *Config) { cfg.Scaling, cfg.MinSpare, cfg.IdleTimeout = OnDemand, 0, time.Minute }, "[False, True, False]"},
	"threaded":        {func(cfg *Config) { cfg.Threads = 2; cfg.fixed(2) }, "[True, False, False]"},
	"prefork threads": {func(cfg *Config) { cfg.Threads, cfg.Method = 2, "prefork"; cfg.fixed(4) }, "[True, True, False]"},
	"cgi":             {func(cfg *Config) { cfg.Method, cfg.MaxChildren = CGI, 3 }, "[False, True, True]"},
}

// TestRules runs the apps of testdata/apps/rules.py on every CPython and under
// every method, as they are and under wsgiref.validate.
func TestRules(t *testing.T) {
	for version, python := range pythons(t) {
		for method, m := range methods {
			for _, callable := range []string{"application", "validated"} {
				if callable == "validated" && method != "prefork" {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/%s", version, callable, method), func(t *testing.T) {
					t.Parallel()
					cfg := testConfig(t, "rules:"+callable)
					cfg.usePython(python)
					m.set(&cfg)
					log := logged(&cfg)
					_, server := startPool(t, cfg)
					testRules(t, server, log, callable == "validated", m.flags)
				})
			}
		}
	}
}

// usePython has another interpreter run the app.
func (cfg *Config) usePython(python string) {
	command := *cfg.Host
	command.Path, command.Args = python, append([]string{python}, command.Args[1:]...)
	cfg.Python, cfg.Host = python, &command
}

// rule is one request and what must come of it. Apps that break a rule on
// purpose are not for the validator, which stops them first.
type rule struct {
	path   string
	method string // default GET
	body   string
	header http.Header
	code   int
	want   string // the body
	expect http.Header
	broken bool   // the app breaks a rule, or the validator hides what it shows
	cut    bool   // the body ends early
	log    string // a line must hold this
}

func testRules(t *testing.T, server *httptest.Server, log *logBuffer, validated bool, flags string) {
	rules := []rule{
		// 4: wsgi.input ends at CONTENT_LENGTH.
		{path: "read_all", method: "POST", body: "a small body", code: 200, want: "a small body", expect: http.Header{"X-Length": {"12"}}},
		{path: "read_all", method: "POST", body: strings.Repeat("inline ", 5000), code: 200, want: strings.Repeat("inline ", 5000)},
		{path: "read_all", method: "POST", body: strings.Repeat("in a file ", 100000), code: 200, want: strings.Repeat("in a file ", 100000)},
		{path: "read_all", code: 200, want: "", expect: http.Header{"X-Length": {"-"}}},
		{path: "read_lines", method: "POST", body: "one\ntwo\nthree\nfour\nfive", code: 200, want: `(b'one', b'\n', b'tw', [b'o\n', b'three\n'], [b'four\n', b'five'])`},
		{path: "not_read", method: "POST", body: strings.Repeat("x", 1<<20), code: 200, want: "not read"},
		{path: "environ_value?wsgi.input_terminated", code: 200, want: "True"},
		// 6: HEAD, 204, 304.
		{path: "head", method: "HEAD", code: 200, want: "", expect: http.Header{"Content-Length": {"12345"}}, broken: true},
		{path: "one_chunk", method: "HEAD", code: 200, want: "", expect: http.Header{"Content-Length": {"9"}}, broken: true},
		{path: "no_content", code: 204, want: "", expect: http.Header{"Content-Length": nil, "Transfer-Encoding": nil}},
		{path: "no_content_wrong", code: 204, want: "", expect: http.Header{"Content-Length": nil, "Transfer-Encoding": nil}, broken: true},
		{path: "not_modified", code: 304, want: "", expect: http.Header{"Etag": {`"a"`}, "Transfer-Encoding": nil}},
		// 7: close() exactly once.
		{path: "counted?a", code: 200, want: "one two"},
		{path: "closed?a", code: 200, want: "1"},
		{path: "counted_error?b", code: 200, want: "one ", cut: true, log: "in the second chunk"},
		{path: "closed?b", code: 200, want: "1"},
		// 8: start_response.
		{path: "writer", code: 200, want: "written returned"},
		{path: "late_start", code: 200, want: "late"},
		{path: "start_in_iteration", code: 201, want: "started in the first iteration", broken: true},
		{path: "replaced", code: 500, want: "replaced", expect: http.Header{"X-First": nil}},
		{path: "too_late", code: 200, want: "sent ", cut: true, log: "after the head left"},
		{path: "twice", code: 500, want: "Internal Server Error\n", broken: true, log: "start_response called a second time"},
		{path: "never_started", code: 500, want: "Internal Server Error\n", broken: true, log: "did not call start_response"},
		{path: "text_body", code: 500, want: "Internal Server Error\n", broken: true, log: "must yield bytes, not str"},
		// 9: encoding.
		{path: "environ_value/caf%C3%A9%2Fx?PATH_INFO,REQUEST_URI", code: 200,
			want: "'/environ_value/caf\xc3\xa9/x'\n'/environ_value/caf%C3%A9%2Fx?PATH_INFO,REQUEST_URI'"},
		{path: "latin1", code: 200, want: "body", expect: http.Header{"X-Name": {"caf\xe9"}}},
		{path: "environ_types", code: 200, want: "(True, [])"},
		{path: "injected", code: 500, want: "Internal Server Error\n", expect: http.Header{"Set-Cookie": nil}, broken: true, log: "control character"},
		{path: "injected_lf", code: 500, want: "Internal Server Error\n", expect: http.Header{"Set-Cookie": nil}, broken: true, log: "a line feed in the status or in a header"},
		{path: "bad_status", code: 500, want: "Internal Server Error\n", broken: true, log: "bad status"},
		{path: "hop_by_hop", code: 200, want: "body", expect: http.Header{"Keep-Alive": nil, "X-Kept": {"1"}}, broken: true, log: "header=Connection"},
		{path: "large_head?40000", code: 200, want: "body", expect: http.Header{"X-Large": {strings.Repeat("x", 40000)}}},
		{path: "large_head?50000", code: 500, want: "Internal Server Error\n", log: "headers take"},
		// 10: headers in.
		{path: "environ_value?HTTP_PROXY,HTTP_X_USER,HTTP_X_LIST,HTTP_COOKIE,HTTP_CONTENT_TYPE,CONTENT_TYPE", code: 200,
			header: http.Header{"Proxy": {"http://evil"}, "X_User": {"root"}, "X-List": {"a", "b"}, "Cookie": {"a=1", "b=2"}, "Content-Type": {"text/x"}},
			want:   "None\nNone\n'a, b'\n'a=1; b=2'\nNone\n'text/x'"},
		{path: "environ_value", code: 400, header: http.Header{"Content-Type": {"a/b", "c/d"}}, want: "Bad Request\n"},
		{path: "inherited", code: 200, want: "[]"},
		// 11: Content-Length out.
		{path: "one_chunk", code: 200, want: "one chunk", expect: http.Header{"Content-Length": {"9"}}, broken: true},
		{path: "many_chunks", code: 200, want: "one two three", expect: http.Header{"Content-Length": {"13"}}, broken: true},
		{path: "surplus", code: 200, want: "0123", broken: true, log: "longer than its Content-Length"},
		{path: "surplus_streamed", code: 200, want: "0123", broken: true, log: "longer than its Content-Length"},
		{path: "short", code: 200, want: "0123", cut: true, broken: true, log: "shorter than its Content-Length"},
		{path: "short_streamed", code: 200, want: "0123", cut: true, broken: true, log: "shorter than its Content-Length"},
		// 12: wsgi.file_wrapper.
		{path: "file", code: 200, want: strings.Repeat("0123456789", 100000)},
		{path: "file", method: "HEAD", code: 200, want: "", expect: http.Header{"Content-Length": {"1000000"}}, broken: true},
		{path: "file_in_proc", code: 200, want: "python3\n", broken: true},
		{path: "file_to_write", code: 500, want: "Internal Server Error\n", broken: true, log: "UnsupportedOperation"},
		{path: "file_part", code: 200, want: "5678901"},
		{path: "file_like?c", code: 200, want: "A123456789A123456789"},
		{path: "closed?c", code: 200, want: "1"},
		// 3 and errors.
		{path: "errors", code: 200, want: "ok", log: "written to wsgi.errors"},
		{path: "raises", code: 500, want: "Internal Server Error\n", log: "RuntimeError: as asked"},
		{path: "raises_exit", code: 500, want: "Internal Server Error\n", log: "SystemExit: 3"},
		{path: "flags", code: 200, want: flags},
		// 2: signals.
		{path: "process", code: 200, want: "([True, True, True], True, True, True, b'')"},
	}
	for _, r := range rules {
		if validated && r.broken {
			continue
		}
		name := r.path
		if validated && r.path == "read_lines" {
			r.path += "?validated"
		}
		if strings.HasPrefix(r.path, "closed?") {
			eventually(t, func() error { // close() runs when the answer has left
				if code, body := get(t, server.URL+"/"+r.path); code != r.code || body != r.want {
					return fmt.Errorf("%s: %d %q, want %d %q", r.path, code, body, r.code, r.want)
				}
				return nil
			})
		}
		testRule(t, server, log, name, r)
	}
	if complaint := "AssertionError"; validated && strings.Contains(log.String(), complaint) {
		t.Errorf("the validator complains:\n%s", log)
	}
}

func testRule(t *testing.T, server *httptest.Server, log *logBuffer, name string, r rule) {
	t.Helper()
	if r.method == "" {
		r.method = "GET"
	}
	var body io.Reader
	if r.body != "" {
		body = strings.NewReader(r.body)
	}
	req, err := http.NewRequest(r.method, server.URL+"/"+r.path, body)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if (err != nil) != r.cut {
		t.Errorf("%s: the body ends with %v, want it cut: %v", name, err, r.cut)
	}
	if resp.StatusCode != r.code || string(got) != r.want {
		t.Errorf("%s: %d %.200q, want %d %.200q", name, resp.StatusCode, got, r.code, r.want)
	}
	for header, want := range r.expect {
		if got := resp.Header.Values(header); strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("%s: header %s is %q, want %q", name, header, got, want)
		}
	}
	if r.log != "" {
		log.wait(t, r.log)
	}
}

// TestContinue: 100 comes with the first read of the body, and not at all for
// a request that is refused by its head.
func TestContinue(t *testing.T) {
	cfg := testConfig(t, "rules:application")
	cfg.MaxBody = 1000
	_, server := startPool(t, cfg)
	for _, tt := range []struct {
		length int
		want   string
	}{{5, "HTTP/1.1 100 Continue"}, {1001, "HTTP/1.1 413 Request Entity Too Large"}} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST /read_all HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", tt.length)
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || strings.TrimSpace(line) != tt.want {
			t.Errorf("length %d: %q, %v, want %q", tt.length, line, err, tt.want)
		}
		conn.Close()
	}
}

// TestChunkedRequest: a body without a length arrives whole, with one.
func TestChunkedRequest(t *testing.T) {
	_, server := startPool(t, testConfig(t, "rules:application"))
	for _, size := range []int{10, 60_000, 1_000_000} {
		req, err := http.NewRequest("POST", server.URL+"/read_all", io.MultiReader(strings.NewReader(strings.Repeat("x", size))))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || len(got) != size || resp.Header.Get("X-Length") != fmt.Sprint(size) {
			t.Errorf("%d bytes: got %d, CONTENT_LENGTH %s, %v", size, len(got), resp.Header.Get("X-Length"), err)
		}
	}
}

// TestLargeHead: an environ that does not fit a packet.
func TestLargeHead(t *testing.T) {
	_, server := startPool(t, testConfig(t, "rules:application"))
	long := strings.Repeat("v", 200_000)
	for _, body := range []string{"", "a body", strings.Repeat("b", 100_000), strings.Repeat("b", 300_000)} {
		req, err := http.NewRequest("POST", server.URL+"/environ_value?HTTP_X_LONG,CONTENT_LENGTH", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Long", long)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if want := fmt.Sprintf("'%s'\n'%d'", long, len(body)); err != nil || string(got) != want {
			t.Errorf("body of %d: %d bytes %.40q, %v", len(body), len(got), got, err)
		}
	}
}

// TestCloseWhenClientLeft: close() runs, once, and an endless response ends.
func TestCloseWhenClientLeft(t *testing.T) {
	_, server := startPool(t, testConfig(t, "rules:application"))
	for _, app := range []string{"endless", "endless_writes"} {
		resp, err := http.Get(server.URL + "/" + app + "?" + app)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, resp.Body, 1<<20); err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if _, body := get(t, server.URL+"/closed?"+app); body != "1" {
			t.Errorf("%s: close() ran %s times, want 1", app, body)
		}
		resp, err = http.Head(server.URL + "/" + app + "?" + app)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if _, body := get(t, server.URL+"/closed?"+app); body != "2" {
			t.Errorf("%s: close() ran %s times after a HEAD, want 2", app, body)
		}
	}
}
