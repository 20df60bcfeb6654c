package e2e

// What a Django site takes of the machine: memory, and time to start a worker.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"millrace/internal/testkit"
)

// isPython tells the host and the workers of app main among the processes.
func isPython(line string) bool { return strings.HasSuffix(line, " millrace:main") }

// pss is the memory of some of a server's processes, in bytes; what several
// processes share counts once in all. Those that end meanwhile have none.
func (s *server) pss(which func(line string) bool) (sum int64, processes int) {
	s.t.Helper()
	for pid, line := range s.processes() {
		if !which(line) {
			continue
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		_, rest, ok := strings.Cut(string(text), "\nPss:")
		var kib int64
		if _, scanErr := fmt.Sscanf(rest, "%d kB", &kib); err != nil || !ok || scanErr != nil {
			if !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ESRCH) {
				s.t.Errorf("no Pss of process %d (%s): %v, %v", pid, line, err, scanErr)
			}
			continue
		}
		sum += kib << 10
		processes++
	}
	return sum, processes
}

// pages are what the load asks for: templates, forms, the database.
var pages = []string{"/admin/login/", "/", "/upload/"}

// useAll sends requests from several clients at once.
func useAll(t *testing.T, url string, clients, each int) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			c := &http.Client{Transport: &http.Transport{}, Timeout: limit}
			defer c.CloseIdleConnections()
			for j := range each {
				if err := fetch(c, url+pages[(i+j)%len(pages)]); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func fetch(c *http.Client, url string) error {
	resp, err := c.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return fmt.Errorf("%s: %w", url, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil
}

var gunicornURL = regexp.MustCompile(`Listening at: (http://127\.0\.0\.1:[0-9]+)`)

// startGunicorn serves the same site with as many workers, none preloaded.
func startGunicorn(t *testing.T, dir string, workers int) *server {
	t.Helper()
	s := begin(t, dir, exec.Command(filepath.Join(venv, "bin", "gunicorn"), "-w", fmt.Sprint(workers), "-b", "127.0.0.1:0", "mysite.wsgi"))
	s.waitFor("gunicorn listens with all workers", func() bool {
		return s.log.Has(gunicornURL) && len(s.processes()) == 1+workers
	})
	s.url = gunicornURL.FindStringSubmatch(s.log.String())[1]
	return s
}

// warmSite is a site whose configuration says so many workers, and warm_up.
func warmSite(t *testing.T, workers int) string {
	t.Helper()
	folder := newSite(t)
	text := fmt.Sprintf(`
[[site]]
listen = ["127.0.0.1:0"]
[[site.route]]
path = "/static/*"
files = { root = "collected", strip = "/static" }
[[site.route]]
app = "main"
[app.main]
wsgi = "mysite.wsgi:application"
venv = %q
workers = %d
warm_up = "/admin/login/"
`, venv, workers)
	if err := os.WriteFile(filepath.Join(folder, "millrace.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

// TestDjangoMemoryBesideGunicorn: 8 preloaded workers and their host take at
// most 60% of what 8 workers of gunicorn take, after the same load.
func TestDjangoMemoryBesideGunicorn(t *testing.T) {
	const workers, most = 8, 0.6
	folder := warmSite(t, workers)
	all := func(string) bool { return true }
	measure := func(s *server, which func(string) bool) int64 {
		useAll(t, s.url, 2*workers, 60)
		sum, processes := s.pss(which)
		if processes != workers+1 {
			t.Fatalf("%d processes, want %d: %v", processes, workers+1, s.processes())
		}
		return sum
	}
	var ours, theirs int64
	t.Run("millrace", func(t *testing.T) {
		s := start(t, folder)
		s.waitFor("all workers are there", func() bool { return s.status().Idle == workers })
		ours = measure(s, isPython)
	})
	t.Run("gunicorn", func(t *testing.T) {
		theirs = measure(startGunicorn(t, folder, workers), all)
	})
	if ours == 0 || theirs == 0 {
		t.FailNow()
	}
	share := float64(ours) / float64(theirs)
	t.Logf("PSS of %d Django workers and their parent: %d MB, gunicorn %d MB: %.0f%%", workers, ours/1e6, theirs/1e6, 100*share)
	if share > most {
		t.Errorf("%.0f%% of gunicorn's, want at most %.0f%%", 100*share, 100*most)
	}
}

// TestDjangoSmallMachine: a site with its admin, whole, serves under load
// within 160 MB. A reload there rolls: it takes one more host and one more
// worker at most, and leaves the machine of 256 MB a quarter for itself. The
// front's heap is bounded as on such a machine.
func TestDjangoSmallMachine(t *testing.T) {
	const workers, most, rolling = 4, 160e6, 192e6
	t.Setenv("GOGC", "1000")
	t.Setenv("GOMEMLIMIT", "16MiB")
	s := start(t, warmSite(t, workers))
	s.waitFor("all workers are there", func() bool { return s.status().Idle == workers })
	ctx, cancel := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for i := range 2 * workers {
		load.Go(func() {
			c := &http.Client{Transport: &http.Transport{}, Timeout: limit}
			defer c.CloseIdleConnections()
			for j := i; ctx.Err() == nil; j++ {
				if err := fetch(c, s.url+pages[j%len(pages)]); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	defer load.Wait()
	defer cancel()

	whole := func(string) bool { return true }
	var peak int64
	pythons := 0
	look := func() {
		sum, _ := s.pss(whole)
		peak = max(peak, sum)
		_, n := s.pss(isPython)
		pythons = max(pythons, n)
	}
	until := time.Now().Add(3 * time.Second)
	for ; time.Now().Before(until); testkit.Pause() {
		look()
	}
	t.Logf("under load: %d MB, %d Python processes", peak/1e6, pythons)
	if peak > most || pythons != 1+workers {
		t.Errorf("%d MB and %d Python processes; want at most %d MB, and %d", peak/1e6, pythons, int64(most/1e6), 1+workers)
	}
	for round := range 3 {
		reloaded := make(chan error, 1)
		go func() {
			cmd := exec.Command(binary, "reload")
			cmd.Dir = s.dir
			out, err := cmd.CombinedOutput()
			if err != nil {
				err = fmt.Errorf("%w: %s", err, out)
			}
			reloaded <- err
		}()
		rolled := false
		for done := false; !done; testkit.Pause() {
			look()
			select {
			case err := <-reloaded:
				if err != nil {
					t.Fatal(err)
				}
				rolled = true
			default:
			}
			// The old generation is gone: a host and its workers are left.
			_, n := s.pss(isPython)
			done = rolled && n == 1+workers && s.status().Generation == round+2
		}
	}
	t.Logf("with 3 reloads: %d MB, %d Python processes", peak/1e6, pythons)
	if peak > rolling {
		t.Errorf("%d MB while reloads roll, want at most %d MB", peak/1e6, int64(rolling/1e6))
	}
	if pythons > 2+workers+1 {
		t.Errorf("%d Python processes while reloads roll, want at most 2 hosts and %d workers", pythons, workers+1)
	}
}

// TestDjangoWorkerStart: a worker forked from the preloaded and warmed-up host
// of a Django project is ready in a small part of the time of its import, on a
// quiet machine in under 10 ms.
func TestDjangoWorkerStart(t *testing.T) {
	const rounds, most = 15, 10 * time.Millisecond
	folder := warmSite(t, 1)
	s := start(t, folder)
	if text := s.log.String(); strings.Contains(text, "must not share") || strings.Contains(text, "warm_up") {
		t.Errorf("what warm_up used was not closed, or it failed:\n%s", text)
	}
	type worker struct {
		PID      int
		State    string
		Age      float64 `json:"age_s"`
		Since    float64 `json:"since_s"`
		Requests int
	}
	one := func() (w worker) {
		var all struct {
			Apps []struct {
				Preloaded bool
				Workers   []worker
			}
		}
		if err := json.Unmarshal([]byte(s.run("status", "--json")), &all); err != nil {
			t.Fatal(err)
		}
		if !all.Apps[0].Preloaded {
			t.Fatal("the app is not preloaded")
		}
		if ws := all.Apps[0].Workers; len(ws) == 1 {
			w = ws[0]
		}
		return w
	}
	var took []time.Duration
	w := one()
	for range rounds {
		before := w.PID
		if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		s.waitFor("a new worker is idle", func() bool {
			w = one()
			return w.PID != before && w.PID != 0 && w.State == "idle" && w.Requests == 0
		})
		took = append(took, time.Duration((w.Age-w.Since)*float64(time.Second)))
	}
	slices.Sort(took)
	t.Logf("from the request for a worker to its readiness: %s in the median (%s to %s)", took[rounds/2], took[0], took[rounds-1])
	if quiet() && took[rounds/2] > most {
		t.Errorf("%s, want under %s", took[rounds/2], most)
	}
	imports := time.Hour
	for range 3 {
		s.run("reload")
		imports = min(imports, s.lastReload())
	}
	t.Logf("a reload, whose import is most of it, takes %s", imports)
	if took[0] > imports/5 {
		t.Errorf("%s, and the import %s", took[0], imports)
	}
	get(t, client(t), s.url+"/", http.StatusOK)
}
