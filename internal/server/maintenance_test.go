package server

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"millrace/internal/admin"
)

const maintained = `
[[site]]
listen = ["127.0.0.1:0"]
hosts = ["a.example", "www.a.example"]
root = "{dir}/root"
maintenance = "{dir}/down.html"
[[site.route]]
path = "/health"
health = true
[[site.route]]
path = "/status/*"
status = true
[[site.route]]
path = "/files/*"
files = { root = "{dir}/root", strip = "/files" }
[[site.route]]
path = "/two/*"
app = "two"
[[site.route]]
path = "/one/*"
app = "one"

[[site]]
listen = ["127.0.0.1:0"]
[[site.route]]
app = "two"

[app.one]
wsgi = "one:app"
[app.two]
wsgi = "two:app"
[[app.two.listen]]
protocol = "http"
address = "unix:{dir}/two.sock"
`

// ask sends one request to the first address, for a host.
func (s *serving) ask(method, host, path string) *http.Response {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url("127.0.0.1:0")+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Host = host
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { res.Body.Close() })
	return res
}

// wantDown tells, for each of some places, whether it is to be in maintenance.
func (s *serving) wantDown(when string, down map[string]bool) {
	s.t.Helper()
	for place, want := range down {
		host, path, _ := strings.Cut(place, "/")
		if res := s.ask("GET", host, "/"+path); (res.StatusCode == 503) != want {
			s.t.Errorf("%s: %s: %s; is it to be down? %v", when, place, res.Status, want)
		}
	}
}

func TestMaintenance(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/down.html", "<h1>Back at noon</h1>")
	write(t, dir+"/root/a.txt", "a")
	plan := parse(t, dir, maintained)
	if err := plan.Settle(); err != nil {
		t.Fatal(err)
	}
	apps := newFakeApps()
	s := launch(t, plan, apps)
	everywhere := func(down bool) map[string]bool {
		return map[string]bool{
			"a.example/one/x": down, "www.a.example/two/x": down, "a.example/files/a.txt": down, "a.example/a.txt": down,
			"other/": down, "a.example/health": false, "a.example/status/json": false,
		}
	}
	maintain := func(m admin.Maintenance) {
		t.Helper()
		for range 2 { // the second changes nothing
			if _, err := s.Maintain(m); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.wantDown("before", everywhere(false))

	// What runs goes on.
	release := apps.hold("two")
	held := make(chan *http.Response, 1)
	go func() { held <- s.ask("GET", "other", "/hold") }()
	<-apps.get("two").inside
	maintain(admin.Maintenance{On: true})
	s.wantDown("all", everywhere(true))
	release()
	if res := <-held; res.StatusCode != 200 {
		t.Errorf("a request that ran: %s", res.Status)
	}
	res := s.ask("GET", "a.example", "/one/x")
	body, err := io.ReadAll(res.Body)
	if err != nil || string(body) != "<h1>Back at noon</h1>" || res.Header.Get("Content-Type") != "text/html; charset=utf-8" || res.Header.Get("Retry-After") != "60" {
		t.Errorf("%q %v %v", body, res.Header, err)
	}
	res = s.ask("HEAD", "a.example", "/one/x")
	if body, _ = io.ReadAll(res.Body); res.StatusCode != 503 || len(body) != 0 || res.ContentLength != 21 {
		t.Errorf("HEAD: %s, %d bytes of %d", res.Status, len(body), res.ContentLength)
	}
	if st := s.Snapshot(); st.Maintenance == nil || !st.Maintenance.All {
		t.Errorf("status %+v", st.Maintenance)
	}

	// A reload reads the page anew, and leaves the rest as it is.
	write(t, dir+"/down.html", "later")
	next := parse(t, dir, maintained)
	if err := next.Settle(); err != nil {
		t.Fatal(err)
	}
	if err := s.reloadTo(next); err != nil {
		t.Fatal(err)
	}
	s.wantDown("after a reload", everywhere(true))
	if body, _ = io.ReadAll(s.ask("GET", "a.example", "/one/x").Body); string(body) != "later" {
		t.Errorf("the page is %q", body)
	}
	if body, _ = io.ReadAll(s.ask("GET", "other", "/").Body); string(body) != string(plainPage.text) {
		t.Errorf("the plain page is %q", body)
	}
	maintain(admin.Maintenance{})
	s.wantDown("off", everywhere(false))

	maintain(admin.Maintenance{On: true, App: "two"})
	s.wantDown("app two", map[string]bool{"a.example/one/x": false, "a.example/two/x": true, "other/": true, "a.example/a.txt": false})
	client := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", dir+"/two.sock")
	}}}
	if res, err := client.Get("http://two/"); err != nil || res.StatusCode != 503 {
		t.Errorf("the app's own address: %v %v", res, err)
	}
	maintain(admin.Maintenance{On: true, Site: "www.a.example"})
	maintain(admin.Maintenance{App: "two"})
	s.wantDown("site a", map[string]bool{"a.example/one/x": true, "a.example/two/x": true, "other/": false, "a.example/a.txt": true})
	if got := s.Snapshot().Maintenance.String(); got != "site www.a.example" {
		t.Errorf("%q", got)
	}
	maintain(admin.Maintenance{Site: "www.a.example"})
	s.wantDown("off", everywhere(false))
	if s.Snapshot().Maintenance != nil {
		t.Error("maintenance of nothing")
	}
	for _, m := range []admin.Maintenance{{On: true, App: "three"}, {On: true, Site: "b.example"}} {
		if _, err := s.Maintain(m); err == nil {
			t.Errorf("%+v: no error", m)
		}
	}
}

// TestMaintenanceIsRemembered: a server that follows another knows what was in
// maintenance.
func TestMaintenanceIsRemembered(t *testing.T) {
	var memory json.RawMessage
	dir := t.TempDir()
	write(t, dir+"/root/a.txt", "a")
	plan := parse(t, dir, strings.ReplaceAll(maintained, `maintenance = "{dir}/down.html"`, ""))
	log := &logBuffer{}
	s := New(Options{Plan: plan, Log: newLogger(log)})
	s.keeper = remembering{s.keeper, &memory}
	if _, err := s.Maintain(admin.Maintenance{On: true, App: "one"}); err != nil {
		t.Fatal(err)
	}
	if next := New(Options{Plan: plan, Log: newLogger(log), Memory: memory}); next.closed.Load().String() != "app one" {
		t.Errorf("%s became %v", memory, next.closed.Load())
	}
	if _, err := s.Maintain(admin.Maintenance{}); err != nil {
		t.Fatal(err)
	}
	if next := New(Options{Plan: plan, Log: newLogger(log), Memory: memory}); next.closed.Load() != nil {
		t.Errorf("%s became %v", memory, next.closed.Load())
	}
}

type remembering struct {
	Keeper
	memory *json.RawMessage
}

func (r remembering) Remember(m json.RawMessage) error { *r.memory = m; return nil }

// TestMaintenancePages: what cannot be read, or is too large, is an error.
func TestMaintenancePages(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/down.html", strings.Repeat("x", maxPage))
	write(t, dir+"/root/a.txt", "a")
	plan := parse(t, dir, maintained)
	if err := plan.Settle(); err != nil {
		t.Error(err)
	}
	write(t, dir+"/down.html", strings.Repeat("x", maxPage+1))
	if err := plan.Settle(); err == nil || !strings.Contains(err.Error(), "down.html") {
		t.Errorf("too large: %v", err)
	}
	if err := os.Remove(dir + "/down.html"); err != nil {
		t.Fatal(err)
	}
	if err := plan.Settle(); err == nil || !strings.Contains(err.Error(), "down.html") {
		t.Errorf("missing: %v", err)
	}
}

func BenchmarkGate(b *testing.B) {
	g := &gate{&Server{}, []string{"a.example"}, "one", plainPage, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	b.ReportAllocs()
	for b.Loop() {
		g.ServeHTTP(w, r)
	}
}

// TestGateOfAReentry: where a back end redirects a request that runs is open
// to it.
func TestGateOfAReentry(t *testing.T) {
	s := &Server{}
	s.closed.Store(&Maintenance{All: true})
	g := &gate{s, []string{"*"}, "", plainPage, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })}
	for depth, want := range []int{http.StatusServiceUnavailable, http.StatusTeapot} {
		r := httptest.NewRequest("GET", "/", nil)
		if depth > 0 {
			r = r.WithContext(context.WithValue(r.Context(), reentryKey{}, depth))
		}
		w := httptest.NewRecorder()
		if g.ServeHTTP(w, r); w.Code != want {
			t.Errorf("depth %d: %d, want %d", depth, w.Code, want)
		}
	}
}
