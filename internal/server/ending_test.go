package server

import (
	"strings"
	"testing"
	"time"
)

// TestEndWithoutAnApp: an app that does not end keeps neither the server nor
// the other apps, and is named.
func TestEndWithoutAnApp(t *testing.T) {
	dir := t.TempDir()
	apps := newFakeApps()
	end := make(chan struct{})
	apps.outlive = map[string]chan struct{}{"other": end}
	text := strings.Replace(followed, "[server]", "[server]\nshutdown_timeout = \"10ms\"", 1)
	s := launch(t, parse(t, dir, strings.ReplaceAll(text, ":app\"", ":app\"\nstop_timeout = \"10ms\"")), apps)
	defer close(end)
	s.grace = 50 * time.Millisecond
	select {
	case <-s.Stop():
	case <-time.After(10 * time.Second):
		t.Fatal("it waits for an app that does not end")
	}
	<-apps.get("main").done
	if log := s.log.String(); !strings.Contains(log, "app=other") || strings.Contains(log, "app=main") {
		t.Errorf("the log: %s", log)
	}
}

// TestEndWithoutALeftApp: the same of one that a reload has left.
func TestEndWithoutALeftApp(t *testing.T) {
	dir := t.TempDir()
	apps := newFakeApps()
	end := make(chan struct{})
	apps.outlive = map[string]chan struct{}{"other": end}
	text := strings.Replace(followed, "[server]", "[server]\nshutdown_timeout = \"10ms\"", 1)
	text = strings.ReplaceAll(text, ":app\"", ":app\"\nstop_timeout = \"10ms\"")
	s := launch(t, parse(t, dir, text), apps)
	defer close(end)
	s.grace = 50 * time.Millisecond
	if err := s.reloadTo(parse(t, dir, strings.NewReplacer("[app.other]", "[app.next]", `app = "other"`, `app = "next"`).Replace(text))); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.Stop():
	case <-time.After(10 * time.Second):
		t.Fatal("it waits for an app that does not end")
	}
	if log := s.log.String(); !strings.Contains(log, "left behind\" app=other") {
		t.Errorf("the log: %s", log)
	}
}
