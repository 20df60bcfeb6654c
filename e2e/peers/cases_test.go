package peers

// What every front server must get through to the app, and back.

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"millrace/internal/testkit"
)

// front is one way to the app through a front server.
type front struct {
	name string
	url  string // "http://host:port"

	script     string // the SCRIPT_NAME that the app sees
	maxHeaders int    // bytes of a header set that get through; 0: 200 KB
	undecoded  bool   // the front server refuses encoded slashes in a path
	killed     bool   // an app whose client leaves is ended by a signal: its close() is not called
	buffered   bool   // it collects responses whatever it is told
	methods    string // those that it knows, if not all
	raw        bool   // the app sees the path as it was encoded
	deaf       bool   // the back end goes on for ever when its client has left
	anonymous  bool   // HTTP over a Unix socket: nobody has an address
}

// mirrored is the mirror's answer.
type mirrored struct {
	Environ map[string]string
	Length  int
	SHA256  string
}

func send(t *testing.T, c *http.Client, method, url string, header http.Header, body io.Reader) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return resp, text
}

func mirrorOf(t *testing.T, resp *http.Response, text []byte) mirrored {
	t.Helper()
	var m mirrored
	if err := json.Unmarshal(text, &m); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s, %v: %.400s", resp.Request.Method, resp.Request.URL, resp.Status, err, text)
	}
	return m
}

// cases runs every case through a front server.
func (f front) cases(t *testing.T) {
	c := client(t)
	t.Run("methods", func(t *testing.T) { f.eachMethod(t, c) })
	t.Run("bodies", func(t *testing.T) { f.bodies(t, c) })
	t.Run("headers", func(t *testing.T) { f.headers(t, c) })
	t.Run("bodyless", func(t *testing.T) { f.bodyless(t, c) })
	t.Run("paths", func(t *testing.T) { f.paths(t, c) })
	if !f.buffered {
		t.Run("stream", func(t *testing.T) { f.stream(t, c) })
	}
	if !f.deaf {
		t.Run("abort", f.abort)
	}
}

func (f front) eachMethod(t *testing.T, c *http.Client) {
	methods := f.methods
	if methods == "" {
		methods = "GET POST PUT PATCH DELETE OPTIONS"
	}
	for method := range strings.FieldsSeq(methods) {
		var body io.Reader
		want := ""
		if method == "POST" || method == "PUT" || method == "PATCH" {
			want = "a body for " + method
			body = strings.NewReader(want)
		}
		resp, text := send(t, c, method, f.url+"/some/path?q=1&r=%20", nil, body)
		m := mirrorOf(t, resp, text)
		sum := sha256.Sum256([]byte(want))
		e := m.Environ
		if e["REQUEST_METHOD"] != method || e["QUERY_STRING"] != "q=1&r=%20" || e["SCRIPT_NAME"] != f.script ||
			e["PATH_INFO"] != "/some/path" || m.SHA256 != hex.EncodeToString(sum[:]) {
			t.Errorf("%s: body of %d bytes, environ %v", method, m.Length, e)
		}
		if got := e["SERVER_PROTOCOL"]; !strings.HasPrefix(got, "HTTP/1.") {
			t.Errorf("SERVER_PROTOCOL is %q", got)
		}
		if got := e["REMOTE_ADDR"]; !f.anonymous && !strings.HasPrefix(got, "127.") {
			t.Errorf("REMOTE_ADDR is %q", got)
		}
	}
}

func (f front) bodies(t *testing.T, c *http.Client) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 10<<20/16)
	sum := sha256.Sum256(big)
	resp, text := send(t, c, "POST", f.url+"/up", nil, bytes.NewReader(big))
	if m := mirrorOf(t, resp, text); m.Length != len(big) || m.SHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("of a body of %d bytes %d arrived", len(big), m.Length)
	}
	for _, query := range []string{"", "&length=1"} {
		resp, text = send(t, c, "GET", f.url+"/down?do=big&size=10485760"+query, nil, nil)
		if resp.StatusCode != http.StatusOK || len(text) != 10<<20 || string(text[8:16]) != "0000001\n" {
			t.Errorf("a response of 10 MiB%s: %s, %d bytes", query, resp.Status, len(text))
		}
	}
	// A body whose length the client does not tell. Some refuse that: then by
	// 411, and nothing else.
	resp, text = send(t, c, "POST", f.url+"/up", nil, io.MultiReader(strings.NewReader("no "), strings.NewReader("length")))
	if resp.StatusCode != http.StatusLengthRequired {
		if m := mirrorOf(t, resp, text); m.Length != len("no length") {
			t.Errorf("of a body without a length %d bytes arrived", m.Length)
		}
	}
}

func (f front) headers(t *testing.T, c *http.Client) {
	many := http.Header{}
	for i := range 90 { // Apache takes 100 at most, the client's own included
		many.Set("X-Many-"+strconv.Itoa(i), "value "+strconv.Itoa(i))
	}
	many.Set("Cookie", "a=1; b=2")
	many.Set("Proxy", "http://evil.example")
	resp, text := send(t, c, "GET", f.url+"/", many, nil)
	e := mirrorOf(t, resp, text).Environ
	for i := range 90 {
		if got := e["HTTP_X_MANY_"+strconv.Itoa(i)]; got != "value "+strconv.Itoa(i) {
			t.Errorf("header %d is %q", i, got)
		}
	}
	if _, ok := e["HTTP_PROXY"]; ok || e["HTTP_COOKIE"] != "a=1; b=2" {
		t.Errorf("HTTP_PROXY %q, HTTP_COOKIE %q", e["HTTP_PROXY"], e["HTTP_COOKIE"])
	}
	size := f.maxHeaders
	if size == 0 {
		size = 200_000
	}
	large, total := http.Header{}, 0
	for i := 0; total < size; i++ {
		n := min(size-total, 3000)
		large.Set("X-Large-"+strconv.Itoa(i), strings.Repeat("v", n))
		total += n
	}
	resp, text = send(t, c, "GET", f.url+"/", large, nil)
	got := 0
	for name, value := range mirrorOf(t, resp, text).Environ {
		if strings.HasPrefix(name, "HTTP_X_LARGE_") {
			got += len(value)
		}
	}
	if got != total {
		t.Errorf("of %d bytes of headers %d arrived", total, got)
	}
	resp, _ = send(t, c, "GET", f.url+"/?do=headers", nil, nil)
	for i := range 100 {
		if got := resp.Header.Get("X-H" + strconv.Itoa(i)); got != "v"+strconv.Itoa(i) {
			t.Errorf("response header %d is %q", i, got)
		}
	}
}

func (f front) bodyless(t *testing.T, c *http.Client) {
	for _, tt := range []struct {
		method, query string
		status        int
	}{
		{"HEAD", "", 200},
		{"HEAD", "?do=big&size=100000", 200},
		{"GET", "?do=status&code=204", 204},
		{"GET", "?do=status&code=304", 304},
		{"GET", "?do=status&code=418", 418},
		{"GET", "?do=status&code=500", 500},
		{"GET", "?do=redirect&to=" + url.QueryEscape("http://example.org/x?y=1"), 302},
		{"GET", "", 200}, // the connection is still of use
	} {
		resp, text := send(t, c, tt.method, f.url+"/"+tt.query, nil, nil)
		if resp.StatusCode != tt.status {
			t.Errorf("%s %q: %s, want %d", tt.method, tt.query, resp.Status, tt.status)
		}
		if (tt.method == "HEAD" || tt.status == 204 || tt.status == 304) && len(text) > 0 {
			t.Errorf("%s %q: a body of %d bytes", tt.method, tt.query, len(text))
		}
		if tt.status == 302 && resp.Header.Get("Location") != "http://example.org/x?y=1" {
			t.Errorf("Location %q", resp.Header.Get("Location"))
		}
	}
}

func (f front) paths(t *testing.T, c *http.Client) {
	tests := []struct{ uri, info string }{
		{"/caf%C3%A9/a%20b", "/caf\u00c3\u00a9/a b"}, // PEP 3333: bytes as latin-1
		{"/percent%2525", "/percent%25"},
		{"/plus+and&amp,colon:=", "/plus+and&amp,colon:="},
		{"/a/%C3%BC/", "/a/\u00c3\u00bc/"},
	}
	if !f.undecoded {
		tests = append(tests, struct{ uri, info string }{"/enc%2Foded", "/enc/oded"})
	}
	for _, tt := range tests {
		resp, text := send(t, c, "GET", f.url+tt.uri+"?x=%2F", nil, nil)
		e := mirrorOf(t, resp, text).Environ
		if f.raw {
			tt.info = tt.uri
		}
		if e["PATH_INFO"] != tt.info || e["SCRIPT_NAME"] != f.script || e["QUERY_STRING"] != "x=%2F" {
			t.Errorf("%s: SCRIPT_NAME %q, PATH_INFO %q, QUERY_STRING %q; REQUEST_URI %q", tt.uri, e["SCRIPT_NAME"], e["PATH_INFO"], e["QUERY_STRING"], e["REQUEST_URI"])
		}
	}
}

// stream shows that a part of a response arrives while the app still works on
// the rest.
func (f front) stream(t *testing.T, c *http.Client) {
	path, open := gate(t)
	resp, err := c.Get(f.url + "/?do=stream&gate=" + url.QueryEscape(path))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b := make([]byte, 4)
	if _, err := io.ReadFull(resp.Body, b); err != nil || string(b) != "one\n" {
		t.Fatalf("%q, %v", b, err)
	}
	open("two\n")
	rest, err := io.ReadAll(resp.Body)
	if err != nil || string(rest) != "two\n" {
		t.Fatalf("%q, %v", rest, err)
	}
}

// abort shows that the app learns of a client that leaves in the middle.
func (f front) abort(t *testing.T) {
	c := client(t)
	file := filepath.Join(testkit.ShortDir(t), "closed")
	if err := os.Chmod(filepath.Dir(file), 0o777); err != nil {
		t.Fatal(err)
	}
	resp, err := c.Get(f.url + "/?do=endless&file=" + url.QueryEscape(file))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, resp.Body, 300_000); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if !f.killed {
		testkit.Eventually(t, "the app's response is closed", func() bool {
			_, err := os.Stat(file)
			return err == nil
		})
	}
	// And everything goes on.
	again, text := send(t, c, "GET", f.url+"/again", nil, nil)
	if got := mirrorOf(t, again, text).Environ["PATH_INFO"]; got != "/again" {
		t.Errorf("PATH_INFO %q", got)
	}
}

// each runs the cases through several fronts.
func each(t *testing.T, fronts []front) {
	for _, f := range fronts {
		t.Run(f.name, func(t *testing.T) { f.cases(t) })
	}
}
