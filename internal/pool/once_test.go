package pool

// Workers that are there for their requests alone: method cgi, and scaling
// ondemand.

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// cgiConfig is an app of one file of a folder of its own, a process a request.
func cgiConfig(t testing.TB, source string) (cfg Config, path string) {
	t.Helper()
	cfg = testConfig(t, "changing:application")
	cfg.Method, cfg.MaxChildren, cfg.IdleTimeout = CGI, 3, time.Second
	cfg.Dir = t.TempDir()
	path = filepath.Join(cfg.Dir, "changing.py")
	write(t, path, source)
	return cfg, path
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const answers = `
import os, time
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    time.sleep(float(environ["QUERY_STRING"] or "0"))
    return ["%s %d %d".encode() % (b"one", os.getpid(), os.getppid())]
`

// TestCGISourceChanges: each request is answered by what the source says then;
// an import that fails is that request's 500, and none of the next one's.
func TestCGISourceChanges(t *testing.T) {
	cfg, path := cgiConfig(t, answers)
	log := logged(&cfg)
	p, server := startPool(t, cfg)
	<-p.Ready()
	if s := p.Status(); s.State != "serving" || s.Method != "cgi" || len(s.Workers) != 0 {
		t.Errorf("at rest: %+v", s)
	}
	pids := map[string]bool{}
	host := ""
	for i := range 5 {
		word := fmt.Sprintf("word%d", i)
		write(t, path, strings.ReplaceAll(answers, "one", word))
		code, body := get(t, server.URL)
		parts := strings.Fields(body)
		if code != 200 || len(parts) != 3 || parts[0] != word {
			t.Fatalf("%d %q, want %s", code, body, word)
		}
		if host == "" {
			host = parts[2]
		}
		if pids[parts[1]] || parts[2] != host {
			t.Errorf("process %s of host %s; before: %v of %s", parts[1], parts[2], pids, host)
		}
		pids[parts[1]] = true
	}
	write(t, path, "import no_such_module_at_all\n")
	for range 3 {
		if code, body := get(t, server.URL); code != 500 || body != "Internal Server Error\n" {
			t.Errorf("an import that fails: %d %q", code, body)
		}
	}
	log.wait(t, "No module named 'no_such_module_at_all'", "request=")
	write(t, path, "raise SystemExit(4)\n")
	if code, _ := get(t, server.URL); code != 500 {
		t.Errorf("an import that exits: %d", code)
	}
	if s := p.Status(); s.State != "serving" || s.Lost != 0 {
		t.Errorf("after imports that failed: %+v", s)
	}
	write(t, path, answers)
	if code, body := get(t, server.URL); code != 200 || !strings.HasPrefix(body, "one ") {
		t.Errorf("once it is mended: %d %q", code, body)
	}
	p.waitAtRest(t, 0)
}

// TestCGIMaxChildren: never more processes than max_children, each with one
// request; the others wait.
func TestCGIMaxChildren(t *testing.T) {
	cfg, _ := cgiConfig(t, answers)
	logged(&cfg)
	p, server := startPool(t, cfg)
	<-p.Ready()
	stop := make(chan struct{})
	most := make(chan int, 1)
	go func() {
		seen := 0
		for {
			select {
			case <-stop:
				most <- seen
				return
			default:
			}
			p.mu.Lock()
			seen = max(seen, len(p.processes))
			p.mu.Unlock()
		}
	}()
	const n = 20
	start := time.Now()
	if codes := counted(t, inBackground(t, server, "/?0.02", n), n); codes[200] != n {
		t.Errorf("answers by status: %v", codes)
	}
	took := time.Since(start)
	close(stop)
	if got := <-most; got != cfg.MaxChildren {
		t.Errorf("%d processes at one time, want %d", got, cfg.MaxChildren)
	}
	if s := p.Status(); s.Started != n || s.Answered != n {
		t.Errorf("%d processes for %d requests: %+v", s.Started, n, s)
	}
	t.Logf("%d requests, %d at a time: %s", n, cfg.MaxChildren, took)
	p.waitAtRest(t, 0)
}

// TestSwitchMethods: one line of the configuration and a reload lead from any
// method to any other, under load, and no request is lost.
func TestSwitchMethods(t *testing.T) {
	cfg := testConfig(t, "rules:application")
	logged(&cfg)
	p, server := startPool(t, cfg)
	load := startLoad(t, server, "/read_all", 4)
	for _, from := range []string{"prefork", "threaded", "cgi", "prefork threads", "ondemand"} {
		for _, to := range []string{"ondemand", "cgi", "threaded", "prefork"} {
			for _, method := range []string{from, to} {
				next := cfg
				methods[method].set(&next)
				if err := p.Reload(context.Background(), next); err != nil {
					t.Fatal(err)
				}
				if code, body := get(t, server.URL+"/flags"); code != http.StatusOK {
					t.Errorf("%s after %s: %d %q", to, from, code, body)
				}
			}
		}
	}
	if codes := load.stop(); len(codes) != 1 || codes[200] == 0 {
		t.Errorf("answers by status: %v, want 200 alone", codes)
	}
	p.waitAtRest(t, 1)
}

// TestOnDemand: no worker without requests; the first waits and is answered;
// several that wait get as many workers; all go after idle_timeout.
func TestOnDemand(t *testing.T) {
	cfg := testConfig(t, "misbehaving:application")
	cfg.Scaling, cfg.IdleTimeout = OnDemand, time.Second // in which a worker is seen that has answered
	cfg.MinSpare, cfg.MaxSpare, cfg.MaxChildren = 2, 5, 10
	logged(&cfg)
	p, server := startPool(t, cfg)
	<-p.Ready()
	host := p.Status().HostPID
	for round := range 2 {
		p.waitAtRest(t, 0)
		if s := p.Status(); s.State != "serving" || !s.Preloaded || s.HostPID != host {
			t.Fatalf("round %d, at rest: %+v", round, s)
		}
		start := time.Now()
		pidOf(t, server)
		t.Logf("the first request took %s", time.Since(start).Round(100*time.Microsecond))
		if n := len(p.Status().Workers); n != 1 {
			t.Errorf("%d workers for one request", n)
		}
		const n = 6
		gate := filepath.Join(t.TempDir(), "gate")
		codes := inBackground(t, server, "/gate?"+gate, n)
		p.waitServing(t, n)
		write(t, gate, "")
		if got := counted(t, codes, n); got[200] != n {
			t.Errorf("answers by status: %v", got)
		}
	}
	p.waitAtRest(t, 0)
}
