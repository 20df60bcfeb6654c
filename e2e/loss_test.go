package e2e

// Under load nothing is lost: reloads, kills and recycling, with the load in
// this process and the server in another.

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// plain is a folder with testdata/plain's app and a configuration.
func plain(t *testing.T, config string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/plain")); err != nil {
		t.Fatal(err)
	}
	text := "[[site]]\nlisten = [\"127.0.0.1:0\"]\n" + config
	if err := os.WriteFile(filepath.Join(dir, "millrace.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// load is clients that send one request after the other on kept connections.
type load struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
	mu     sync.Mutex
	codes  map[int]int // -1: no answer
	each   []int       // answers of each client
	first  error
}

func startLoad(url string, clients int) *load { return startLoadOf(http.MethodPost, url, clients) }

// startLoadOf sends requests of a method that the transport does not send again
// behind our back: POST, or PUT for one that is idempotent.
func startLoadOf(method, url string, clients int) *load {
	ctx, cancel := context.WithTimeout(context.Background(), 10*limit)
	l := &load{cancel: cancel, codes: map[int]int{}, each: make([]int, clients)}
	c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	for i := range clients {
		l.wg.Go(func() {
			for ctx.Err() == nil {
				req, err := http.NewRequestWithContext(context.Background(), method, url, nil)
				var resp *http.Response
				if err == nil {
					resp, err = c.Do(req)
				}
				code := -1
				if err == nil {
					if _, err = io.Copy(io.Discard, resp.Body); err == nil {
						code = resp.StatusCode
					}
					resp.Body.Close()
				}
				l.mu.Lock()
				l.codes[code]++
				l.each[i]++
				if err != nil && l.first == nil {
					l.first = err
				}
				l.mu.Unlock()
			}
		})
	}
	return l
}

func (l *load) answered() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for c := range maps.Values(l.codes) {
		n += c
	}
	return n
}

// pass returns a condition: every client has had an answer since, so that none
// waits for one to a request of before.
func (l *load) pass() func() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := slices.Clone(l.each)
	return func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		for i, n := range l.each {
			if n == before[i] {
				return false
			}
		}
		return true
	}
}

func (l *load) stop() map[int]int {
	l.cancel()
	l.wg.Wait()
	return l.codes
}

func TestNothingIsLostUnderLoad(t *testing.T) {
	s := start(t, plain(t, `
[[site.route]]
app = "main"

[app.main]
wsgi = "app:application"
workers = 3
max_requests = 50
`))
	l := startLoad(s.url+"/sleep?0.001", 16)
	const rounds = 20
	for round := range rounds {
		s.run("reload")
		before := l.answered()
		s.waitFor("some requests in between", func() bool { return l.answered() > before+100 })
		victim, err := strconv.Atoi(get(t, client(t), s.url+"/pid", 200).text)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(victim, syscall.SIGKILL); err != nil && err != syscall.ESRCH { // recycled meanwhile
			t.Fatalf("round %d: %v", round, err)
		}
	}
	codes := l.stop()
	t.Logf("%d reloads, %d kills, recycling at 50 requests: answers by status %v", rounds, rounds, codes)
	if codes[200] < 1000 || codes[502] > rounds || codes[200]+codes[502] != l.answered() {
		t.Errorf("answers by status: %v (%v); want 200s, and at most %d times 502", codes, l.first, rounds)
	}
	if g := s.status().Generation; g < rounds {
		t.Errorf("generation %d after %d reloads", g, rounds)
	}
}

// TestSIGHUPAndSIGTERMUnderLoad: a hang-up reloads, and the end of the server
// answers what it had accepted.
func TestSIGHUPAndSIGTERMUnderLoad(t *testing.T) {
	s := start(t, plain(t, "[[site.route]]\napp = \"main\"\n[app.main]\nwsgi = \"app:application\"\nworkers = 2\n"))
	l := startLoad(s.url+"/sleep?0.002", 8)
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	s.waitFor("the second generation", func() bool { return s.status().Generation == 2 })
	if codes := l.stop(); codes[200] == 0 || len(codes) != 1 {
		t.Errorf("answers by status: %v (%v), want 200 alone", codes, l.first)
	}
	answers := make(chan error, 4)
	for range cap(answers) {
		go func() {
			resp, err := http.Get(s.url + "/sleep?1")
			if err == nil {
				resp.Body.Close()
				if resp.StatusCode != 200 {
					err = fmt.Errorf("%s", resp.Status)
				}
			}
			answers <- err
		}()
	}
	s.waitFor("requests that run and wait", func() bool { st := s.status(); return st.Active == 2 && st.Queue == 2 })
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for range cap(answers) {
		if err := <-answers; err != nil {
			t.Errorf("a request accepted before SIGTERM: %v", err)
		}
	}
	select {
	case <-s.ended:
	case <-time.After(limit):
		t.Fatalf("it does not end within %v", limit)
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}
