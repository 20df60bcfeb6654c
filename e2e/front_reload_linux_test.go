package e2e

// Reloads of the front server alone: files, TLS, limits and passwords, under
// load over every protocol, with another configuration each time.

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// changing is a configuration with a number in it; every other one has a route
// more, and a site more.
func changing(n int) string {
	more := ""
	if n%2 == 1 {
		more = `
[[site]]
listen = ["127.0.0.2:0"]
hosts = ["second.test"]
root = "files"
tls = { certificate = "site.pem", key = "site.key", plain = ["127.0.0.1:0"], redirect = false }
`
	}
	return strings.ReplaceAll(fmt.Sprintf(`
[server]
control = "control.sock"

[[site]]
listen = ["127.0.0.2:0"]
hosts = ["front.test"]
access_log = "access.log"
log_format = "json"
tls = { certificate = "site.pem", key = "site.key", plain = ["127.0.0.1:0"], redirect = false }
headers = { set = { X-Cycle = "CYCLE" } }
error_pages = { "404" = "/missing" }
[site.map.word]
from = "{query.w}"
values = { a = "b" }
default = "CYCLE"

[[site.route]]
path = "/cycle"
respond = { body = "CYCLE {map.word}" }
[[site.route]]
path = "/route-CYCLE"
respond = "here"
[[site.route]]
path = "/secret/*"
basic_auth = { realm = "r", users = { ann = "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=" } }
files = { root = "files", strip = "/secret" }
[[site.route]]
path = "/limited/*"
limit = { rate = "100000/s", connections = 100 }
files = { root = "files", strip = "/limited", listing = true }
[[site.route]]
rewrite = "/x{path}"
files = { root = "files", strip = "/x", listing = true, precompressed = true }
%s`, more), "CYCLE", fmt.Sprint(n))
}

// TestFrontReloadsLeakNothing: no request fails, what a reload has said yes to
// is there, and nothing is left of what was.
func TestFrontReloadsLeakNothing(t *testing.T) {
	dir := t.TempDir()
	trusted := certify(t, dir, "front.test", "second.test")
	if err := os.Mkdir(filepath.Join(dir, "files"), 0o755); err != nil {
		t.Fatal(err)
	}
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("files/small.txt", strings.Repeat("some text. ", 300))
	put("files/large.bin", strings.Repeat("0123456789abcdef", 64<<10))
	put("millrace.toml", changing(0))
	s := startWith(t, dir, 2) // keeper, front
	secure, plain := secureURL.FindStringSubmatch(s.log.String()), plainURL.FindStringSubmatch(s.log.String())
	ways := transports(t, plain[1], secure[1], trusted)
	get := func(proto, path string) (*http.Response, string, error) {
		scheme := "https"
		if proto == "HTTP/1.1" {
			scheme = "http"
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, scheme+"://front.test"+path, nil)
		if err != nil {
			return nil, "", err
		}
		r.SetBasicAuth("ann", "password")
		resp, err := (&http.Client{Transport: ways[proto], Timeout: limit}).Do(r)
		if err != nil {
			return nil, "", err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		return resp, string(text), err
	}

	n := 0
	var requests atomic.Int64
	cycle := func(times int) {
		stop := make(chan struct{})
		var load sync.WaitGroup
		for proto := range ways {
			load.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					path := []string{"/small.txt", "/", "/secret/small.txt", "/limited/", "/large.bin", "/cycle?w=a"}[i%6]
					resp, _, err := get(proto, path)
					if err != nil || resp.StatusCode != http.StatusOK {
						t.Errorf("%s %s in a reload: %v %v", proto, path, resp, err)
						return
					}
					requests.Add(1)
				}
			})
		}
		for range times {
			n++
			put("millrace.toml", changing(n))
			s.run("reload")
			for proto := range ways {
				resp, text, err := get(proto, fmt.Sprintf("/route-%d", n))
				if err != nil || text != "here" || resp.Header.Get("X-Cycle") != fmt.Sprint(n) {
					t.Errorf("%s after reload %d: %v %q, %v", proto, n, resp, text, err)
				}
			}
		}
		close(stop)
		load.Wait()
	}
	rest := func() {
		for proto, way := range ways {
			if _, _, err := get(proto, "/cycle"); err != nil {
				t.Error(err)
			}
			way.(interface{ CloseIdleConnections() }).CloseIdleConnections()
		}
	}

	cycle(4)
	rest()
	before := s.settle(nil)
	begin := time.Now()
	cycle(2 * ((cycles(t) + 1) / 2)) // what is there depends on whether the number is even
	took := time.Since(begin)
	rest()
	after := s.settle(before)
	t.Logf("%d reloads in %v, %d requests", n, took.Round(time.Second), requests.Load())
	for role, is := range after.roles {
		was := before.roles[role]
		t.Logf("%-8s descriptors %d, now %d; memory of its own %d KiB, now %d", role, was.descriptors, is.descriptors, was.memory>>10, is.memory>>10)
		if bound, ok := memoryBound[role]; ok && is.memory-was.memory > bound {
			t.Errorf("the %s has %d KiB of memory more than before", role, (is.memory-was.memory)>>10)
		}
	}
	if lost := after.more(*before); lost != "" {
		t.Errorf("there is more than before:\n%s", lost)
	}
}
