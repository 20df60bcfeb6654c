package server

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"millrace/internal/accesslog"
	"millrace/internal/config"
	"millrace/internal/upstream"
)

func TestLogNames(t *testing.T) {
	if !slices.Equal(config.LogNames, accesslog.Names) {
		t.Errorf("package config knows %q, package accesslog %q", config.LogNames, accesslog.Names)
	}
}

func TestCookieFlags(t *testing.T) {
	for _, word := range config.CookieFlags {
		if !upstream.CookieFlag(word) {
			t.Errorf("package upstream does not know %q", word)
		}
	}
}

func TestSiteName(t *testing.T) {
	for want, hosts := range map[string][]string{"": {"*.example.com", "~^x$"}, "b.example": {"*.example.com", "b.example", "c.example"}} {
		if got := siteName(&config.Site{Hosts: hosts}); got != want {
			t.Errorf("%q is named %q", hosts, got)
		}
	}
}

// A site's log has its format, tells who has answered, and is renamed when it
// has grown.
func TestLogFormat(t *testing.T) {
	dir := wholeSite(t)
	text := strings.Replace(whole, "access_log =", "log_format = \"json\"\naccess_log_max_size = \"700B\"\naccess_log_keep = 2\naccess_log =", 1)
	s := launch(t, parse(t, dir, text), newFakeApps())
	for _, path := range []string{"/media/a.txt", "/api/x"} {
		get(t, s.url("127.0.0.1:0")+path)
	}
	if err := s.ReopenLogs(); err != nil { // which writes them
		t.Fatal(err)
	}
	log, err := os.ReadFile(dir + "/access.log")
	if err != nil {
		t.Fatal(err)
	}
	apps := map[string]string{}
	for line := range strings.Lines(string(log)) {
		var e struct {
			Site, URI, App string
			Status         int
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Site != "mysite.com" || e.Status != 200 {
			t.Errorf("%v in %s", err, line)
		}
		apps[e.URI] = e.App
	}
	if len(apps) != 2 || apps["/api/x"] != "main" || apps["/media/a.txt"] != "" {
		t.Errorf("answered by %v", apps)
	}
	for range 10 {
		get(t, s.url("127.0.0.1:0")+"/media/a.txt")
		if err := s.ReopenLogs(); err != nil {
			t.Fatal(err)
		}
	}
	names, err := filepath.Glob(dir + "/access.log*")
	if want := []string{dir + "/access.log", dir + "/access.log.1", dir + "/access.log.2"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("there are %q, %v", names, err)
	}
	// And no more when a reload says so.
	s.next = parse(t, dir, whole)
	if _, err := s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		get(t, s.url("127.0.0.1:0")+"/media/a.txt")
	}
	if err := s.ReopenLogs(); err != nil {
		t.Fatal(err)
	}
	if log, err = os.ReadFile(dir + "/access.log"); err != nil || strings.Count(string(log), `"GET /media/a.txt HTTP/1.1" 200`) != 10 {
		t.Errorf("after a reload: %v, %s", err, log)
	}
}
