package e2e

// Upgrades at a bad moment, or with an app that has broken meanwhile.

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"millrace/internal/testkit"
)

// overUnix asks a server for a path over its Unix socket, and wants a status.
func overUnix(t *testing.T, socket, path string, status int) {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport, Timeout: limit}).Get("http://site" + path)
	read(t, resp, err, status)
}

// rewrite replaces a text of a file.
func rewrite(t *testing.T, path, old, now string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(text), old) {
		t.Fatalf("%q in %s: %v", old, path, err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), old, now, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestUpgradeOfABrokenApp: an app that cannot be imported any more leaves the
// old front serving, on TCP, on Unix sockets and on the control socket.
func TestUpgradeOfABrokenApp(t *testing.T) {
	dir := plain(t, twoWorkers)
	socket := filepath.Join(dir, "web.sock")
	config := filepath.Join(dir, "millrace.toml")
	rewrite(t, config, `listen = ["127.0.0.1:0"]`, fmt.Sprintf(`listen = ["127.0.0.1:0", "unix:%s"]`, socket))
	s := start(t, dir)
	overUnix(t, socket, "/pid", 200)
	rewrite(t, config, `wsgi = "app:application"`, `wsgi = "missing:application"`)
	out, code := s.try("upgrade")
	if code != 1 || !strings.Contains(out, "missing") {
		t.Errorf("status %d:\n%s", code, out)
	}
	for range 3 {
		overUnix(t, socket, "/pid", 200)
		get(t, client(t), s.url+"/pid", 200)
	}
	s.status() // over the control socket
	rewrite(t, config, `wsgi = "missing:application"`, `wsgi = "app:application"`)
	s.run("upgrade")
	overUnix(t, socket, "/pid", 200)
	s.run("reload")
}

// TestUpgradeWithoutItsConfiguration: what was found in a folder is not
// replaced by what is found there when the configuration has gone.
func TestUpgradeWithoutItsConfiguration(t *testing.T) {
	s := start(t, plain(t, "[server]\ncontrol = \"control.sock\"\n"+twoWorkers))
	config, control := filepath.Join(s.dir, "millrace.toml"), filepath.Join(s.dir, "control.sock")
	if err := os.Rename(config, config+".away"); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"upgrade", "reload"} { // by the new program as well
		out, code := s.try(command, "--control", control)
		if code != 1 || !strings.Contains(out, "millrace.toml is not there any more") {
			t.Errorf("%s: status %d:\n%s", command, code, out)
		}
		get(t, client(t), s.url+"/pid", 200)
	}
	if err := os.Rename(config+".away", config); err != nil {
		t.Fatal(err)
	}
	s.run("upgrade", "--control", control)
	s.run("reload", "--control", control)
	get(t, client(t), s.url+"/pid", 200)
}

// TestFrontDiesAfterAFailedReload: the front that takes its place serves what
// was served, and not what was refused.
func TestFrontDiesAfterAFailedReload(t *testing.T) {
	s := start(t, plain(t, twoWorkers))
	rewrite(t, filepath.Join(s.dir, "millrace.toml"), `wsgi = "app:application"`, `wsgi = "missing:application"`)
	if out, code := s.try("reload"); code != 1 {
		t.Fatalf("status %d:\n%s", code, out)
	}
	get(t, client(t), s.url+"/pid", 200)
	if err := syscall.Kill(s.front(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	get(t, client(t), s.url+"/pid", 200)
}

// TestSignalsDuringAnUpgrade: a hang-up at any moment of it is a reload, and
// ends nothing.
func TestSignalsDuringAnUpgrade(t *testing.T) {
	s := start(t, plain(t, twoWorkers))
	for round := range 6 {
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.try("upgrade")
		}()
		for signals := 0; ; signals++ {
			if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
				t.Fatalf("round %d, signal %d: %v", round, signals, err)
			}
			select {
			case <-done:
			case <-s.ended:
				t.Fatalf("round %d, signal %d: it has ended", round, signals)
			default:
				testkit.Pause()
				continue
			}
			break
		}
	}
	s.waitFor("the last reload", func() bool {
		_, code := s.try("reload")
		return code == 0
	})
	get(t, client(t), s.url+"/pid", 200)
	s.waitFor("no process without a parent that knows it", func() bool { return len(zombies(t, s.cmd.Process.Pid)) == 0 })
}

// zombies are the ended children of a process that it has not reaped.
func zombies(t *testing.T, parent int) []string {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it is gone
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		var state string
		var ppid int
		if _, err := fmt.Sscan(rest, &state, &ppid); err == nil && state == "Z" && ppid == parent {
			found = append(found, string(text))
		}
	}
	return found
}

// TestUpgradesWhileWorkersStart: what a front asks for at the moment of an
// upgrade is done by the next program, and no old front stays for it.
func TestUpgradesWhileWorkersStart(t *testing.T) {
	s := startWith(t, plain(t, `
[[site.route]]
app = "main"

[app.main]
command = ["`+filepath.Join(venv, "bin", "python")+`", "-c", "`+strings.ReplaceAll(httpProgram, "\n", `\n`)+`", "{port}"]
protocol = "http"
workers = 2
max_requests = 3
stop_timeout = "3s"
`), 3) // keeper, front, the first of the programs
	l := startLoadOf(http.MethodPut, s.url+"/", 2)
	for range 6 {
		before := l.answered()
		front := s.front()
		s.run("upgrade")
		s.waitFor("the old front's end", func() bool { return syscall.Kill(front, 0) != nil })
		s.waitFor("some requests in between", func() bool { return l.answered() > before+5 })
	}
	if codes := l.stop(); codes[200] == 0 || len(codes) != 1 {
		t.Errorf("answers by status %v (%v); want 200s", codes, l.first)
	}
}

// httpProgram answers everything over HTTP on the port of its argument.
const httpProgram = `import http.server, sys
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_PUT(self):
        self.send_response(200)
        self.send_header('Content-Length', '2')
        self.end_headers()
        self.wfile.write(b'ok')
    def log_message(self, *a):
        pass
http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), H).serve_forever()
`

// TestUpgradeOnDemand: an app that needs no worker at rest is ready without one.
func TestUpgradeOnDemand(t *testing.T) {
	s := start(t, plain(t, `
[[site.route]]
app = "main"

[app.main]
wsgi = "app:application"
scaling = "ondemand"
idle_timeout = "60s"
`))
	for range 3 {
		get(t, client(t), s.url+"/pid", 200) // there is one, idle
		s.run("upgrade")
	}
	get(t, client(t), s.url+"/pid", 200)
}

// TestStopDuringAnUpgrade: whatever is under way, it ends.
func TestStopDuringAnUpgrade(t *testing.T) {
	for round := range 5 {
		s := start(t, plain(t, twoWorkers))
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.try("upgrade")
		}()
		for range round * 10 {
			testkit.Pause()
		}
		s.try("stop") // its answer may be lost with a front
		<-done
		s.waitFor("the end", func() bool {
			select {
			case <-s.ended:
				return true
			default:
				return false
			}
		})
	}
}

// TestImportThatNeverEnds: a reload gives it up, and nothing else suffers.
func TestImportThatNeverEnds(t *testing.T) {
	s := start(t, plain(t, twoWorkers+"startup_timeout = \"2s\"\n"))
	if err := os.WriteFile(filepath.Join(s.dir, "never.py"), []byte("import time\ntime.sleep(1000)\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	front := s.front()
	rewrite(t, filepath.Join(s.dir, "millrace.toml"), `wsgi = "app:application"`, `wsgi = "never:application"`)
	out, code := s.try("reload")
	if code != 1 || !strings.Contains(out, "startup_timeout (2s)") {
		t.Errorf("status %d:\n%s", code, out)
	}
	get(t, client(t), s.url+"/pid", 200)
	if s.front() != front {
		t.Error("the front is another")
	}
}
