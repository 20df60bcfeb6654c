package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// errorSite starts the app of testdata/errors, or another, with a site that
// shows request ids.
func errorSite(t *testing.T, folder, wsgi, more string) *server {
	t.Helper()
	text := `
[[site]]
listen = ["127.0.0.1:0"]
access_log = "access.log"
request_id = true
[[site.route]]
app = "main"
[app.main]
wsgi = "` + wsgi + `"
venv = "` + venv + `"
workers = 1
` + more
	if err := os.WriteFile(filepath.Join(folder, "millrace.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, folder)
}

func errorFolder(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS("testdata/errors")); err != nil {
		t.Fatal(err)
	}
	return folder
}

// logged waits for a line of the server's output that holds all texts.
func (s *server) logged(texts ...string) {
	s.t.Helper()
	s.waitFor(strings.Join(texts, " … "), func() bool {
		for line := range strings.Lines(s.log.String()) {
			all := true
			for _, text := range texts {
				all = all && strings.Contains(line, text)
			}
			if all {
				return true
			}
		}
		return false
	})
}

// ownID is an id of millrace's own.
var ownID = regexp.MustCompile(`^[0-9a-z]{20}$`)

// TestRequestIDsAgree: the response, the app's environ, what the app prints,
// the error page, the error log and the access log name a request alike.
func TestRequestIDsAgree(t *testing.T) {
	s := errorSite(t, errorFolder(t), "app:application", "")
	c := client(t)
	var ids []string
	for path, status := range map[string]int{"/talk": 200, "/raise": 500, "/leave": 502} {
		resp := get(t, c, s.url+path, status)
		shown := resp.Header["X-Request-Id"]
		if len(shown) != 1 || !ownID.MatchString(shown[0]) {
			t.Fatalf("%s: X-Request-ID is %q", path, shown)
		}
		id := shown[0]
		ids = append(ids, path+" "+id)
		switch path {
		case "/talk":
			told := decode[map[string]string](t, resp)
			if told["HTTP_X_REQUEST_ID"] != id {
				t.Errorf("the app was told %q, the client %q", told["HTTP_X_REQUEST_ID"], id)
			}
			for _, text := range []string{"printed by ", "logged by ", "errors of "} {
				s.logged(text+id, "app=main", "pid=", "request="+id)
			}
			s.logged("raw of "+id, "app=main", "pid=") // it has no mark: the request may be over when it is read
		case "/raise":
			if want := "Internal Server Error\nrequest id: " + id + "\n"; resp.text != want {
				t.Errorf("the page is %q, want %q", resp.text, want)
			}
			s.logged("exception in GET /raise", "request="+id)
			s.logged("RuntimeError: the wheel is stuck", "request="+id)
			s.logged("the app raised an exception", "request="+id, "method=GET", "uri=/raise")
		case "/leave":
			if want := "Bad Gateway\nrequest id: " + id + "\n"; resp.text != want {
				t.Errorf("the page is %q, want %q", resp.text, want)
			}
			s.logged("worker died while it ran a request", "request="+id, "uri=/leave")
		}
	}
	s.waitFor("the access log", func() bool {
		text, err := os.ReadFile(filepath.Join(s.dir, "access.log"))
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, path := range ids {
			path, id, _ := strings.Cut(path, " ")
			for line := range strings.Lines(string(text)) {
				if strings.Contains(line, `"GET `+path+` `) && strings.HasSuffix(line, ` "`+id+"\"\n") {
					found++
				}
			}
		}
		return found == len(ids)
	})
}

// TestPassedOn: what came with a request of this machine reaches the app.
func TestPassedOn(t *testing.T) {
	s := errorSite(t, errorFolder(t), "app:application", "")
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	ask := func(header map[string]string) (map[string]string, http.Header) {
		req, err := http.NewRequest("GET", s.url+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range header {
			req.Header.Set(name, value)
		}
		resp, err := client(t).Do(req)
		got := read(t, resp, err, http.StatusOK)
		return decode[map[string]string](t, got), got.Header
	}
	before := time.Now()
	told, header := ask(map[string]string{"X-Request-ID": "mine:1", "Traceparent": parent, "Tracestate": "a=b"})
	if told["HTTP_X_REQUEST_ID"] != "mine:1" || header.Get("X-Request-ID") != "mine:1" {
		t.Errorf("the id became %q, and in the response %q", told["HTTP_X_REQUEST_ID"], header.Get("X-Request-ID"))
	}
	if told["HTTP_TRACEPARENT"] != parent || told["HTTP_TRACESTATE"] != "a=b" {
		t.Errorf("traceparent became %q, tracestate %q", told["HTTP_TRACEPARENT"], told["HTTP_TRACESTATE"])
	}
	micros, ok := strings.CutPrefix(told["HTTP_X_REQUEST_START"], "t=")
	at, err := strconv.ParseInt(micros, 10, 64)
	if err != nil || !ok || at < before.UnixMicro() || at > time.Now().UnixMicro() {
		t.Errorf("X-Request-Start is %q", told["HTTP_X_REQUEST_START"])
	}
	told, header = ask(map[string]string{"X-Request-ID": "not well formed", "Traceparent": "x", "X-Request-Start": "t=7"})
	if id := told["HTTP_X_REQUEST_ID"]; !ownID.MatchString(id) || header.Get("X-Request-ID") != id {
		t.Errorf("the id became %q, and in the response %q", id, header.Get("X-Request-ID"))
	}
	if _, ok := told["HTTP_TRACEPARENT"]; ok || told["HTTP_X_REQUEST_START"] != "t=7" {
		t.Errorf("the app was told %v", told)
	}
}

// TestTracebackTo: who is named sees the traceback; a proxy's clients do not.
func TestTracebackTo(t *testing.T) {
	s := errorSite(t, errorFolder(t), "app:application", `traceback_to = ["127.0.0.0/8"]`)
	page := get(t, client(t), s.url+"/raise", http.StatusInternalServerError)
	for _, text := range []string{"request id: ", "app.py\", line ", "RuntimeError: the wheel is stuck\n"} {
		if !strings.Contains(page.text, text) {
			t.Errorf("the page lacks %q:\n%s", text, page.text)
		}
	}
	req, err := http.NewRequest("GET", s.url+"/raise", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Forwarded-For", "192.0.2.1")
	resp, err := client(t).Do(req)
	if page := read(t, resp, err, http.StatusInternalServerError); strings.Contains(page.text, "stuck") {
		t.Errorf("a proxy's client sees:\n%s", page.text)
	}
}

// TestDjangoErrors: the traceback that Django swallows is in the error log,
// once, with the request's id; the client gets Django's own page.
func TestDjangoErrors(t *testing.T) {
	folder := startproject(t)
	appendTo(t, filepath.Join(folder, "mysite", "settings.py"), "\nDEBUG = False\nALLOWED_HOSTS = [\"127.0.0.1\"]\n")
	appendTo(t, filepath.Join(folder, "mysite", "urls.py"), `

def stuck(request):
    raise RuntimeError("the wheel is stuck")


urlpatterns.append(path("stuck", stuck))
`)
	for name, preload := range map[string]string{"preloaded": "true", "in each worker": "false"} {
		t.Run(name, func(t *testing.T) {
			s := errorSite(t, folder, "mysite.wsgi:application", "preload = "+preload+"\n")
			page := get(t, client(t), s.url+"/stuck", http.StatusInternalServerError)
			if !strings.Contains(page.text, "<h1>Server Error (500)</h1>") || strings.Contains(page.text, "stuck") {
				t.Errorf("the page is %q", page.text)
			}
			id := page.Header.Get("X-Request-ID")
			s.logged("exception in GET /stuck", "request="+id)
			s.logged("urls.py", "in stuck", "request="+id)
			s.logged("RuntimeError: the wheel is stuck", "request="+id)
			get(t, client(t), s.url+"/nowhere", http.StatusNotFound)
			if n := strings.Count(s.log.String(), "RuntimeError: the wheel"); n != 1 {
				t.Errorf("logged %d times", n)
			}
		})
	}
	t.Run("shown", func(t *testing.T) {
		s := errorSite(t, folder, "mysite.wsgi:application", "traceback_to = \"127.0.0.1\"\n")
		page := get(t, client(t), s.url+"/stuck", http.StatusInternalServerError)
		if !strings.Contains(page.text, "in stuck\n") || !strings.HasSuffix(page.text, "RuntimeError: the wheel is stuck\n") {
			t.Errorf("the page is %q", page.text)
		}
		get(t, client(t), s.url+"/nowhere", http.StatusNotFound)
	})
}
