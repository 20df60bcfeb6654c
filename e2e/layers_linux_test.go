package e2e

// The classic three layers, one file each: a front that parts a site among an
// HTTP server, PHP, a second millrace over FastCGI/TCP and four FastCGI
// servers, which fail one after the other under load.

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"millrace/internal/testkit"
)

// fastcgiServer is one of the four: this test binary, on an address of its own
// that it can come back to.
type fastcgiServer struct {
	t       *testing.T
	address string
	cmd     *exec.Cmd
}

func newFastCGIServer(t *testing.T) *fastcgiServer {
	t.Helper()
	return &fastcgiServer{t: t, address: fmt.Sprintf("127.0.0.1:%d", testkit.FreePort(t))}
}

func (f *fastcgiServer) start() {
	f.t.Helper()
	l, err := net.Listen("tcp", f.address)
	if err != nil {
		f.t.Fatal(err)
	}
	defer l.Close()
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		f.t.Fatal(err)
	}
	defer socket.Close()
	self, err := os.Executable()
	if err != nil {
		f.t.Fatal(err)
	}
	f.cmd = exec.Command(self)
	f.cmd.Env = append(os.Environ(), actsAsProgram+"=1")
	f.cmd.Stdin, f.cmd.Stderr = socket, os.Stderr
	if err := f.cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(f.kill)
}

func (f *fastcgiServer) signal(sig syscall.Signal) {
	f.t.Helper()
	if err := f.cmd.Process.Signal(sig); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fastcgiServer) kill() {
	_ = f.cmd.Process.Kill() // an error: it has ended already
	_ = f.cmd.Wait()
}

// garbage answers in the server's place with what is no FastCGI.
func (f *fastcgiServer) garbage() {
	f.t.Helper()
	f.kill()
	l, err := net.Listen("tcp", f.address)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if _, err := c.Read(make([]byte, 4096)); err == nil {
					_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\nevil")
				}
			}()
		}
	}()
}

// answers is how many requests each server of a group has answered.
func (s *server) answers(group string) map[string]uint64 {
	s.t.Helper()
	var all struct {
		Upstreams []struct {
			Name    string
			Servers []struct {
				Address  string
				Answered uint64
			}
		}
	}
	text := s.run("status", "--json")
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		s.t.Fatalf("%v in %s", err, text)
	}
	answers := map[string]uint64{}
	for _, u := range all.Upstreams {
		for _, one := range u.Servers {
			if u.Name == group {
				answers[one.Address] = one.Answered
			}
		}
	}
	return answers
}

// TestThreeLayers: no client sees an error, and the load is spread as the policy
// says.
func TestThreeLayers(t *testing.T) {
	// The third layer: an HTTP server, PHP, and four FastCGI servers, of which
	// one is not there yet.
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "api", r.URL.Path, r.Header.Get("X-Forwarded-For"))
	}))
	t.Cleanup(api.Close)
	dir := phpRoot(t)
	_, phpConfig := php["php-fpm"](t, dir)
	var four []*fastcgiServer
	for range 4 {
		four = append(four, newFastCGIServer(t))
	}
	dies, hangs, babbles, returns := four[0], four[1], four[2], four[3]
	for _, f := range four[:3] {
		f.start()
	}

	// The second: Python, for front servers alone.
	second := fmt.Sprintf("127.0.0.1:%d", testkit.FreePort(t))
	inner := start(t, plain(t, fmt.Sprintf(`
[[site.route]]
app = "main"

[app.main]
wsgi = "app:application"
workers = 2

[[app.main.listen]]
protocol = "fastcgi"
address = %q
`, second)))

	// The first.
	put(t, filepath.Join(dir, "millrace.toml"), fmt.Sprintf(`
[[site]]
listen = ["127.0.0.1:0"]

[[site.route]]
path = "/api/*"
upstream = "api"

[[site.route]]
path = "/four/*"
upstream = "four"

[[site.route]]
path = "/py/*"
mount = "/py"
upstream = "second"

[[site.route]]
upstream = "php"
script = { root = "www" }

[[site.route]]
files = { root = "www" }

[upstream.api]
protocol = "http"
servers = [%q]

[upstream.second]
protocol = "fastcgi"
servers = [%q]

[upstream.four]
protocol = "fastcgi"
servers = ["%s"]
balance = "round-robin"
timeout = "3s"
max_fails = 1
fail_timeout = "1s"
health = { interval = "2s", timeout = "1900ms" }
retries = 3
`, strings.TrimPrefix(api.URL, "http://"), second, strings.Join([]string{dies.address, hangs.address, babbles.address, returns.address}, `", "`))+phpConfig)
	s := startWith(t, dir, 2)
	s.waitFor("PHP", func() bool {
		resp, err := http.Get(s.url + "/info.php")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil && resp.StatusCode == 200
	})
	if got := get(t, client(t), s.url+"/page.html", 200).text; got != "a page" {
		t.Errorf("a file: %q", got)
	}

	loads := map[string]*load{}
	for path, clients := range map[string]int{"/api/x": 2, "/info.php": 2, "/py/echo": 2, "/four/x": 8} {
		loads[path] = startLoadOf(http.MethodPut, s.url+path, clients)
	}
	more := func(what string, n int) {
		t.Helper()
		for path, l := range loads {
			before := l.answered()
			s.waitFor(fmt.Sprintf("%s: %d requests more of %s", what, n, path), func() bool { return l.answered() >= before+n })
		}
	}
	more("one of the four is not there", 200)

	returns.start()
	s.waitFor("the one that was not there is used", func() bool { return s.answers("four")[returns.address] > 0 })
	before := s.answers("four")
	more("all four are there", 400)
	total := uint64(0)
	spread := s.answers("four")
	for address := range spread {
		spread[address] -= before[address]
		total += spread[address]
	}
	for address, n := range spread {
		if n < total*23/100 || n > total*27/100 {
			t.Errorf("%s answered %d of %d requests; want a quarter", address, n, total)
		}
	}

	dies.signal(syscall.SIGKILL)
	more("one has died", 200)
	hangs.signal(syscall.SIGSTOP)
	more("one hangs", 200)
	babbles.garbage()
	more("one answers garbage", 200)
	before = s.answers("four")
	more("one is left", 200)
	after := s.answers("four")
	for _, f := range four {
		if n := after[f.address] - before[f.address]; n != 0 && f != returns {
			t.Errorf("%s answered %d requests", f.address, n)
		}
	}
	dies.start()
	s.waitFor("the one that had died is used", func() bool { return s.answers("four")[dies.address] > before[dies.address] })

	for path, l := range loads {
		codes := l.stop()
		t.Logf("%s: %v", path, codes)
		if codes[200] != l.answered() || codes[200] == 0 {
			t.Errorf("%s: %v (%v); want nothing but 200", path, codes, l.first)
		}
	}
	if log := inner.log.String(); strings.Contains(log, "level=ERROR") {
		t.Errorf("the second layer:\n%s", log)
	}
}
