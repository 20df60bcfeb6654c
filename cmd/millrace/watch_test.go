package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"syscall"
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

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// changes are what may happen to a folder, and whether that is a change of the
// app.
func changes(t *testing.T, dir, outside string) []change {
	return []change{
		{"longer", true, func() { write(t, dir+"/a.py", "aa") }},
		{"of the same size", true, func() { write(t, dir+"/a.py", "bb") }},
		{"touched", true, func() { must(t, os.Chtimes(dir+"/a.py", time.Time{}, time.Unix(1, 0))) }},
		{"its mode", false, func() { must(t, os.Chmod(dir+"/a.py", 0o600)) }},
		{"saved by a rename", true, func() { write(t, dir+"/.a.py.swp", "new"); must(t, os.Rename(dir+"/.a.py.swp", dir+"/a.py")) }},
		{"saved with a backup", true, func() {
			must(t, os.Rename(dir+"/a.py", dir+"/a.py~"))
			write(t, dir+"/a.py", "newer")
		}},
		{"added", true, func() { write(t, dir+"/b.py", "") }},
		{"a new folder", true, func() { write(t, dir+"/pkg/sub/c.py", "") }},
		{"in the new folder", true, func() { write(t, dir+"/pkg/sub/c.py", "c") }},
		{"a folder without sources", false, func() { write(t, dir+"/data/notes.txt", "") }},
		{"in that folder later", true, func() { write(t, dir+"/data/d.py", "") }},
		{"a folder is renamed", true, func() { must(t, os.Rename(dir+"/pkg", dir+"/other")) }},
		{"in the renamed folder", true, func() { write(t, dir+"/other/sub/c.py", "cc") }},
		{"a folder is moved in", true, func() { must(t, os.Rename(outside+"/lib", dir+"/lib")) }},
		{"in that one", true, func() { write(t, dir+"/lib/e.py", "e") }},
		{"removed", true, func() { must(t, os.Remove(dir+"/b.py")) }},
		{"a folder is removed", true, func() { must(t, os.RemoveAll(dir+"/other")) }},
		{"a template", true, func() { write(t, dir+"/templates/base.html", "<p>") }},
		{"a text", false, func() { write(t, dir+"/notes.txt", "x") }},
		{"hidden", false, func() { write(t, dir+"/.git/x.py", "x") }},
		{"compiled", false, func() { write(t, dir+"/__pycache__/x.py", "x") }},
		{"a virtual environment", false, func() { write(t, dir+"/env/lib/x.py", "x") }},
		{"node", false, func() { write(t, dir+"/node_modules/x.py", "x") }},
		{"an editor's lock", false, func() { must(t, os.Symlink("nobody@nowhere", dir+"/.#a.py")) }},
		{"the configuration", true, func() { write(t, outside+"/millrace.toml", "x") }},
		{"beside the configuration", false, func() { write(t, outside+"/x.py", "x") }},
		{"a file of variables that was not there", true, func() { write(t, outside+"/late.env", "A=1") }},
		{"it is gone again", true, func() { must(t, os.Remove(outside+"/late.env")) }},
		{"a symlink leads elsewhere", true, func() {
			must(t, os.Symlink("there", outside+"/next"))
			must(t, os.Rename(outside+"/next", outside+"/current"))
		}},
	}
}

type change struct {
	name string
	is   bool
	do   func()
}

// laid out is what changes begins with.
func laidOut(t *testing.T) (dir, outside string, at places) {
	dir, outside = t.TempDir(), t.TempDir()
	write(t, dir+"/a.py", "a")
	write(t, dir+"/env/pyvenv.cfg", "")
	write(t, outside+"/lib/e.py", "")
	write(t, outside+"/millrace.toml", "")
	must(t, os.Symlink("here", outside+"/current"))
	return dir, outside, places{folders: []string{dir}, files: []string{outside + "/current", outside + "/late.env", outside + "/millrace.toml"}}
}

// TestLook: what a look at everything sees.
func TestLook(t *testing.T) {
	dir, outside, at := laidOut(t)
	w := &watcher{log: slog.New(slog.DiscardHandler)}
	w.begin(at)
	if w.look() {
		t.Error("a change before any")
	}
	for _, c := range changes(t, dir, outside) {
		c.do()
		if got := w.look(); got != c.is {
			t.Errorf("%s: seen %v, want %v", c.name, got, c.is)
		}
	}
}

// TestWatch: what the system tells of, one change after the other, each told
// once, without a look at all files. A marker that is a change shows that what
// came before it was none.
func TestWatch(t *testing.T) {
	dir, outside, at := laidOut(t)
	marker := outside + "/marker.env"
	at.files = append(at.files, marker)
	write(t, marker, "")
	w := &watcher{log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	w.open()
	defer w.close()
	w.begin(at)
	until := func(want bool, what string, done func() bool) {
		t.Helper()
		hit := false
		deadline := time.After(busy)
		for !done() {
			select {
			case e := <-w.events():
				if filepath.Clean(e.Name) == marker {
					w.event(e)
					continue
				}
				hit = w.event(e) || hit
			case err := <-w.errors():
				t.Fatal(err)
			case <-deadline:
				t.Fatalf("%s: the system does not tell", what)
			}
		}
		if hit != want {
			t.Errorf("%s: told %v, want %v", what, hit, want)
		}
	}
	for n, c := range changes(t, dir, outside) {
		c.do()
		write(t, marker+".new", fmt.Sprint("after ", n))
		must(t, os.Rename(marker+".new", marker)) // one event
		until(c.is, c.name, func() bool { s, ok := stampOf(marker); return ok && w.known[marker] == s })
		if w.look() {
			t.Errorf("%s: a look sees what the system did not tell of", c.name)
		}
	}
}

// watching runs a watcher until the test's end; told is when it told of changes.
func watching(t *testing.T, at places) (told chan time.Time) {
	told = make(chan time.Time, 100)
	w := &watcher{log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	w.open()
	w.begin(at)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer w.close()
		w.run(ctx, func() places { return at }, func() { told <- time.Now() })
	}()
	t.Cleanup(func() { cancel(); <-done })
	return told
}

// nextTold is when the next change was told of.
func nextTold(t *testing.T, told <-chan time.Time) time.Time {
	t.Helper()
	select {
	case when := <-told:
		return when
	case <-time.After(busy):
		t.Fatal("a change is not told of")
		return time.Time{}
	}
}

// TestSaves: a save is told within a quarter of a second, once; many files at
// a time are told together.
func TestSaves(t *testing.T) {
	dir, _, at := laidOut(t)
	told := watching(t, at)
	shortest := time.Hour // of several: the machine may be busy
	for n := range 10 {
		began := time.Now()
		write(t, dir+"/.new", fmt.Sprint(n))
		must(t, os.Rename(dir+"/.new", dir+"/a.py"))
		when := nextTold(t, told)
		shortest = min(shortest, when.Sub(began))
	}
	t.Logf("told after %v at least", shortest)
	if shortest > lookAlone {
		t.Errorf("told after %v", shortest)
	}
	began := time.Now()
	for n := range 200 {
		write(t, fmt.Sprintf("%s/many/%d.py", dir, n), "x")
	}
	last := time.Now()
	times := 1
	for nextTold(t, told).Before(last.Add(-quiet)) {
		times++
	}
	if times > 1+int(last.Sub(began)/quiet) {
		t.Errorf("200 files were told %d times", times)
	}
}

// TestManyFiles: 20,000 files cost next to nothing while nothing happens, and a
// save is told as fast as of one.
func TestManyFiles(t *testing.T) {
	dir := t.TempDir()
	for n := range 200 {
		folder := fmt.Sprintf("%s/p%d/q", dir, n)
		must(t, os.MkdirAll(folder, 0o755))
		for m := range 100 {
			must(t, os.WriteFile(fmt.Sprintf("%s/%d.py", folder, m), nil, 0o644))
		}
	}
	w := &watcher{log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	w.open()
	defer w.close()
	w.begin(places{folders: []string{dir}})
	if len(w.known) != 20_000 || w.alone {
		t.Fatalf("%d files are known; alone %v", len(w.known), w.alone)
	}
	began, cpu := time.Now(), processCPU(t)
	if w.look() {
		t.Error("a change before any")
	}
	took, cpu := time.Since(began), processCPU(t)-cpu
	share := float64(cpu) / float64(w.pause(took))
	t.Logf("a look takes %v, %v of processor time: %.2f%% of one at rest", took, cpu, 100*share)
	if share > 0.02 {
		t.Errorf("at rest it takes %.1f%% of a processor", 100*share)
	}

	told := watching(t, places{folders: []string{dir}})
	after := time.Hour
	for n := range 5 {
		began = time.Now()
		write(t, dir+"/p199/q/99.py", fmt.Sprint("changed", n))
		after = min(after, nextTold(t, told).Sub(began))
	}
	t.Logf("told after %v at least", after)
	if after > lookAlone {
		t.Errorf("told after %v", after)
	}
}

// processCPU is the processor time that this process has used.
func processCPU(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	must(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestWatchAlone: where the system does not tell, looks do.
func TestWatchAlone(t *testing.T) {
	dir, _, at := laidOut(t)
	w := &watcher{log: slog.New(slog.DiscardHandler)}
	w.trouble(syscall.ENOSPC)
	w.begin(at)
	if got := w.pause(time.Millisecond); got != lookAlone {
		t.Errorf("a look each %v", got)
	}
	if got := w.pause(time.Second); got != aloneShare*time.Second {
		t.Errorf("a look of a second each %v", got)
	}
	write(t, dir+"/a.py", "changed")
	if !w.look() {
		t.Error("not seen")
	}
}

func TestPlacesOf(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/release/millrace.toml", "")
	must(t, os.Symlink("release", root+"/current"))
	f := &found{Found: &project.Found{Source: root + "/current/millrace.toml", Config: &config.Config{
		Sites: []config.Site{{Maintenance: "/srv/down.html"}, {}},
		Apps: map[string]*config.App{
			"a": {Dir: "/srv/site", EnvFile: config.Strings{"/etc/site.env", "credential:site"}}, "b": {Dir: "/srv/site/"},
			"c": {Dir: "/srv/site/inner", Secrets: map[string]string{"KEY": "/etc/key"}}, "d": {Dir: "/srv/site2"},
		},
	}}}
	got := placesOf(f)
	if !slices.Equal(got.folders, []string{"/srv/site", "/srv/site2"}) {
		t.Errorf("folders %q", got.folders)
	}
	want := []string{"/etc/key", "/etc/site.env", "/srv/down.html", root + "/current", root + "/current/millrace.toml"}
	slices.Sort(want)
	if !slices.Equal(got.files, want) {
		t.Errorf("files %q, want %q", got.files, want)
	}
}

// TestPlacesOfForeign: all files that a configuration of another server was read from
// are looked at.
func TestPlacesOfForeign(t *testing.T) {
	f := &found{Found: &project.Found{Source: "/srv/lighttpd.conf", Config: &config.Config{}}, files: []string{"/srv/lighttpd.conf", "/srv/conf.d/a.conf"}}
	if got := placesOf(f).files; !slices.Contains(got, "/srv/lighttpd.conf") || !slices.Contains(got, "/srv/conf.d/a.conf") {
		t.Errorf("they are %v", got)
	}
}
