package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"millrace/internal/config"
	"millrace/internal/project"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestFingerprint(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a.py", "a")
	write(t, dir+"/env/pyvenv.cfg", "")
	last, complete := fingerprint([]string{dir})
	if !complete {
		t.Error("incomplete")
	}
	for _, step := range []struct {
		name string
		do   func()
		seen bool
	}{
		{"nothing", func() {}, false},
		{"longer", func() { write(t, dir+"/a.py", "aa") }, true},
		{"touched", func() { os.Chtimes(dir+"/a.py", time.Time{}, time.Unix(1, 0)) }, true},
		{"added below", func() { write(t, dir+"/pkg/sub/b.py", "") }, true},
		{"renamed", func() { os.Rename(dir+"/pkg/sub/b.py", dir+"/pkg/sub/c.py") }, true},
		{"removed", func() { os.Remove(dir + "/pkg/sub/c.py") }, true},
		{"a text", func() { write(t, dir+"/notes.txt", "x") }, false},
		{"hidden", func() { write(t, dir+"/.git/x.py", "x") }, false},
		{"compiled", func() { write(t, dir+"/__pycache__/x.py", "x") }, false},
		{"virtual environment", func() { write(t, dir+"/env/lib/x.py", "x") }, false},
		{"node", func() { write(t, dir+"/node_modules/x.py", "x") }, false},
	} {
		step.do()
		now, _ := fingerprint([]string{dir})
		if (now != last) != step.seen {
			t.Errorf("%s: seen %v, want %v", step.name, now != last, step.seen)
		}
		last = now
	}
	if _, complete := fingerprint([]string{dir + "/missing"}); !complete {
		t.Error("a missing folder is no folder too large")
	}
}

func TestFingerprintIsBounded(t *testing.T) {
	dir := t.TempDir()
	name := dir + "/a.py"
	write(t, name, "")
	for i := range maxWatched {
		if err := os.Link(name, filepath.Join(dir, time.Duration(i).String()+".txt")); err != nil {
			t.Fatal(err)
		}
	}
	if _, complete := fingerprint([]string{dir}); complete {
		t.Error("complete")
	}
}

func TestWatch(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a.py", "a")
	ctx, cancel := context.WithCancel(t.Context())
	changed, asked, done := make(chan struct{}, 1), make(chan struct{}, 100), make(chan struct{})
	go func() {
		defer close(done)
		watch(ctx, func() []string { asked <- struct{}{}; return []string{dir} }, slog.New(slog.DiscardHandler), func() { changed <- struct{}{} })
	}()
	<-asked // of the start; the next one is of the first round, which sees the start's state done
	<-asked
	write(t, dir+"/new", "longer")
	if err := os.Rename(dir+"/new", dir+"/a.py"); err != nil { // in one step, so that it is one change
		t.Fatal(err)
	}
	<-changed
	cancel()
	<-done
	if len(changed) != 0 {
		t.Error("one change was told twice")
	}
}

func TestFoldersOf(t *testing.T) {
	f := &found{Found: &project.Found{Config: &config.Config{Apps: map[string]*config.App{
		"a": {Dir: "/srv/site"}, "b": {Dir: "/srv/site/"}, "c": {Dir: "/srv/site/inner"}, "d": {Dir: "/srv/site2"},
	}}}}
	got := foldersOf(f)
	if len(got) != 2 || got[0] != "/srv/site" || got[1] != "/srv/site2" {
		t.Errorf("%q", got)
	}
}
