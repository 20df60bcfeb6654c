package server

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"millrace/internal/config"
)

// descriptors lists what this process has open, without the epoll descriptors
// and the like that the runtime makes once.
func descriptors(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		to, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name()))
		if err != nil || strings.HasPrefix(to, "anon_inode:") || strings.Contains(to, "/proc/") {
			continue
		}
		kind, _, _ := strings.Cut(to, ":[") // a socket's number is another when it is opened again
		all = append(all, kind)
	}
	slices.Sort(all)
	return all
}

// wantDescriptors waits until there are none that were not open before.
func wantDescriptors(t *testing.T, before []string) {
	t.Helper()
	var more []string
	defer func() {
		if t.Failed() {
			t.Logf("descriptors left: %q", more)
		}
	}()
	eventually(t, "no descriptor is left", func() bool {
		more = descriptors(t)
		for _, d := range before {
			if i := slices.Index(more, d); i >= 0 {
				more = slices.Delete(more, i, i+1)
			}
		}
		return len(more) == 0
	})
}

func TestReload(t *testing.T) {
	dir := wholeSite(t)
	write(t, dir+"/other/a.txt", "other")
	s := launch(t, parse(t, dir, whole), newFakeApps())
	url := s.url("127.0.0.1:0")

	next := parse(t, dir, strings.NewReplacer(
		"{dir}/media", "{dir}/other", "one:app", "two:app", `mount = "/api"`, "", "16KiB", "32KiB",
		"access.log", "access2.log", ", \"unix:{dir}/web.sock\"", ", \"unix:{dir}/new.sock\"",
	).Replace(whole))
	next.Notes = []string{"a note of the plan"}
	s.next = next
	notes, err := s.Reload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(notes, "; "); got != "a note of the plan; server.max_header has changed; it takes effect at the next start" {
		t.Errorf("notes %q", got)
	}
	if s.url("127.0.0.1:0") != url {
		t.Errorf("the address moved from %s to %s", url, s.url("127.0.0.1:0"))
	}
	wantGet(t, url+"/media/a.txt", 200, "other")
	wantGet(t, url+"/api/x", 200, "main two:app /api/x 0")
	if c, err := net.Dial("unix", dir+"/new.sock"); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
	eventually(t, "the address that is no longer named is closed", func() bool {
		_, err := os.Lstat(dir + "/web.sock")
		return errors.Is(err, os.ErrNotExist)
	})
	if st := s.Snapshot(); st.Reloads != 1 || st.LastReload == nil || st.LastReload.Error != "" || st.Apps[0].Generation != 1 {
		t.Errorf("status %+v", st)
	}
	s.Stop()
	<-s.ended
	if log, err := os.ReadFile(dir + "/access2.log"); err != nil || strings.Count(string(log), "\n") != 2 {
		t.Errorf("the new access log: %q, %v", log, err)
	}
}

// TestAddressInUse: the error says where the address was given, also in a plan
// that another process has made.
func TestAddressInUse(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	text := "[[site]]\nlisten = [\"127.0.0.1:0\", \"" + busy.Addr().String() + "\"]\nroot = \"{dir}\"\n"
	plan := parse(t, t.TempDir(), text)
	sealed, err := plan.Seal(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(sealed)
	if err != nil {
		t.Fatal(err)
	}
	passed := new(Plan)
	if err := json.Unmarshal(b, passed); err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]*Plan{"own": plan, "another's": passed} {
		s := unlaunched(t, Options{Plan: p}, newFakeApps())
		err := s.Run(t.Context())
		var hint interface{ Hint() string }
		if want := "millrace.toml:2:26: cannot listen on " + busy.Addr().String() + ": address already in use"; err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		} else if !errors.Is(err, syscall.EADDRINUSE) || !errors.As(err, &hint) || hint.Hint() == "" {
			t.Errorf("%s: no cause or no hint in %v", name, err)
		}
	}
}

// TestFailedReloads: whatever fails, all is as it was.
func TestFailedReloads(t *testing.T) {
	dir := wholeSite(t)
	apps := newFakeApps()
	apps.fail["broken:app"] = errors.New("Traceback (most recent call last)\nSyntaxError")
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	text := whole + "[app.another]\nwsgi = \"another:app\"\n[[site.route]]\npath = \"/another\"\napp = \"another\"\n"
	s := launch(t, parse(t, dir, text), apps)
	url := s.url("127.0.0.1:0")
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // as in TestManyReloads
	before := descriptors(t)
	for name, tt := range map[string]struct {
		change       func(*config.Config)
		want, detail string
	}{
		"address":    {func(c *config.Config) { c.Sites[0].Listen = append(c.Sites[0].Listen, busy.Addr().String()) }, "address already in use", ""},
		"root":       {func(c *config.Config) { c.Sites[0].Root = "/" }, "cannot serve files", ""},
		"access log": {func(c *config.Config) { c.Sites[0].AccessLog = dir }, "cannot open the log", ""},
		"app":        {func(c *config.Config) { c.Apps["main"].WSGI = "broken:app"; c.Apps["another"].WSGI = "changed:app" }, "app main cannot be imported", "SyntaxError"},
		"new app": {func(c *config.Config) {
			c.Apps["third"] = &config.App{WSGI: "broken:app", Python: "/usr/bin/python3"}
			c.Apps["main"].WSGI = "changed:app"
			c.Sites[0].AccessLog = dir + "/fresh.log"
			c.Sites[0].Listen = append(c.Sites[0].Listen, "unix:"+dir+"/fresh.sock")
		}, "app third cannot be imported", "SyntaxError"},
	} {
		t.Run(name, func(t *testing.T) {
			plan := parse(t, dir, text)
			tt.change(plan.Config)
			err := s.reloadTo(plan)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want %q", err, tt.want)
			}
			var advice interface {
				Hint() string
				Detail() string
			}
			if !errors.As(err, &advice) || advice.Hint() == "" || !strings.Contains(advice.Detail(), tt.detail) {
				t.Errorf("hint and detail of %v", err)
			}
			wantGet(t, url+"/media/a.txt", 200, "media")
			wantGet(t, url+"/", 200, "home")
			wantGet(t, url+"/api/x", 200, "main one:app /api/api/x 0")
			wantGet(t, url+"/another", 200, "another another:app /another 0") // given its old configuration back
			if st := s.Snapshot(); st.Reloads != 0 || st.LastReload == nil || st.LastReload.Error == "" || len(st.Apps) != 2 {
				t.Errorf("status %+v", st)
			}
			wantDescriptors(t, before)
		})
	}
	s.setErr(errors.New("millrace.toml:1:1: bad"))
	if _, err := s.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "millrace.toml:1:1") {
		t.Errorf("a configuration that does not load: %v", err)
	}
	wantGet(t, url+"/", 200, "home")
}

func (s *serving) setErr(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// TestReloadWaitsForRequests: what runs in the old tree keeps its app, its
// log and its folders until it has ended.
func TestReloadWaitsForRequests(t *testing.T) {
	dir := wholeSite(t)
	apps := newFakeApps()
	release := apps.hold("main")
	defer release()
	s := launch(t, parse(t, dir, whole), apps)
	url := s.url("127.0.0.1:0")
	got := make(chan string, 1)
	go func() {
		_, body := get(t, url+"/hold")
		got <- body
	}()
	old := apps.get("main")
	<-old.inside
	err := s.reloadTo(parse(t, dir, strings.NewReplacer("main", "second", "one:app", "two:app", "access.log", "b.log").Replace(whole)))
	if err != nil {
		t.Fatal(err)
	}
	wantGet(t, url+"/api/", 200, "second two:app /api/api/ 0")
	select {
	case <-old.done:
		t.Fatal("the old app was stopped under its request")
	default:
	}
	release()
	if body := <-got; body != "main one:app /hold 0" {
		t.Errorf("the old request: %q", body)
	}
	<-old.done
	s.Stop()
	<-s.ended
	if log, err := os.ReadFile(dir + "/access.log"); err != nil || !strings.Contains(string(log), "/hold") {
		t.Errorf("the old log: %q, %v", log, err)
	}
}

// TestManyReloads: many reloads between two configurations under requests on
// kept and fresh connections: every request is answered, and nothing leaks.
func TestManyReloads(t *testing.T) {
	// Descriptors must be closed, not left for the collector to find.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	dir := wholeSite(t)
	write(t, dir+"/other/a.txt", "media") // so that both answer alike
	plans := []*Plan{
		parse(t, dir, whole),
		parse(t, dir, strings.NewReplacer("{dir}/media", "{dir}/other", "access.log", "b.log", "web.sock", "c2.sock").Replace(whole)+
			"[app.extra]\nwsgi = \"extra:app\"\n[[site.route]]\npath = \"/extra\"\napp = \"extra\"\n"),
	}
	s := launch(t, plans[0], newFakeApps())
	url := s.url("127.0.0.1:0")
	wantGet(t, url+"/media/a.txt", 200, "media")
	eventually(t, "the first connection is gone", func() bool { return s.conns.Load() == 0 })
	before := descriptors(t)

	var answered atomic.Int64
	stop := make(chan struct{})
	var group sync.WaitGroup
	for i := range 2 {
		group.Go(func() {
			c := &http.Client{Transport: &http.Transport{DisableKeepAlives: i == 0}}
			defer c.CloseIdleConnections()
			for {
				select {
				case <-stop:
					return
				default:
				}
				for path, want := range map[string]string{"/media/a.txt": "media", "/api/": "main one:app /api/api/ 0", "/": "home"} {
					res, err := c.Get(url + path)
					if err != nil {
						t.Error(err)
						return
					}
					body, err := io.ReadAll(res.Body)
					res.Body.Close()
					if res.StatusCode != 200 || err != nil || string(body) != want {
						t.Errorf("%s: %d %q, %v", path, res.StatusCode, body, err)
						return
					}
					answered.Add(1)
				}
			}
		})
	}
	const reloads = 80
	for i := range reloads {
		if err := s.reloadTo(plans[(i+1)%2]); err != nil {
			t.Fatalf("reload %d: %v", i, err)
		}
	}
	close(stop)
	group.Wait()
	if n := answered.Load(); n < 100 {
		t.Errorf("only %d requests were answered meanwhile", n)
	}
	wantDescriptors(t, before)
	if n := s.Snapshot().Reloads; n != reloads {
		t.Errorf("%d reloads", n)
	}
}
