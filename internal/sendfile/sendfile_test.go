package sendfile

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/internal/testkit"
)

var modified = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// world makes a folder of files for apps, "private", and one beside it.
func world(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"private/a.txt": "0123456789", "private/sub/b.pdf": "PDF", "private/100%25.txt": "percent", "private/ä b.txt": "umlaut",
		"private/.hidden": "hidden", "secret/s.txt": "secret", "private-too/s.txt": "secret",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, modified, modified); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{
		"private/out": "../secret/s.txt", "private/away": "../secret", "private/in": "a.txt", "private/absolute": filepath.Join(dir, "private/a.txt"),
		"private/absolute-out": filepath.Join(dir, "secret/s.txt"), "link": "private",
	} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// logged is a log that can be looked at.
type logged struct{ testkit.Output }

// site answers for X-Accel-Redirect.
func site(w http.ResponseWriter, r *http.Request, uri string) error {
	w.Header().Set("X-Inner", r.Method+" "+uri)
	switch path, _, _ := strings.Cut(uri, "?"); path {
	case "/files/a.txt", "/files/a%20b.txt", "/files/100%25.txt":
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Etag", `"inner"`)
		w.Header().Set("Cache-Control", "inner")
		http.ServeContent(w, r, "", modified, strings.NewReader("0123456789"))
	case "/files/encoded":
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Etag", `"inner-gzip"`)
		_, _ = io.WriteString(w, "encoded")
	case "/empty":
	case "/deep":
		return fmt.Errorf("too deep")
	default:
		http.Error(w, "404 inner", http.StatusNotFound)
	}
	return nil
}

func sender(t *testing.T, dir string, log *logged, app http.HandlerFunc) *httptest.Server {
	t.Helper()
	s, err := New(Options{
		Roots: []string{filepath.Join(dir, "private")}, Redirect: site, Log: slog.New(slog.NewTextHandler(log, nil)),
		Type: func(name string) string { return "by-name/" + strings.TrimPrefix(filepath.Ext(name), ".") },
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.Wrap(app))
	t.Cleanup(server.Close)
	return server
}

// answer is an app that sets headers, and writes a body of its own.
func answer(status int, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			w.Header().Add(name, value)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte("the app's "))
		_, _ = io.WriteString(w, "own body")
		_ = http.NewResponseController(w).Flush()
		_, _ = io.Copy(w, strings.NewReader(" and more of it"))
	}
}

func fetch(t *testing.T, s *httptest.Server, method string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, s.URL+"/app", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	res, err := (&http.Transport{DisableCompression: true, DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

const own = "the app's own body and more of it"

func TestSendfile(t *testing.T) {
	dir := world(t)
	private := filepath.Join(dir, "private")
	fileTag := fmt.Sprintf(`"a-%x"`, modified.UnixNano())
	for _, tt := range []struct {
		name    string
		app     []string // headers
		status  int      // of the app; default 200
		method  string   // default GET
		ask     []string // headers of the request
		want    int
		body    string
		headers []string // of the response; "Name: " is one that is not there
		log     string
	}{
		{name: "a file", app: []string{"X-Sendfile: " + private + "/a.txt"}, want: 200, body: "0123456789",
			headers: []string{"Content-Type: by-name/txt", "Content-Length: 10", "Etag: " + fileTag, "Last-Modified: Wed, 04 Mar 2026 05:06:07 GMT", "Accept-Ranges: bytes", "X-Sendfile: "}},
		{name: "what the app says stays", app: []string{"X-Sendfile: " + private + "/a.txt", "Content-Type: text/x", "Content-Disposition: attachment; filename=x", "Set-Cookie: a=1", "Set-Cookie: b=2",
			"Cache-Control: private", `Etag: "mine"`, "Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT", "X-Other: 1", "Content-Length: 33"}, want: 200, body: "0123456789",
			headers: []string{"Content-Type: text/x", "Content-Disposition: attachment; filename=x", "Set-Cookie: a=1", "Cache-Control: private", `Etag: "mine"`, "Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT", "X-Other: 1", "Content-Length: 10"}},
		{name: "below a folder", app: []string{"X-Sendfile: " + private + "/sub/b.pdf"}, want: 200, body: "PDF"},
		{name: "as it is, with a percent sign", app: []string{"X-Sendfile: " + private + "/100%25.txt"}, want: 200, body: "percent"},
		{name: "decoded", app: []string{"X-Sendfile: " + private + "/%C3%A4%20b.txt"}, want: 200, body: "umlaut"},
		{name: "not in ASCII", app: []string{"X-Sendfile: " + private + "/ä b.txt"}, want: 200, body: "umlaut"},
		{name: "in Latin-1", app: []string{"X-Sendfile: " + private + "/\xe4 b.txt"}, want: 200, body: "umlaut"},
		{name: "hidden: the app knows", app: []string{"X-Sendfile: " + private + "/.hidden"}, want: 200, body: "hidden"},
		{name: "dots within", app: []string{"X-Sendfile: " + private + "/sub/../a.txt"}, want: 200, body: "0123456789"},
		{name: "a link within", app: []string{"X-Sendfile: " + private + "/in"}, want: 200, body: "0123456789"},
		{name: "an absolute link within", app: []string{"X-Sendfile: " + private + "/absolute"}, want: 200, body: "0123456789"},
		{name: "encoded by the app", app: []string{"X-Sendfile: " + private + "/a.txt", "Content-Encoding: gzip"}, want: 200, body: "0123456789", headers: []string{"Content-Encoding: gzip", "Content-Length: 10"}},

		{name: "a range", app: []string{"X-Sendfile: " + private + "/a.txt"}, ask: []string{"Range: bytes=2-4"}, want: 206, body: "234", headers: []string{"Content-Range: bytes 2-4/10", "Content-Length: 3"}},
		{name: "a range beyond", app: []string{"X-Sendfile: " + private + "/a.txt"}, ask: []string{"Range: bytes=20-"}, want: 416, body: "invalid range: failed to overlap\n"},
		{name: "too many ranges", app: []string{"X-Sendfile: " + private + "/a.txt"}, ask: []string{"Range: bytes=0-0" + strings.Repeat(",1-1", 40)}, want: 200, body: "0123456789"},
		{name: "a range if it is the same", app: []string{"X-Sendfile: " + private + "/a.txt", `Etag: "mine"`}, ask: []string{"Range: bytes=2-4", `If-Range: "mine"`}, want: 206, body: "234"},
		{name: "a range if it is another", app: []string{"X-Sendfile: " + private + "/a.txt", `Etag: "mine"`}, ask: []string{"Range: bytes=2-4", `If-Range: "old"`}, want: 200, body: "0123456789"},
		{name: "the same still", app: []string{"X-Sendfile: " + private + "/a.txt", "Set-Cookie: a=1"}, ask: []string{"If-None-Match: " + fileTag}, want: 304, headers: []string{"Etag: " + fileTag, "Set-Cookie: a=1", "Content-Length: "}},
		{name: "the same still, by the app", app: []string{"X-Sendfile: " + private + "/a.txt", `Etag: "mine"`}, ask: []string{`If-None-Match: W/"mine"`}, want: 304, headers: []string{`Etag: "mine"`}},
		{name: "the same still, by time", app: []string{"X-Sendfile: " + private + "/a.txt"}, ask: []string{"If-Modified-Since: Wed, 04 Mar 2026 05:06:07 GMT"}, want: 304},
		{name: "another by now", app: []string{"X-Sendfile: " + private + "/a.txt", `Etag: "mine"`}, ask: []string{`If-Match: "yours"`}, want: 412},
		{name: "another by now, encoded", app: []string{"X-Sendfile: " + private + "/a.txt", `Etag: "mine"`, "Content-Encoding: gzip"}, ask: []string{`If-Match: "yours"`}, want: 412, headers: []string{"Content-Length: 0"}},
		{name: "HEAD", app: []string{"X-Sendfile: " + private + "/a.txt"}, method: "HEAD", want: 200, headers: []string{"Content-Length: 10"}},
		{name: "POST has neither", app: []string{"X-Sendfile: " + private + "/a.txt"}, method: "POST", ask: []string{"Range: bytes=2-4", "If-None-Match: " + fileTag}, want: 200, body: "0123456789"},

		{name: "missing", app: []string{"X-Sendfile: " + private + "/none.txt", "Content-Disposition: attachment", "Set-Cookie: a=1", "Cache-Control: max-age=60"}, want: 404, body: "Not Found\n",
			headers: []string{"Content-Type: text/plain; charset=utf-8", "Content-Disposition: ", "Set-Cookie: a=1", "Cache-Control: no-store", "Etag: "}, log: "none.txt"},
		{name: "a folder", app: []string{"X-Sendfile: " + private + "/sub"}, want: 404, body: "Not Found\n", log: "not a regular file"},
		{name: "the root itself", app: []string{"X-Sendfile: " + private}, want: 500, body: "Internal Server Error\n", log: "outside"},
		{name: "outside", app: []string{"X-Sendfile: " + dir + "/secret/s.txt"}, want: 500, body: "Internal Server Error\n", log: "outside"},
		{name: "beside, with a name that begins alike", app: []string{"X-Sendfile: " + private + "-too/s.txt"}, want: 500, body: "Internal Server Error\n", log: "outside"},
		{name: "outside by dots", app: []string{"X-Sendfile: " + private + "/../secret/s.txt"}, want: 500, body: "Internal Server Error\n", log: "outside"},
		{name: "outside by encoded dots", app: []string{"X-Sendfile: " + private + "/%2e%2e/secret/s.txt"}, want: 500, body: "Internal Server Error\n", log: "outside"},
		{name: "outside by a link", app: []string{"X-Sendfile: " + private + "/out"}, want: 500, body: "Internal Server Error\n", log: "out"},
		{name: "outside by a folder's link", app: []string{"X-Sendfile: " + private + "/away/s.txt"}, want: 500, body: "Internal Server Error\n", log: "away"},
		{name: "outside by an absolute link", app: []string{"X-Sendfile: " + private + "/absolute-out"}, want: 500, body: "Internal Server Error\n", log: "absolute-out"},
		{name: "relative", app: []string{"X-Sendfile: a.txt"}, want: 500, body: "Internal Server Error\n", log: "not absolute"},
		{name: "empty", app: []string{"X-Sendfile: "}, want: 200, body: own, headers: []string{"X-Sendfile: "}, log: "left alone"},
		{name: "twice", app: []string{"X-Sendfile: " + private + "/a.txt", "X-Sendfile: " + private + "/in"}, want: 200, body: own, log: "left alone"},
		{name: "another status", status: 403, app: []string{"X-Sendfile: " + private + "/a.txt"}, want: 403, body: own, headers: []string{"X-Sendfile: "}, log: "status"},
		{name: "nothing of ours", app: []string{"Content-Type: text/x"}, want: 200, body: own, headers: []string{"Content-Type: text/x"}},

		{name: "a path", app: []string{"X-Accel-Redirect: /files/a.txt"}, want: 200, body: "0123456789",
			headers: []string{"Content-Type: text/plain", "X-Inner: GET /files/a.txt", `Etag: "inner"`, "X-Accel-Redirect: ", "Content-Length: 10"}},
		{name: "a path: what the app says stays", app: []string{"X-Accel-Redirect: /files/a.txt", "Content-Type: text/x", "Content-Disposition: attachment", "Cache-Control: mine", `Etag: "mine"`, "Set-Cookie: a=1", "X-Frame-Options: DENY", "Content-Length: 33"}, want: 200, body: "0123456789",
			headers: []string{"Content-Type: text/x", "Content-Disposition: attachment", "Cache-Control: mine", `Etag: "mine"`, "Set-Cookie: a=1", "X-Frame-Options: DENY", "Content-Length: 10"}},
		{name: "a path with blanks", app: []string{"X-Accel-Redirect: /files/a b.txt"}, want: 200, body: "0123456789"},
		{name: "a path that is escaped", app: []string{"X-Accel-Redirect: /files/a%20b.txt"}, want: 200, body: "0123456789"},
		{name: "a path with a percent sign", app: []string{"X-Accel-Redirect: /files/100%.txt"}, want: 200, body: "0123456789"},
		{name: "a path in Latin-1", app: []string{"X-Accel-Redirect: /none/\xe4"}, want: 404, body: "404 inner\n", headers: []string{"X-Inner: GET /none/%C3%A4"}},
		{name: "a path with a query", app: []string{"X-Accel-Redirect: /files/a.txt?x=%20y"}, want: 200, body: "0123456789", headers: []string{"X-Inner: GET /files/a.txt?x=%20y"}},
		{name: "a path and a range", app: []string{"X-Accel-Redirect: /files/a.txt"}, ask: []string{"Range: bytes=2-4"}, want: 206, body: "234"},
		{name: "a path and a range of the app's", app: []string{"X-Accel-Redirect: /files/a.txt", `Etag: "mine"`}, ask: []string{"Range: bytes=2-4", `If-Range: "mine"`}, want: 206, body: "234", headers: []string{`Etag: "mine"`}},
		{name: "a path and a range of another", app: []string{"X-Accel-Redirect: /files/a.txt", `Etag: "mine"`}, ask: []string{"Range: bytes=2-4", `If-Range: "inner"`}, want: 200, body: "0123456789"},
		{name: "a path and two ranges", app: []string{"X-Accel-Redirect: /files/a.txt", "Content-Type: text/x"}, ask: []string{"Range: bytes=2-4,6-7"}, want: 206, body: "?"},
		{name: "a path that is the same still", app: []string{"X-Accel-Redirect: /files/a.txt"}, ask: []string{`If-None-Match: "inner"`}, want: 304},
		{name: "a path that is the same still, by the app", app: []string{"X-Accel-Redirect: /files/a.txt", `Etag: "mine"`, "Content-Type: text/x"}, ask: []string{`If-None-Match: "x", "mine"`}, want: 304, headers: []string{`Etag: "mine"`}},
		{name: "a path that the app has changed", app: []string{"X-Accel-Redirect: /files/a.txt", `Etag: "mine"`}, ask: []string{`If-None-Match: "inner"`}, want: 200, body: "0123456789"},
		{name: "a path for one that is another by now", app: []string{"X-Accel-Redirect: /files/a.txt", `Etag: "mine"`}, ask: []string{`If-Match: "inner"`}, want: 412},
		{name: "a path that is encoded", app: []string{"X-Accel-Redirect: /files/encoded", `Etag: "mine"`}, want: 200, body: "encoded", headers: []string{`Etag: W/"mine"`, "Content-Encoding: gzip"}},
		{name: "a path and HEAD", app: []string{"X-Accel-Redirect: /files/a.txt"}, method: "HEAD", want: 200, headers: []string{"X-Inner: HEAD /files/a.txt"}},
		{name: "a path and POST", app: []string{"X-Accel-Redirect: /files/a.txt"}, method: "POST", want: 200, body: "0123456789", headers: []string{"X-Inner: GET /files/a.txt"}},
		{name: "a path that is missing", app: []string{"X-Accel-Redirect: /none", "Content-Type: text/x", "Content-Disposition: attachment", "Set-Cookie: a=1"}, want: 404, body: "404 inner\n",
			headers: []string{"Content-Type: text/plain; charset=utf-8", "Content-Disposition: ", "Set-Cookie: a=1"}},
		{name: "a path with nothing", app: []string{"X-Accel-Redirect: /empty", "Set-Cookie: a=1"}, want: 200, headers: []string{"Set-Cookie: a=1"}},
		{name: "a path that leads in a circle", app: []string{"X-Accel-Redirect: /deep", "Content-Type: text/x", "Set-Cookie: a=1"}, want: 500, body: "Internal Server Error\n", headers: []string{"Set-Cookie: a=1"}, log: "too deep"},
		{name: "no path", app: []string{"X-Accel-Redirect: @named"}, want: 500, body: "Internal Server Error\n", log: "not a path"},
		{name: "a URL", app: []string{"X-Accel-Redirect: http://other/x"}, want: 500, body: "Internal Server Error\n", log: "not a path"},
		{name: "two slashes", app: []string{"X-Accel-Redirect: //other/x"}, want: 500, body: "Internal Server Error\n", log: "two slashes"},
		{name: "both: the file", app: []string{"X-Sendfile: " + private + "/sub/b.pdf", "X-Accel-Redirect: /files/a.txt"}, want: 200, body: "PDF", headers: []string{"X-Accel-Redirect: "}},

		{name: "a charset", app: []string{"X-Sendfile: " + private + "/a.txt", "Content-Type: text/plain", "X-Accel-Charset: koi8-r"}, want: 200, body: "0123456789", headers: []string{"Content-Type: text/plain; charset=koi8-r", "X-Accel-Charset: "}},
		{name: "a charset that is there", app: []string{"Content-Type: text/plain; charset=utf-8", "X-Accel-Charset: koi8-r"}, want: 200, body: own, headers: []string{"Content-Type: text/plain; charset=utf-8", "X-Accel-Charset: "}},
		{name: "what has nothing to do", app: []string{"X-Accel-Buffering: no", "X-Accel-Expires: 60", "X-Accel-Limit-Rate: 0"}, want: 200, body: own, headers: []string{"X-Accel-Buffering: ", "X-Accel-Expires: ", "X-Accel-Limit-Rate: "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.status == 0 {
				tt.status = 200
			}
			if tt.method == "" {
				tt.method = "GET"
			}
			log := &logged{}
			s := sender(t, dir, log, answer(tt.status, tt.app...))
			res, body := fetch(t, s, tt.method, tt.ask...)
			if res.StatusCode != tt.want || body != tt.body && tt.body != "?" {
				t.Errorf("%d %q, want %d %q", res.StatusCode, body, tt.want, tt.body)
			}
			for _, h := range tt.headers {
				name, value, _ := strings.Cut(h, ": ")
				if got := res.Header.Get(name); got != value {
					t.Errorf("%s: %q, want %q", name, got, value)
				}
			}
			if (tt.log == "") != (log.String() == "") || !strings.Contains(log.String(), tt.log) {
				t.Errorf("log %q, want %q", log, tt.log)
			}
			if all := fmt.Sprint(res.Header, body); res.StatusCode >= 400 && strings.Contains(all, dir) {
				t.Errorf("the client is told a path: %s", all)
			}
		})
	}
}

// TestLink: a root may be a symlink, and the app may know either of its names.
func TestLink(t *testing.T) {
	dir := world(t)
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := &Sender{roots: []root{{filepath.Join(dir, "link")}}}
	for _, name := range []string{filepath.Join(dir, "link/a.txt"), filepath.Join(real, "private/a.txt")} {
		f, _, err := s.open(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		f.Close()
	}
	if _, _, err := s.open(filepath.Join(dir, "secret/s.txt")); err == nil {
		t.Error("a file beside is opened")
	}
}

// TestStrip: where nothing may be sent, the client is not told what the app
// would have had sent; the log says so once.
func TestStrip(t *testing.T) {
	log := &logged{}
	s := httptest.NewServer(Strip(answer(200, "X-Sendfile: /x", "X-Accel-Redirect: /y", "X-Accel-Buffering: no"), Options{Log: slog.New(slog.NewTextHandler(log, nil))}))
	defer s.Close()
	for range 3 {
		res, body := fetch(t, s, "GET")
		if body != own || res.Header.Get("X-Sendfile") != "" || res.Header.Get("X-Accel-Redirect") != "" || res.Header.Get("X-Accel-Buffering") == "" {
			t.Errorf("%v %q", res.Header, body)
		}
	}
	if strings.Count(log.String(), "x_sendfile") != 1 {
		t.Errorf("log %q", log)
	}
}

// TestWantsBody: whoever has the app's body is told that nobody wants it.
func TestWantsBody(t *testing.T) {
	for _, tt := range []struct {
		header string
		status int
		wants  bool
	}{{"X-Sendfile", 200, false}, {"X-Accel-Redirect", 200, false}, {"X-Sendfile", 404, true}, {"X-Other", 200, true}, {"X-Empty", 200, true}} {
		a := &writer{w: httptest.NewRecorder(), sender: &Sender{}}
		a.Header().Set(tt.header, "x")
		if tt.header == "X-Empty" {
			a.Header().Set("X-Sendfile", "")
		}
		if a.WantsBody(tt.status) != tt.wants {
			t.Errorf("%s with %d: %v", tt.header, tt.status, !tt.wants)
		}
	}
	if a := (&writer{w: httptest.NewRecorder()}); !a.WantsBody(200) {
		t.Error("a response that is only stripped loses its body")
	}
}

// TestRelease: the app is through before the file is sent.
func TestRelease(t *testing.T) {
	dir := world(t)
	through := false
	s, err := New(Options{Roots: []string{filepath.Join(dir, "private")}, Type: func(string) string { return "x/y" }})
	if err != nil {
		t.Fatal(err)
	}
	rec := &watcher{ResponseRecorder: httptest.NewRecorder(), at: func() {
		if !through {
			t.Error("something is sent before the app is through")
		}
	}}
	s.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		defer func() { through = true }()
		w.Header().Set("X-Sendfile", filepath.Join(dir, "private/a.txt"))
		w.WriteHeader(200)
		_, _ = io.WriteString(w, "body")
	})).ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	if rec.Body.String() != "0123456789" || !rec.file {
		t.Errorf("%q, as a file: %v", rec.Body, rec.file)
	}
}

// watcher sees when a response begins, and whether a file comes.
type watcher struct {
	*httptest.ResponseRecorder
	at   func()
	file bool
}

func (w *watcher) WriteHeader(status int) { w.at(); w.ResponseRecorder.WriteHeader(status) }
func (w *watcher) ReadFrom(src io.Reader) (int64, error) {
	if l, ok := src.(*io.LimitedReader); ok {
		_, w.file = l.R.(*os.File)
	}
	return io.Copy(w.ResponseRecorder, src)
}

// TestPanic: a panic of the app passes, and nothing is sent in its place.
func TestPanic(t *testing.T) {
	dir := world(t)
	s, err := New(Options{Roots: []string{filepath.Join(dir, "private")}, Type: func(string) string { return "x/y" }})
	if err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	defer func() {
		if recover() == nil || rec.Body.Len() > 0 {
			t.Errorf("no panic, or a body: %q", rec.Body)
		}
	}()
	s.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Sendfile", filepath.Join(dir, "private/a.txt"))
		w.WriteHeader(200)
		panic(http.ErrAbortHandler)
	})).ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
}

// TestPace: a body of 4000 bytes at 20000 a second takes a fifth of a second,
// less its first piece; and ends with its client.
func TestPace(t *testing.T) {
	dir := world(t)
	path := filepath.Join(dir, "private/large.txt")
	if err := os.WriteFile(path, bytes.Repeat([]byte("x"), 4000), 0o600); err != nil {
		t.Fatal(err)
	}
	s := sender(t, dir, &logged{}, answer(200, "X-Sendfile: "+path, "X-Accel-Limit-Rate: 20000"))
	start := time.Now()
	res, body := fetch(t, s, "GET")
	if took := time.Since(start); len(body) != 4000 || res.Header.Get("X-Accel-Limit-Rate") != "" || took < 50*time.Millisecond {
		t.Errorf("%d bytes in %v, %v", len(body), took, res.Header)
	}
}

// FuzzOpen: whatever an app names, what is opened lies below the root.
func FuzzOpen(f *testing.F) {
	dir, err := os.MkdirTemp("", "sendfile")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { os.RemoveAll(dir) })
	private := filepath.Join(dir, "private")
	for _, d := range []string{private + "/sub", dir + "/secret"} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			f.Fatal(err)
		}
	}
	for _, name := range []string{private + "/a", private + "/sub/b", dir + "/secret/s"} {
		if err := os.WriteFile(name, []byte(filepath.Base(name)), 0o600); err != nil {
			f.Fatal(err)
		}
	}
	if err := os.Symlink(dir+"/secret", private+"/away"); err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"/private/a", "/private/sub/../a", "/private/../secret/s", "/private/away/s", "/private/%2e%2e/secret/s", "/private/%2Fsecret", "//private//sub/b", "/private/\x00"} {
		f.Add(s)
	}
	s := &Sender{roots: []root{{private}}}
	f.Fuzz(func(t *testing.T, name string) {
		for _, name := range []string{dir + name, name} {
			file, _, err := s.open(name)
			if err != nil {
				continue
			}
			body, _ := io.ReadAll(file)
			file.Close()
			if string(body) != "a" && string(body) != "b" {
				t.Fatalf("%q opens a file with %q", name, body)
			}
		}
	})
}
