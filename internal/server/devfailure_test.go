package server

import (
	"errors"
	"net/http"
	"strings"
	"testing"
)

const twoApps = `
[[site]]
listen = ["127.0.0.1:0"]
[[site.route]]
path = "/two/*"
app = "two"
[[site.route]]
app = "one"
[app.one]
wsgi = "one:app"
[app.two]
wsgi = "two:app"
`

// TestFailedReloadIsShown: in development, to this machine, by the app that
// cannot serve, until a reload succeeds.
func TestFailedReloadIsShown(t *testing.T) {
	for _, development := range []bool{true, false} {
		dir := t.TempDir()
		apps := newFakeApps()
		apps.fail["two:broken"] = errors.New("Traceback\nSyntaxError: <two>")
		plan := func(text string) *Plan {
			p := parse(t, dir, text)
			p.Development = development
			return p
		}
		s := launch(t, plan(twoApps), apps)
		url := s.url("127.0.0.1:0")
		if err := s.reloadTo(plan(strings.Replace(twoApps, "two:app", "two:broken", 1))); err == nil {
			t.Fatal("it can be reloaded")
		}
		wantGet(t, url+"/", 200, "one one:app / 0")
		if code, text := get(t, url+"/two/x"); development != (code == 500 && strings.Contains(text, "SyntaxError: <two>")) {
			t.Errorf("in development %v: %d %s", development, code, text)
		}
		req, err := http.NewRequest("GET", url+"/two/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", "192.0.2.1") // from somewhere else
		if res, err := http.DefaultClient.Do(req); err != nil || res.StatusCode != 200 {
			t.Errorf("others: %v %v", res, err)
		} else {
			res.Body.Close()
		}
		if err := s.reloadTo(plan(twoApps)); err != nil {
			t.Fatal(err)
		}
		wantGet(t, url+"/two/x", 200, "two two:app /two/x 0")

		s.mu.Lock()
		s.err = errors.New("millrace.toml:3: unknown key")
		s.mu.Unlock()
		if _, err := s.Reload(t.Context()); err == nil {
			t.Fatal("it can be reloaded")
		}
		if code, text := get(t, url+"/"); development != (code == 500 && strings.Contains(text, "unknown key")) {
			t.Errorf("in development %v: %d %s", development, code, text)
		}
	}
}
