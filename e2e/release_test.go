package e2e

// A site that is deployed by a symlink, "current".

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// releaseApp says of which release each part of it is: the module itself, one
// that is imported late, the working folder, the virtual environment, and the
// environment.
const releaseApp = `import importlib, os, sys

VERSION = "%[1]d"


def application(environ, start_response):
    if environ["QUERY_STRING"]:
        with open(environ["QUERY_STRING"]) as gate:
            gate.read()
    importlib.invalidate_caches()
    sys.modules.pop("late", None)
    late = importlib.import_module("late")
    parts = [VERSION, late.VERSION, os.getcwd(), sys.prefix, os.environ["VIRTUAL_ENV"], sys.path[0]]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [" ".join(os.path.basename(os.path.dirname(p)) if p.endswith("venv") else os.path.basename(p) for p in parts).encode()]
`

func makeRelease(t *testing.T, dir string, number int) {
	t.Helper()
	write(t, dir+"/app.py", fmt.Sprintf(releaseApp, number))
	write(t, dir+"/late.py", fmt.Sprintf("VERSION = \"%d\"\n", number))
	write(t, dir+"/static/v.txt", fmt.Sprint(number))
	write(t, dir+"/beside.py", "import os, time\nprint('beside of', os.getcwd(), flush=True)\ntime.sleep(600)\n")
	write(t, dir+"/millrace.toml", `[[site]]
listen = ["127.0.0.1:0"]
[[site.route]]
path = "/static/*"
files = { root = "static", strip = "/static" }
[[site.route]]
app = "main"
[app.main]
wsgi = "app:application"
venv = "venv"
workers = 2
stop_timeout = "60s"
[app.main.attached.beside]
command = ["python", "beside.py"]
`)
	python(t, dir, nil, "-m", "venv", "--without-pip", "venv")
}

// TestReleases: "current" is put on another release under load. Until the
// reload nothing changes; then everything does, and what still runs of the old
// one stays with it. Where it was started by its name, it is found by it.
func TestReleases(t *testing.T) {
	for name, in := range map[string]func(root string) (dir string, target []string){
		"by its path": func(root string) (string, []string) { return root, []string{filepath.Join(root, "current")} },
		"in it":       func(root string) (string, []string) { return filepath.Join(root, "current"), nil },
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for n := 1; n <= 3; n++ {
				makeRelease(t, fmt.Sprintf("%s/release%d", root, n), n)
			}
			deploy := func(n int) {
				t.Helper()
				if err := os.Symlink(fmt.Sprintf("release%d", n), root+"/next"); err != nil {
					t.Fatal(err)
				}
				if err := os.Rename(root+"/next", root+"/current"); err != nil {
					t.Fatal(err)
				}
			}
			deploy(1)
			dir, target := in(root)
			t.Setenv("PWD", dir) // as a shell does
			s := start(t, dir, target...)
			s.dir = filepath.Join(root, "current") // from where it is asked
			t.Setenv("PWD", s.dir)
			wholly := func(n int) string {
				return fmt.Sprintf("%d %d release%d release%d release%d release%d", n, n, n, n, n, n)
			}
			now := func() string { return get(t, client(t), s.url+"/", 200).text }
			if got := now(); got != wholly(1) {
				t.Fatalf("%q, want %q", got, wholly(1))
			}
			seen := watchVersions(t, s.url)
			for n := 2; n <= 3; n++ {
				g := newGate(t)
				held := make(chan string, 1)
				go func() {
					resp, err := http.Get(s.url + "/?" + g.path)
					if err != nil {
						held <- err.Error()
						return
					}
					defer resp.Body.Close()
					text, _ := io.ReadAll(resp.Body)
					held <- string(text)
				}()
				s.waitFor("a request at the gate", func() bool {
					for _, w := range s.status().Workers {
						if strings.Contains(w.Running, "GET") && w.State == "busy" {
							return true
						}
					}
					return false
				})
				deploy(n)
				says := func(release int) int {
					return strings.Count(s.log.String(), fmt.Sprintf("beside of %s/release%d\"", root, release))
				}
				s.waitFor("the program says where it is", func() bool { return says(n-1) == 1 })
				b := s.beside()
				victim := b.running()["beside"]
				if len(victim) != 1 {
					t.Fatalf("%v run", victim)
				}
				p, err := os.FindProcess(victim[0])
				if err == nil {
					err = p.Kill()
				}
				if err != nil {
					t.Fatal(err)
				}
				s.waitFor("it is started again, of its release", func() bool {
					return says(n-1) == 2
				})
				if got := get(t, client(t), s.url+"/static/v.txt", 200).text; got != fmt.Sprint(n-1) {
					t.Errorf("before the reload a file is of release %s", got)
				}
				if got := now(); got != wholly(n-1) {
					t.Errorf("before the reload: %q", got)
				}
				s.run(append([]string{"reload"}, target...)...)
				// Workers of the old generation that are idle may answer until
				// their successors are there.
				s.waitFor("the new release answers", func() bool { return now() == wholly(n) })
				if got := get(t, client(t), s.url+"/static/v.txt", 200).text; got != fmt.Sprint(n) {
					t.Errorf("after the reload a file is of release %s", got)
				}
				g.open("go on")
				if got := <-held; got != wholly(n-1) {
					t.Errorf("the old generation imports late: %q, want %q", got, wholly(n-1))
				}
				s.waitFor("the program of the new release", func() bool { return says(n) == 1 })
				s.waitFor("the end of the old generation, which must not get the next held request", func() bool {
					for _, w := range s.status().Workers {
						if w.Generation != n {
							return false
						}
					}
					return true
				})
			}
			all := seen()
			for text, count := range all {
				if text != wholly(1) && text != wholly(2) && text != wholly(3) {
					t.Errorf("%d times %q", count, text)
				}
			}
			t.Logf("answers: %v", all)
		})
	}
}

// watchVersions asks until the returned function is called, which says what was
// answered how often.
func watchVersions(t *testing.T, url string) (stop func() map[string]int) {
	t.Helper()
	seen := map[string]int{}
	done := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		c := &http.Client{Transport: &http.Transport{}, Timeout: limit}
		defer c.CloseIdleConnections()
		for {
			select {
			case <-done:
				return
			default:
			}
			resp, err := c.Get(url + "/")
			if err != nil {
				seen[err.Error()]++
				return
			}
			text, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil {
				text = []byte(err.Error())
			}
			seen[string(text)]++
		}
	})
	once := sync.OnceFunc(func() { close(done); group.Wait() })
	t.Cleanup(once)
	return func() map[string]int { once(); return seen }
}
