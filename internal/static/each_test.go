package static

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// byHost serves base/HOST/www.
func byHost(t *testing.T, base string, o Options) *Each {
	t.Helper()
	e, err := NewEach(o, func(r *http.Request) ([]string, bool) {
		return []string{filepath.Join(base, r.Host, "www")}, !strings.Contains(r.Host, "/")
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func ofHost(h http.Handler, host, path string) (int, string) {
	r := request(path)
	r.Host = host
	w := record(h, r)
	return w.Code, w.Body.String()
}

func TestEach(t *testing.T) {
	base := tree(t, map[string]string{
		"a/www/f": "of a", "b/www/f": "of b", "b/www/only": "b's", "a/secret": "x", "a/www/other": "-> ../../b/www/only", "a/www/up": "-> ../secret",
		"project/www/manage.py": "x", "project/www/settings.py": "secret", "empty/": "",
	})
	var log logged
	e := byHost(t, base, Options{Log: log.logger()})
	for range 3 {
		for _, c := range []struct {
			host, path string
			status     int
			body       string
		}{
			{"a", "/f", 200, "of a"}, {"b", "/f", 200, "of b"}, {"b", "/only", 200, "b's"},
			{"a", "/only", 404, ""}, {"c", "/f", 404, ""}, {"empty", "/f", 404, ""}, {"a/www", "/f", 404, ""},
			{"a", "/other", 404, ""}, {"a", "/up", 404, ""}, // links lead out of the one host's root
			{"project", "/settings.py", 404, ""},
		} {
			if status, body := ofHost(e, c.host, c.path); status != c.status || status == 200 && body != c.body {
				t.Errorf("%s%s: %d %q, want %d %q", c.host, c.path, status, body, c.status, c.body)
			}
		}
	}
	if n := strings.Count(log.String(), "manage.py"); n != 1 {
		t.Errorf("the project is told of %d times: %s", n, log.String())
	}
	// A host that comes is there at once; one that was refused, after a second.
	grow(t, base, map[string]string{"c/www/f": "of c"})
	if status, body := ofHost(e, "c", "/f"); status != 200 || body != "of c" {
		t.Errorf("%d %q", status, body)
	}
	if err := os.Remove(filepath.Join(base, "project/www/manage.py")); err != nil {
		t.Fatal(err)
	}
	roots := []string{filepath.Join(base, "project/www")}
	if m := e.enter(roots, time.Now().Add(2*time.Second)); m == nil {
		t.Error("still refused")
	} else {
		e.leave(m)
	}
	if _, err := NewEach(Options{Index: []string{"../x"}}, nil); err == nil {
		t.Error("wrong options were taken")
	}
}

func TestEachIsBounded(t *testing.T) {
	files := map[string]string{}
	for i := range maxMembers + 20 {
		files[fmt.Sprintf("h%d/www/f", i)] = fmt.Sprint(i)
	}
	base := tree(t, files)
	e := byHost(t, base, Options{})
	held := e.enter([]string{filepath.Join(base, "h0", "www")}, time.Now()) // by a request that goes on
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for i := range maxMembers + 20 {
				if status, body := ofHost(e, fmt.Sprintf("h%d", i), "/f"); status != 200 || body != fmt.Sprint(i) {
					t.Errorf("%d: %d %q", i, status, body)
				}
				ofHost(e, fmt.Sprintf("none%d", i), "/f")
			}
		})
	}
	wg.Wait()
	e.mu.Lock()
	n := len(e.members)
	e.mu.Unlock()
	if n != maxMembers {
		t.Errorf("%d are kept, want %d", n, maxMembers)
	}
	if !held.dropped {
		t.Error("who was asked for longest ago stays")
	}
	if w := get(held.handler, "GET", "/f"); w.Code != 200 {
		t.Errorf("a request that goes on: %d", w.Code)
	}
	e.leave(held)
	if w := get(held.handler, "GET", "/f"); w.Code != 503 {
		t.Errorf("it is not closed at its end: %d", w.Code)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if status, _ := ofHost(e, "h1", "/f"); status != 404 {
		t.Errorf("closed: %d", status)
	}
}
