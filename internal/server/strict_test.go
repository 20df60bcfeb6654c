package server

import (
	"cmp"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// TestStrict: heads that contradict themselves, or hold what no request line
// could.
func TestStrict(t *testing.T) {
	for _, test := range []struct {
		name, host, target string
		header             []string // of the name Host
		want               bool
		method             string // "": GET
	}{
		{"a tunnel", "one.test:443", "one.test:443", nil, false, "CONNECT"},
		{"a repetition", "one.test", "/", nil, false, "TRACE"},
		{"a method in lower case", "one.test", "/", nil, false, "delete"},
		{"a method of its own", "one.test", "/", nil, true, "M-SEARCH"},
		{"a space in the method", "one.test", "/", nil, false, "GET /x"},
		{"a line feed in the method", "one.test", "/", nil, false, "GET\n"},
		{"another's URL", "one.test", "http://two.test/", nil, false, ""},
		{"no path", "one.test", "x", nil, false, ""},
		{"the server itself", "one.test", "*", nil, true, "OPTIONS"},
		{"an ordinary one", "one.test", "/a?b=c", nil, true, ""},
		{"a port", "one.test:8443", "/", nil, true, ""},
		{"IPv6", "[::1]:8443", "/", nil, true, ""},
		{"the same twice", "one.test", "/", []string{"one.test"}, true, ""},
		{"another Host", "one.test", "/", []string{"two.test"}, false, ""},
		{"two Hosts", "one.test", "/", []string{"one.test", "one.test"}, false, ""},
		{"no host", "", "/", nil, false, ""},
		{"a user", "me@one.test", "/", nil, false, ""},
		{"a path in the host", "one.test/x", "/", nil, false, ""},
		{"a line feed in the host", "one.test\nx", "/", nil, false, ""},
		{"a space in the host", "one test", "/", nil, false, ""},
		{"a byte beyond ASCII in the host", "\xc3\xa9.test", "/", nil, false, ""},
		{"a NUL in the target", "one.test", "/\x00", nil, false, ""},
		{"a space in the target", "one.test", "/a b", nil, false, ""},
		{"a line feed in the target", "one.test", "/a\r\nX: y", nil, false, ""},
		{"DEL in the target", "one.test", "/\x7f", nil, false, ""},
	} {
		r := &http.Request{Method: cmp.Or(test.method, "GET"), Host: test.host, RequestURI: test.target, Header: http.Header{}, ProtoMajor: 2}
		if test.header != nil {
			r.Header["Host"] = test.header
		}
		w := httptest.NewRecorder()
		if got := strict(w, r); got != test.want || !got && w.Code != http.StatusBadRequest {
			t.Errorf("%s: %v, %d", test.name, got, w.Code)
		}
		if _, there := r.Header["Host"]; there {
			t.Errorf("%s: the app would see Host twice", test.name)
		}
	}
}

// TestLargeHeads: max_header holds over each protocol.
func TestLargeHeads(t *testing.T) {
	a, dir := secureSite(t)
	s := launch(t, parse(t, dir, "[server]\nmax_header = \"16KiB\"\n"+secure), newFakeApps())
	at := s.hostPort("127.0.0.1:0")
	for protocol, c := range map[string]*http.Client{"HTTP/1.1": a.client(at, false), "HTTP/2.0": a.client(at, true), "HTTP/3.0": a.client3(t, at)} {
		for size, want := range map[int]int{8 << 10: 200, 64 << 10: 431} {
			r, err := http.NewRequest("GET", "https://two.test/", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("X-Large", strings.Repeat("x", size))
			res, err := c.Do(r)
			if want == 200 && err != nil {
				t.Errorf("%s, %d bytes: %v", protocol, size, err)
			}
			if err != nil {
				continue // the stream or the connection was ended instead
			}
			res.Body.Close()
			if res.StatusCode != want {
				t.Errorf("%s, %d bytes: %d, want %d", protocol, size, res.StatusCode, want)
			}
		}
	}
}

// TestStalledStreams: a client that opens a stream and takes nothing of the
// response does not hold its handler for ever.
func TestStalledStreams(t *testing.T) {
	a, dir := secureSite(t)
	f, err := os.Create(dir + "/two/large.bin")
	if err == nil {
		err = errors.Join(f.Truncate(256<<20), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	config := strings.ReplaceAll(secure, `hosts = ["two.test"]`, "hosts = [\"two.test\"]\naccess_log = \"{dir}/two.log\"")
	s := launch(t, parse(t, dir, "[server]\nwrite_timeout = \"300ms\"\n"+config), newFakeApps())
	at := s.hostPort("127.0.0.1:0")
	for protocol, c := range map[string]*http.Client{"HTTP/2.0": a.client(at, true), "HTTP/3.0": a.client3(t, at)} {
		res, err := c.Get("https://two.test/large.bin")
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, protocol+": the handler ends", func() bool {
			b, _ := os.ReadFile(dir + "/two.log")
			return strings.Contains(string(b), protocol)
		})
		res.Body.Close()
	}
}
