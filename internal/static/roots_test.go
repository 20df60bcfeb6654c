package static

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestRootsInOrder(t *testing.T) {
	one := tree(t, map[string]string{"a": "one a", "both": "one", "d/x": "one x", "file-or-folder": "one file"})
	two := tree(t, map[string]string{"b": "two b", "both": "two", "d/y": "two y", "d/index.html": "two d", "file-or-folder/x": "two x"})
	h := handler(t, Options{Roots: []string{one, two}})
	for target, want := range map[string]string{
		"/a": "one a", "/b": "two b", "/both": "one", "/d/x": "one x", "/d/y": "two y", "/d/": "two d",
		"/file-or-folder": "one file", "/file-or-folder/x": "two x",
	} {
		if w := get(h, "GET", target); w.Code != 200 || w.Body.String() != want {
			t.Errorf("GET %s: %d %q, want %q", target, w.Code, w.Body, want)
		}
	}
}

func TestStrip(t *testing.T) {
	dir := tree(t, map[string]string{"a": "a", "d/index.html": "d", "static/a": "nested", ".well-known/x": "secret"})
	for _, strip := range []string{"/static", "/static/", "static"} {
		h := handler(t, Options{Roots: []string{dir}, Strip: strip})
		for target, want := range map[string]string{
			"/static/a": "200 a", "/static/d/": "200 d", "//static//a": "200 a", "/static/static/a": "200 nested",
			"/static": "301 /static/", "/static/d": "301 /static/d/",
			"/a": "404", "/statica": "404", "/static/": "404", "/": "404", "/static/.well-known/x": "404", "/static/../a": "404",
		} {
			w := get(h, "GET", target)
			got := fmt.Sprint(w.Code)
			switch w.Code {
			case 200:
				got += " " + w.Body.String()
			case 301:
				got += " " + w.Header().Get("Location")
			}
			if got != want {
				t.Errorf("strip %s: GET %s: %s, want %s", strip, target, got, want)
			}
		}
	}
}

func TestIndex(t *testing.T) {
	dir := tree(t, map[string]string{"a/index.htm": "htm", "b/index.htm": "htm", "b/home.html": "home", "c/index.html": "html"})
	h := handler(t, Options{Roots: []string{dir}, Index: []string{"home.html", "index.htm"}})
	for target, want := range map[string]string{"/a/": "htm", "/b/": "home", "/c/": ""} {
		w := get(h, "GET", target)
		if want == "" && w.Code == 404 || w.Code == 200 && w.Body.String() == want {
			continue
		}
		t.Errorf("GET %s: %d %q, want %q", target, w.Code, w.Body, want)
	}
	none := handler(t, Options{Roots: []string{dir}, Index: []string{}})
	if w := get(none, "GET", "/c/"); w.Code != 404 {
		t.Errorf("without index files: %d", w.Code)
	}
	for _, bad := range []string{"", "a/b", ".htaccess", "..", `a\b`, "a\x00"} {
		if h, err := New(Options{Roots: []string{dir}, Index: []string{bad}}); err == nil {
			h.Close()
			t.Errorf("index %q was taken", bad)
		}
	}
}

func TestNotFound(t *testing.T) {
	h := handler(t, Options{
		Roots:    []string{tree(t, map[string]string{"a": "a"})},
		NotFound: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(299) }),
	})
	for target, want := range map[string]int{"/a": 200, "/b": 299, "/.env": 299, "/": 299, "/../x": 299, "/%00": 400} {
		if w := get(h, "GET", target); w.Code != want {
			t.Errorf("GET %s: %d, want %d", target, w.Code, want)
		}
	}
}

func TestRootsThatAreRefused(t *testing.T) {
	project := tree(t, map[string]string{"manage.py": "", "static/a": "a"})
	file := filepath.Join(tree(t, map[string]string{"f": "x"}), "f")
	links := tree(t, map[string]string{"machine": "-> /", "project": "-> " + project, "sub/manage.py": "-> nothing"})
	for _, roots := range [][]string{
		nil, {}, {""}, {"/"}, {"//"}, {"/tmp/.."}, {project}, {project + "/"}, {project + "/static/.."}, {file},
		{filepath.Join(links, "machine")}, {filepath.Join(links, "project")}, {filepath.Join(links, "sub")},
		{filepath.Join(project, "static"), project},
	} {
		h, err := New(Options{Roots: roots})
		if err == nil {
			h.Close()
			t.Errorf("roots %q were taken", roots)
			continue
		}
		if len(roots) == 1 && !strings.Contains(err.Error(), "cannot serve files from "+filepath.Clean(roots[0])) && roots[0] != "" {
			t.Errorf("roots %q: %v does not name the root", roots, err)
		}
	}
	handler(t, Options{Roots: []string{filepath.Join(project, "static")}})
}

func TestRootComesAndChanges(t *testing.T) {
	base := tree(t, map[string]string{"v1/a": "one", "v2/a": "two", "bad/manage.py": "", "bad/a": "secret"})
	current := filepath.Join(base, "current")
	var log logged
	h := handler(t, Options{Roots: []string{current}, Log: log.logger()})
	expect := func(what string, status int, body string) {
		t.Helper()
		soon(h)
		w := get(h, "GET", "/a")
		if w.Code != status || status == 200 && w.Body.String() != body {
			t.Errorf("%s: %d %q, want %d %q", what, w.Code, w.Body, status, body)
		}
	}
	point := func(to string) {
		t.Helper()
		os.Remove(current)
		if err := os.Symlink(to, current); err != nil {
			t.Fatal(err)
		}
	}
	expect("not there yet", 404, "")
	point("v1")
	expect("now there", 200, "one")
	point("v2")
	expect("changed", 200, "two")
	os.Remove(current)
	expect("gone", 404, "")
	if log.String() != "" {
		t.Errorf("logged: %s", log.String())
	}
	point("bad")
	expect("a project", 404, "")
	if !strings.Contains(log.String(), "manage.py") {
		t.Errorf("a refused folder is not logged: %q", log.String())
	}
	point("v1")
	expect("good again", 200, "one")

	// Within the same second nothing is looked at.
	now := h.cache.now()
	h.roots[0].looked.Store(now)
	if h.roots[0].due(now) || h.roots[0].due(now+lookEvery-1) || !h.roots[0].due(now+lookEvery) || h.roots[0].due(now+lookEvery) {
		t.Error("the root is not looked at once in a second")
	}
}

func TestRootChangesUnderLoad(t *testing.T) {
	base := tree(t, map[string]string{"v1/a": "one", "v2/a": "two"})
	current := filepath.Join(base, "current")
	os.Symlink("v1", current)
	h := handler(t, Options{Roots: []string{current}})
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				w := get(h, "GET", "/a")
				if b := w.Body.String(); w.Code != 200 || b != "one" && b != "two" {
					t.Errorf("%d %q", w.Code, b)
					return
				}
			}
		})
	}
	for i := range 200 {
		next := filepath.Join(base, "next")
		os.Symlink([]string{"v1", "v2"}[i%2], next)
		if err := os.Rename(next, current); err != nil {
			t.Fatal(err)
		}
		soon(h)
		get(h, "GET", "/a")
	}
	stop()
	wg.Wait()
}

func TestClosed(t *testing.T) {
	h := handler(t, Options{Roots: []string{tree(t, map[string]string{"a": "a"})}})
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	soon(h)
	if w := get(h, "GET", "/a"); w.Code != 503 {
		t.Errorf("%d, want 503", w.Code)
	}
	if w := get(h, "GET", "/"); w.Code != 503 {
		t.Errorf("%d, want 503", w.Code)
	}
}
