package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMaintenance: one command, for everything; it holds through a reload and
// an upgrade.
func TestMaintenance(t *testing.T) {
	dir := plain(t, `maintenance = "down.html"
[[site.route]]
path = "/health"
health = true
[[site.route]]
app = "main"
[app.main]
wsgi = "app:application"
workers = 1
`)
	write(t, filepath.Join(dir, "down.html"), "<p>back at noon</p>")
	s := start(t, dir)
	c := client(t)
	get(t, c, s.url+"/", 200)
	if out := s.run("maintenance", "on"); out != "maintenance is on\n" {
		t.Errorf("%q", out)
	}
	down := func(when string) {
		t.Helper()
		res := get(t, c, s.url+"/", 503)
		if res.text != "<p>back at noon</p>" || res.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %q %v", when, res.text, res.Header)
		}
		get(t, c, s.url+"/health", 200)
	}
	down("on")
	s.run("maintenance", "on")
	s.run("reload")
	down("after a reload")
	s.run("upgrade")
	c.CloseIdleConnections() // to the front before
	down("after an upgrade")
	if text := s.run("status"); !strings.Contains(text, "in maintenance since ") || !strings.Contains(text, ": everything\n") {
		t.Errorf("status:\n%s", text)
	}
	s.run("maintenance", "off")
	get(t, c, s.url+"/", 200)

	if out, code := s.try("maintenance", "on", "--app", "mian"); code != 1 || !strings.Contains(out, "there are main") {
		t.Errorf("%d %s", code, out)
	}
	if out, code := s.try("maintenance"); code != 2 || !strings.Contains(out, "on or off") {
		t.Errorf("%d %s", code, out)
	}
	get(t, c, s.url+"/", 200)
	if err := os.Remove(filepath.Join(dir, "down.html")); err != nil {
		t.Fatal(err)
	}
	if out, code := s.try("reload"); code != 1 || !strings.Contains(out, "down.html") {
		t.Errorf("%d %s", code, out)
	}
}
