package e2e

// Development: serve --reload.

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// lastReload is the time that the last reload took: mostly the import.
func (s *server) lastReload() time.Duration {
	s.t.Helper()
	var all struct {
		LastReload struct {
			Took float64 `json:"took_s"`
		} `json:"last_reload"`
	}
	text := s.run("status", "--json")
	if err := json.Unmarshal([]byte(text), &all); err != nil || all.LastReload.Took == 0 {
		s.t.Fatalf("%v in %s", err, text)
	}
	return time.Duration(all.LastReload.Took * float64(time.Second))
}

// TestDevelopment: a save is served soon, on a quiet machine within half a
// second and the time of the import; a save that breaks the import is shown as its traceback until the next.
func TestDevelopment(t *testing.T) {
	dir := plain(t, `
[[site.route]]
path = "/static/*"
files = { root = "static", strip = "/static" }
[[site.route]]
app = "main"
[app.main]
wsgi = "app:application"
env_file = "site.env"
workers = 2
`)
	save := func(text string) {
		t.Helper()
		write(t, dir+"/.app.py.new", "import time\ntime.sleep(0.1)\n"+text)
		if err := os.Rename(dir+"/.app.py.new", dir+"/app.py"); err != nil {
			t.Fatal(err)
		}
	}
	answers := func(version string) string {
		return fmt.Sprintf(`import os
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [("%s " + os.environ.get("NAME", "")).encode()]
`, version)
	}
	write(t, dir+"/static/a.txt", "a")
	write(t, dir+"/site.env", "NAME=first\n")
	save(answers("0"))
	s := start(t, dir, "--reload")
	ask := func() (int, string, http.Header) {
		t.Helper()
		resp, err := http.Get(s.url + "/")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text), resp.Header
	}
	until := func(want string) time.Duration {
		t.Helper()
		began := time.Now()
		s.waitFor(want, func() bool { _, text, _ := ask(); return strings.Contains(text, want) })
		return time.Since(began)
	}
	until("0 first")
	s.waitFor("files are watched", func() bool { // the first saves may come before
		save(answers("1"))
		_, text, _ := ask()
		return text == "1 first"
	})
	for n := 2; n < 6; n++ {
		save(answers(fmt.Sprint(n)))
		all, reload := until(fmt.Sprint(n, " first")), s.lastReload()
		t.Logf("a save is served after %v, of which the reload takes %v", all, reload)
		if quiet() && all-reload > 500*time.Millisecond {
			t.Errorf("a save is served after %v, of which the reload takes %v", all, reload)
		}
	}

	save(answers("broken") + "import nothing_of_this_name # <script>\n")
	until("ModuleNotFoundError")
	code, text, header := ask()
	if code != 500 || !strings.Contains(text, "# <script>") || header.Get("Content-Type") != "text/plain; charset=utf-8" ||
		header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Refresh") != "1" {
		t.Errorf("%d %v\n%s", code, header, text)
	}
	if got := get(t, client(t), s.url+"/static/a.txt", 200).text; got != "a" {
		t.Errorf("a file is %q", got)
	}
	save(answers("mended"))
	until("mended first")
	write(t, dir+"/site.env", "NAME=second\n")
	until("mended second")

	// The configuration: a mistake in it is shown as well.
	path := filepath.Join(dir, "millrace.toml")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, string(before)+"workrs = 3\n")
	until(`unknown key "workrs"`)
	write(t, path, string(before))
	until("mended second")
}
