package adapt

// This file: one configuration under its own server and, twice, under
// millrace; and what they answer, side by side.

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"millrace/internal/testkit"
)

// site is a configuration that servers are compared by.
type site struct {
	name     string
	backends []string
	requests []request
	// served is the file that millrace is given, of those in testdata; from is
	// for one whose name does not tell what it is of.
	served string
	from   string
	// balanced are paths of requests, made beside the others, that must come to
	// each of so many back ends as often as under the server itself.
	balanced []string
}

// peer is a server that the sites of a test are for.
type peer struct {
	name  string
	sites []site
	// start runs the server with a site's configuration, in a folder and at an
	// address of its own, and returns when it listens.
	start func(t *testing.T, s site, dir, host string)
	// lay writes the files of a configuration into a folder and returns the one
	// that is served.
	lay func(t *testing.T, s site, names *strings.Replacer, dir string) string
}

// answers are what one request got.
type exchange struct {
	site    string
	request request
	theirs  *response
	ours    *response
}

// port is where each site listens, at an address that nobody else has.
const port = ":8001"

// side runs each site of a server beside it.
func (p peer) side(t *testing.T) {
	accepted := newRules(p.name)
	var compared atomic.Int32 // not all, where the command line names some
	fine := t.Run("sites", func(t *testing.T) {
		for _, s := range p.sites {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				compared.Add(1)
				p.one(t, s, accepted)
			})
		}
	})
	asked := 0
	for _, s := range p.sites {
		asked += len(s.requests)
	}
	if asked < 300 {
		t.Errorf("%d requests are less than the 300 that are promised", asked)
	}
	if fine && int(compared.Load()) == len(p.sites) {
		accepted.unused(t)
	}
}

// one compares one site.
func (p peer) one(t *testing.T, s site, accepted *rules) {
	w := build(t, s.backends...)
	for i := range s.requests {
		s.requests[i].target = strings.ReplaceAll(s.requests[i].target, "@SITE@", w.site)
	}
	real := func() string { // anew for each: what it has counted of one's requests is not the other's
		return p.under(t, s, w, func(t *testing.T, _, dir, host string) { p.start(t, s, dir, host) })
	}
	if os.Getenv("MILLRACE_ADAPT_SELF") != "" { // the tests themselves: a server is like itself
		p.beside(t, s, "itself", real(), real(), accepted)
		return
	}
	served := p.under(t, s, w, func(t *testing.T, file, _, host string) { millrace(t, s, file, host) })
	adapted := p.under(t, s, w, func(t *testing.T, file, dir, host string) {
		toml := testkit.Write(t, filepath.Join(dir, "adapted", "millrace.toml"), adapt(t, s, file))
		millrace(t, site{}, toml, host)
	})
	p.beside(t, s, "serve", real(), served, accepted)
	p.beside(t, s, "adapt", real(), adapted, accepted)
}

// under lays a site's configuration out anew, and has it run.
func (p peer) under(t *testing.T, s site, w *world, start func(t *testing.T, file, dir, host string)) (address string) {
	t.Helper()
	dir, host := testkit.ShortDir(t), testkit.Loopback()
	start(t, p.lay(t, s, w.names(dir, host), dir), dir, host)
	return host + port
}

// millrace serves a file.
func millrace(t *testing.T, s site, file, host string) {
	t.Helper()
	args := []string{"serve", file}
	if s.from != "" {
		args = append(args, "--from", s.from)
	}
	cmd := exec.Command(binary, args...)
	cmd.Dir = filepath.Dir(file)
	p := testkit.Run(t, cmd)
	p.Ready()
	p.Listening(host + port)
}

// adapt is the configuration that millrace makes of a file.
func adapt(t *testing.T, s site, file string) string {
	t.Helper()
	args := []string{"adapt", file}
	if s.from != "" {
		args = append(args, "--from", s.from)
	}
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("millrace adapt: %v\n%s", err, &problems)
	}
	return string(out)
}

// beside asks two servers the same.
func (p peer) beside(t *testing.T, s site, way, theirs, ours string, accepted *rules) {
	t.Helper()
	const most = 50
	bad := 0
	for _, r := range s.requests {
		x := exchange{s.name, r, tagged(t, theirs, r), tagged(t, ours, r)}
		var left []string
		for _, d := range compare(x.theirs, x.ours) {
			if !accepted.accept(x, d) {
				left = append(left, d.String())
			}
		}
		if len(left) > 0 {
			if bad++; bad <= most {
				t.Errorf("%s: %s\n\t%s", way, r, strings.Join(left, "\n\t"))
			}
		}
	}
	if bad > most {
		t.Errorf("%s: and %d more requests", way, bad-most)
	}
	for _, path := range s.balanced {
		if want, got := spread(t, theirs, path), spread(t, ours, path); got != want {
			t.Errorf("%s: %s is answered by %s, not %s", way, path, got, want)
		}
	}
}

// spread tells how often each back end answered.
func spread(t *testing.T, address, path string) string {
	t.Helper()
	const times = 24
	count := map[string]int{}
	for range times {
		r := ask(t, address, request{target: path})
		if r.failed != "" {
			t.Fatalf("%s: %s", path, r.failed)
		}
		count[r.header.Get("X-Instance")]++
	}
	return fmt.Sprint(count)
}

// tagged asks with the ETag that the server itself gave, where a request says so.
func tagged(t *testing.T, address string, r request) *response {
	t.Helper()
	if strings.Contains(r.header, "@ETAG@") {
		plain := r
		plain.header = strings.ReplaceAll(r.header, "If-None-Match: @ETAG@\n", "")
		first := ask(t, address, plain)
		tag := `"none"`
		if first.header != nil && first.header.Get("Etag") != "" {
			tag = first.header.Get("Etag")
		}
		r.header = strings.ReplaceAll(r.header, "@ETAG@", tag)
	}
	return ask(t, address, r)
}
