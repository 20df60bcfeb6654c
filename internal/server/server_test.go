package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"millrace/internal/admin"
	"millrace/internal/config"
)

const whole = `
[server]
pidfile = "{dir}/millrace.pid"
control = "{dir}/c.sock"
max_header = "16KiB"
body_timeout = "1s"

[[site]]
listen = ["127.0.0.1:0", "unix:{dir}/web.sock"]
hosts = ["mysite.com"]
root = "{dir}/public"
access_log = "{dir}/access.log"

[[site.route]]
path = "/media/*"
files = { root = "{dir}/media", strip = "/media" }

[[site.route]]
path = "/api/*"
mount = "/api"
app = "main"

[[site.route]]
path = "/hold"
app = "main"

[app.main]
wsgi = "one:app"
`

func wholeSite(t *testing.T) (dir string) {
	dir = t.TempDir()
	write(t, dir+"/public/index.html", "home")
	write(t, dir+"/media/a.txt", "media")
	return dir
}

func TestServe(t *testing.T) {
	dir := wholeSite(t)
	s := launch(t, parse(t, dir, whole), newFakeApps())
	url := s.url("127.0.0.1:0")
	wantGet(t, url+"/", 200, "home")
	wantGet(t, url+"/media/a.txt", 200, "media")
	wantGet(t, url+"/api/x", 200, "main one:app /api/api/x 0")
	if code, _ := get(t, url+"/nothing"); code != 404 {
		t.Errorf("nothing there: %d", code)
	}
	if code, _ := get(t, url+"/a/%2e%2e/b"); code != 400 {
		t.Errorf("traversal: %d", code)
	}
	unix := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", dir+"/web.sock")
	}}}
	res, err := unix.Get("http://mysite.com/media/a.txt")
	if err != nil || res.StatusCode != 200 {
		t.Errorf("over the Unix socket: %v, %v", res, err)
	} else {
		res.Body.Close()
	}
	unix.CloseIdleConnections()

	if pid, err := os.ReadFile(dir + "/millrace.pid"); err != nil || strings.TrimSpace(string(pid)) != strconv.Itoa(os.Getpid()) {
		t.Errorf("pidfile: %q, %v", pid, err)
	}
	c, err := admin.Dial(dir + "/c.sock")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if pid, err := c.PID(t.Context()); pid != os.Getpid() || err != nil {
		t.Errorf("status: pid %d, %v", pid, err)
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Errorf("stop: %v", err)
	}
	if err := <-s.ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	for _, name := range []string{"c.sock", "web.sock", "millrace.pid"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
	log, err := os.ReadFile(dir + "/access.log")
	if n := strings.Count(string(log), "\n"); err != nil || n != 6 || !strings.Contains(string(log), `" 400 `) {
		t.Errorf("the access log has %d lines, %v:\n%s", n, err, log)
	}
	<-s.apps.get("main").done
}

func TestStopDrains(t *testing.T) {
	dir := wholeSite(t)
	apps := newFakeApps()
	release := apps.hold("main")
	defer release()
	s := launch(t, parse(t, dir, whole), apps)
	url := s.url("127.0.0.1:0")

	idle, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	answers := bufio.NewReader(idle)
	ask := func() *http.Response {
		t.Helper()
		fmt.Fprint(idle, "GET /media/a.txt HTTP/1.1\r\nHost: h\r\n\r\n")
		res, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		return res
	}
	if res := ask(); res.Close {
		t.Fatal("the connection was not kept")
	}

	got := make(chan *http.Response, 1)
	go func() {
		res, err := http.Get(url + "/hold")
		if err != nil {
			t.Error(err)
		}
		got <- res
	}()
	<-apps.get("main").inside
	stopped := s.Stop()
	front := s.fronts["127.0.0.1:0"]
	eventually(t, "the front drains", front.draining.Load)
	// A request that comes on a kept connection at this very moment is
	// answered, and told that it was the last.
	if res := ask(); res.StatusCode != 200 || !res.Close {
		t.Errorf("status %d, close %v; want 200 and the connection's end", res.StatusCode, res.Close)
	}
	<-front.served
	if c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://")); err == nil {
		c.Close()
		t.Error("a new connection was accepted")
	}
	select {
	case <-stopped:
		t.Fatal("stopped while a request runs")
	default:
	}
	release()
	res := <-got
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "main one:app /hold 0" {
		t.Errorf("%q, %v", body, err)
	}
	<-stopped
	if err := <-s.ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestShutdownTimeout(t *testing.T) {
	dir := wholeSite(t)
	apps := newFakeApps()
	release := apps.hold("main")
	defer release()
	plan := parse(t, dir, whole)
	plan.Config.Server.ShutdownTimeout = 50 * time.Millisecond
	s := launch(t, plan, apps)
	go http.Get(s.url("127.0.0.1:0") + "/hold")
	<-apps.get("main").inside
	s.Stop()
	eventually(t, "the app is stopped", func() bool {
		select {
		case <-apps.get("main").done:
			return true
		default:
			return false
		}
	})
	release()
	err := <-s.ended
	var hint interface{ Hint() string }
	if !errors.As(err, &hint) || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("Run: %v", err)
	}
}

func TestAbort(t *testing.T) {
	dir := wholeSite(t)
	apps := newFakeApps()
	release := apps.hold("main")
	s := launch(t, parse(t, dir, whole), apps)
	failed := make(chan error, 1)
	go func() {
		_, err := http.Get(s.url("127.0.0.1:0") + "/hold")
		failed <- err
	}()
	<-apps.get("main").inside
	s.Stop()
	s.Abort()
	if err := <-failed; err == nil {
		t.Error("the request was answered")
	}
	if err := <-s.ended; !errors.Is(err, errAborted) {
		t.Errorf("Run: %v", err)
	}
	for _, name := range []string{"c.sock", "millrace.pid"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
	release()
	<-apps.get("main").done
}

func TestStartFailures(t *testing.T) {
	dir := wholeSite(t)
	first := launch(t, parse(t, dir, whole), newFakeApps())
	taken := strings.TrimPrefix(first.url("127.0.0.1:0"), "http://")
	for name, tt := range map[string]struct {
		change func(*config.Config)
		want   string
	}{
		"control":    {func(c *config.Config) {}, fmt.Sprintf("another millrace is running here, pid %d", os.Getpid())},
		"address":    {func(c *config.Config) { c.Sites[0].Listen = []string{"127.0.0.1:0", taken} }, "cannot listen on " + taken},
		"access log": {func(c *config.Config) { c.Sites[0].AccessLog = dir }, "cannot open the log"},
		"slow log":   {func(c *config.Config) { c.Apps["main"].SlowLog = dir }, "cannot open the log"},
		"root":       {func(c *config.Config) { c.Sites[0].Root = "/" }, "cannot serve files of /"},
		"pidfile":    {func(c *config.Config) { c.Server.PIDFile = dir + "/missing/pid" }, "cannot write the pidfile"},
	} {
		t.Run(name, func(t *testing.T) {
			plan := parse(t, wholeSite(t), whole)
			plan.Config.Sites[0].Listen = []string{"127.0.0.1:0"}
			plan.Config.Sites[0].Root, plan.Config.Sites[0].AccessLog = "", ""
			tt.change(plan.Config)
			if name == "control" {
				plan.Config.Server.Control = dir + "/c.sock"
			}
			before := descriptors(t)
			s := New(Options{Plan: plan, Log: first.Server.log})
			apps := newFakeApps()
			s.newApp = apps.new
			err := s.Run(t.Context())
			var hint interface{ Hint() string }
			if err == nil || !strings.Contains(err.Error(), tt.want) || !errors.As(err, &hint) || hint.Hint() == "" {
				t.Errorf("Run: %v; want %q and a hint", err, tt.want)
			}
			wantDescriptors(t, before)
			if name != "control" {
				if _, err := os.Lstat(plan.Config.Server.Control); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("the control socket is still there: %v", err)
				}
			}
		})
	}
	wantGet(t, first.url("127.0.0.1:0")+"/", 200, "home") // undisturbed
}

// TestFailedImportAtStart: the site comes up, files are served, and the status tells.
func TestFailedImportAtStart(t *testing.T) {
	dir := wholeSite(t)
	apps := newFakeApps()
	apps.fail["one:app"] = errors.New("Traceback: no module named one")
	s := launch(t, parse(t, dir, whole), apps)
	wantGet(t, s.url("127.0.0.1:0")+"/media/a.txt", 200, "media")
	if a := s.Snapshot().Apps[0]; a.State != "failing" || !strings.Contains(a.Failure, "no module") {
		t.Errorf("status %+v", a)
	}
}

func TestBadRequests(t *testing.T) {
	s := launch(t, parse(t, wholeSite(t), whole), newFakeApps())
	address := strings.TrimPrefix(s.url("127.0.0.1:0"), "http://")
	for request, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n":                                                "400",
		"GET / HTTP/1.1\r\n\r\n":                                                                      "400",
		"GET /media/a.txt HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n":                                 "400",
		"GET /media/%00 HTTP/1.1\r\nHost: a\r\n\r\n":                                                  "400",
		"GET /media/a\x01 HTTP/1.1\r\nHost: a\r\n\r\n":                                                "400",
		"POST /api/ HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n":                                "400",
		"POST /api/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx":           "400",
		"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 15<<10) + "\r\n\r\n":                 "200",
		"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 40<<10) + "\r\n\r\n":                 "431",
		"POST /api/ HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx":                                "408", // after body_timeout
		"POST /api/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n":   "200",
		"POST /api/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n":  "408", // the fake's answer to any failed read
		"POST /api/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n": "501",
		"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n":                                                   "501",
	} {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, request)
		line, err := bufio.NewReader(c).ReadString('\n')
		if fields := strings.Fields(line); err != nil || len(fields) < 2 || fields[1] != want {
			t.Errorf("%.60q: %q, %v; want %s", request, line, err, want)
		}
		c.Close()
	}
}

func TestEnviron(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/pyvenv.cfg", "home = /usr/bin")
	a := &config.App{Python: dir + "/bin/python", Env: map[string]string{"A": "own", "EMPTY": ""}}
	plan := &Plan{
		Config:  &config.Config{Apps: map[string]*config.App{"main": a}},
		Environ: []string{"A=base", "B=b=c", "PATH=/bin", "PYTHONHOME=/x", "garbage"},
	}
	got, err := plan.environ("main", nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"A=own", "B=b=c", "EMPTY=", "PATH=" + dir + "/bin:/bin", "VIRTUAL_ENV=" + dir}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	a.Python = "/usr/bin/python3"
	plan.Environ = []string{"PATH=/bin", "PYTHONHOME=/x"}
	if got, err = plan.environ("main", nil); err != nil {
		t.Fatal(err)
	}
	if want = []string{"A=own", "EMPTY=", "PATH=/bin", "PYTHONHOME=/x"}; !slices.Equal(got, want) {
		t.Errorf("without a venv: %q, want %q", got, want)
	}
}
