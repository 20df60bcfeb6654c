package server

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace/internal/requestid"
)

// A file has an id only where something of its site tells it, and then always.
func TestIDsOfFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.txt"), []byte("a"), 0o644); err != nil {
		t.Fatal(err)
	}
	const text = `
[[site]]
listen = ["127.0.0.1:0"]
SITE
[[site.route]]
path = "/fixed"
respond = { status = 200, body = "BODY" }
[[site.route]]
files = { root = "." }
ROUTE
`
	for name, test := range map[string]struct {
		site, route, body string
		shown             bool
	}{
		"nobody asks":     {body: "-"},
		"shown":           {site: "request_id = true", body: "-", shown: true},
		"a header of the": {route: `headers = { set = { X-Request-ID = "{request_id}" } }`, body: "-", shown: true},
		"by its name":     {route: `headers = { set = { X-Request-ID = "{header.X-Request-Id}" } }`, body: "-", shown: true},
		"when it came":    {route: `headers = { set = { X-Request-ID = "{header.X-Request-Start}" } }`, body: "-", shown: true},
		"in a body":       {body: "{request_id}"},
	} {
		t.Run(name, func(t *testing.T) {
			config := strings.NewReplacer("SITE", test.site, "ROUTE", test.route, "BODY", test.body).Replace(text)
			s := launch(t, parse(t, dir, config), newFakeApps())
			url := s.url("127.0.0.1:0")
			resp, err := http.Get(url + "/a.txt")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if got := resp.Header.Get("X-Request-Id"); (got != "") != test.shown || strings.Contains(got, "{") {
				t.Errorf("a file has the id %q", got)
			}
			if resp, err = http.Get(url + "/fixed"); err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if body, _ := io.ReadAll(resp.Body); test.body != "-" && !requestid.WellFormed(string(body)) {
				t.Errorf("the body tells %q", body)
			}
		})
	}
}
