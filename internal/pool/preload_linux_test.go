package pool

// Only Linux tells a process what it has open.

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"millrace/internal/supervise"
)

// leaving is a pool of testdata/apps/leaves.py.
func leaving(t testing.TB, python, what, place string) Config {
	cfg := testConfig(t, "leaves:application")
	cfg.Python = python
	cfg.Host = HostCommand("test", python, cfg.Dir, append(cfg.Host.Env, "LEAVE="+what, "PLACE="+place), supervise.Rights{})
	return cfg
}

// TestPreloadSafety: what the import leaves is named, and the app is imported
// by each worker then.
func TestPreloadSafety(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, c := range map[string]struct {
		place string   // FILE: one of the test's own
		want  []string // texts of one line, PLACE being the place; none: it is forked
	}{
		"connection":     {l.Addr().String(), []string{"descriptor ", ": a socket to PLACE\""}},
		"pair":           {"", []string{"one end of a socket pair"}},
		"unconnected":    {"", []string{"a socket (AF_INET) that is not connected"}},
		"pipe":           {"", []string{": a pipe"}},
		"epoll":          {"", []string{": an epoll"}},
		"flock":          {"FILE", []string{"the file PLACE, locked by flock"}},
		"lockf":          {"FILE", []string{"the file PLACE, locked by fcntl"}},
		"sqlite":         {"FILE", []string{"the SQLite database PLACE\""}},
		"thread":         {"", []string{"thread 'poller', which runs wait_for_ever (", "leaves.py:", ", started at ", "leaves.py:"}},
		"subclass":       {"", []string{"thread 'wheel', which runs ", "run (", "leaves.py:", ", started at "}},
		"executor":       {"", []string{"thread 'mill_0'", ", started at ", "leaves.py:"}},
		"raw_thread":     {"", []string{"a thread that runs wait_for_ever (", "leaves.py:"}},
		"c_thread":       {"", []string{"a thread not started by Python, named 'grindstone'"}},
		"datagrams":      {"", nil},
		"log_file":       {"FILE", nil},
		"joined_threads": {"", nil},
	} {
		for version, python := range ends(t) {
			t.Run(name+"/"+version, func(t *testing.T) {
				place := strings.Replace(c.place, "FILE", filepath.Join(t.TempDir(), "left"), 1)
				cfg := leaving(t, python, name, place)
				log := logged(&cfg)
				_, server := startPool(t, cfg)
				want := "forked"
				if c.want != nil {
					want = "imported by this process"
				}
				if code, body := get(t, server.URL); code != 200 || body != want {
					t.Errorf("%d %q, want %q", code, body, want)
				}
				if c.want == nil {
					if strings.Contains(log.String(), "must not share") {
						t.Errorf("what does no harm is named:\n%s", log)
					}
					return
				}
				texts := []string{"the import leaves what a fork must not share"}
				for _, text := range c.want {
					texts = append(texts, strings.Replace(text, "PLACE", place, 1))
				}
				log.wait(t, texts...)
			})
		}
	}
}

// TestRequirePreload: with preload = "require" a generation that cannot be
// shared fails, with the list, and the one before serves on.
func TestRequirePreload(t *testing.T) {
	python := testConfig(t, "").Python
	good := leaving(t, python, "joined_threads", "")
	good.RequirePreload = true
	p, server := startPool(t, good)
	if _, body := get(t, server.URL); body != "forked" {
		t.Fatalf("%q, want a fork", body)
	}
	bad := leaving(t, python, "pipe thread", "")
	bad.RequirePreload = true
	err := p.Reload(t.Context(), bad)
	var unsafe *UnsafeError
	if !errors.As(err, &unsafe) || len(unsafe.Why) != 3 { // a pipe has two ends
		t.Fatalf("the reload says %v", err)
	}
	for _, text := range []string{"preload = \"require\"", ": a pipe\n", "thread 'poller', which runs wait_for_ever"} {
		if !strings.Contains(fmt.Sprint(err), text) {
			t.Errorf("%v lacks %q", err, text)
		}
	}
	if code, body := get(t, server.URL); code != 200 || body != "forked" {
		t.Errorf("the old one answers %d %q", code, body)
	}
}

// TestRequirePreloadAtStart: without a generation before, requests are refused,
// and who may see tracebacks sees the list.
func TestRequirePreloadAtStart(t *testing.T) {
	cfg := leaving(t, testConfig(t, "").Python, "epoll", "")
	cfg.RequirePreload, cfg.Development = true, true
	_, server := startPool(t, cfg)
	if code, body := get(t, server.URL); code != 500 || !strings.Contains(body, "an epoll") {
		t.Errorf("%d %q", code, body)
	}
}
