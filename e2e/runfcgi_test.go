package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"millrace/internal/testkit"
)

// front is a web server of somebody else's in front of millrace runfcgi.
type front struct {
	*server
	url string
}

// startFront runs a web server in the foreground until the end of the test,
// which fails if a process of it, or of what it started, is left then.
func startFront(t *testing.T, port int, name string, args ...string) *front {
	t.Helper()
	program, err := exec.LookPath(name)
	if err != nil {
		program = filepath.Join("/usr/sbin", name)
	}
	s := begin(t, "", exec.Command(program, args...))
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	s.waitFor(name+" listens", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return &front{s, "http://" + address}
}

// openFolder is a folder that a web server's own user may enter, with the
// binary in it.
func openFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "millrace-front-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	program, err := os.ReadFile(binary)
	if err == nil {
		err = firstError(os.Chmod(dir, 0o755), os.WriteFile(filepath.Join(dir, "millrace"), program, 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func writeFile(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	err := firstError(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode))
	if err != nil {
		t.Fatal(err)
	}
}

// daemon runs `millrace runfcgi` to its end, and finds what it left.
func daemon(t *testing.T, dir, pidfile string, args ...string) *server {
	t.Helper()
	s := &server{t: t, dir: dir, log: &testkit.Output{}, id: newID(t), ended: make(chan struct{})}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append([]string{"runfcgi"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), marker+"="+s.id)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("millrace runfcgi %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	text, err := os.ReadFile(pidfile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := s.processes()[pid]; !ok {
		t.Fatalf("process %d of the pidfile is not the daemon: %v", pid, s.processes())
	}
	s.cmd = &exec.Cmd{}
	if s.cmd.Process, err = os.FindProcess(pid); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(pid, syscall.SIGTERM) // an error: it has ended already
		deadline := time.Now().Add(limit)
		for len(s.processes()) > 0 && time.Now().Before(deadline) {
			testkit.Pause()
		}
		for pid, line := range s.processes() {
			t.Errorf("millrace left process %d behind: %s", pid, line)
			syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	return s
}

// TestRunfcgiDaemon is the command line of Django's documentation, behind
// lighttpd: reloads and the end lose no request.
func TestRunfcgiDaemon(t *testing.T) {
	site, run := newSite(t), t.TempDir()
	// The WSGI_APPLICATION of the settings is what runs.
	appendTo(t, filepath.Join(site, "mysite", "wsgi.py"), `
inner = application
def application(environ, start_response):
    return inner(environ, lambda status, headers, *more: start_response(status, headers + [("X-Own", "yes")], *more))
`)
	pidfile, socket, errlog := filepath.Join(run, "m.pid"), filepath.Join(run, "m.sock"), filepath.Join(run, "err.log")
	d := daemon(t, site, pidfile, "method=prefork", "socket="+socket, "minspare=5", "maxspare=10", "maxchildren=100",
		"daemonize=true", "pidfile="+pidfile, "errlog="+errlog, "venv="+venv)
	port := testkit.FreePort(t)
	conf := filepath.Join(run, "lighttpd.conf")
	writeFile(t, conf, fmt.Sprintf(`
server.document-root = %q
server.bind = "127.0.0.1"
server.port = %d
server.modules = ("mod_fastcgi")
fastcgi.server = ( "/" => (( "socket" => %q, "check-local" => "disable", "fix-root-scriptname" => "enable" )) )
`, run, port, socket), 0o644)
	f := startFront(t, port, "lighttpd", "-D", "-f", conf)
	f.waitFor("master, host and five workers", func() bool { return len(d.processes()) >= 7 })
	c := client(t)
	if page := get(t, c, f.url+"/admin/login/?next=/admin/", 200); !strings.Contains(page.text, "csrfmiddlewaretoken") || page.Header.Get("X-Own") != "yes" {
		t.Errorf("no form, or not by its own application: %v\n%s", page.Header, page.text)
	}

	stop, done := make(chan struct{}), &sync.WaitGroup{}
	var asked atomic.Int64
	for range 4 {
		done.Go(func() {
			c := &http.Client{Timeout: limit}
			for {
				select {
				case <-stop:
					return
				default:
				}
				resp, err := c.Get(f.url + "/admin/login/")
				if err != nil {
					t.Errorf("during reloads: %v", err)
					return
				}
				resp.Body.Close()
				if resp.StatusCode != 200 {
					t.Errorf("during reloads: %s", resp.Status)
				}
				asked.Add(1)
			}
		})
	}
	for generation := 2; generation <= 4; generation++ {
		if err := d.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		want := fmt.Appendf(nil, "generation=%d", generation)
		f.waitFor(string(want), func() bool {
			text, err := os.ReadFile(errlog)
			return err == nil && bytes.Contains(text, want)
		})
		before := asked.Load()
		f.waitFor("answers of the new generation", func() bool { return asked.Load() >= before+20 || t.Failed() })
	}
	close(stop)
	done.Wait()
	if st := d.status(); st.Generation != 4 || st.State != "serving" {
		t.Errorf("status: %+v", st)
	}
	d.cmd.Process.Signal(syscall.SIGTERM)
	f.waitFor("the daemon is gone", func() bool { return len(d.processes()) == 0 })
	for _, path := range []string{pidfile, socket} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is left", path)
		}
	}
}

// TestRunfcgiSettings: settings and pythonpath find a project that is not in
// the folder; as CGI, since that needs no server.
func TestRunfcgiSettings(t *testing.T) {
	site := newSite(t)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "runfcgi", "--settings=mysite.settings", "--pythonpath", site, "venv="+venv)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "GATEWAY_INTERFACE=CGI/1.1", "REQUEST_METHOD=GET", "SCRIPT_NAME=/cgi-bin/x.cgi", "PATH_INFO=/admin/login/",
		"SERVER_NAME=127.0.0.1", "SERVER_PORT=80", "SERVER_PROTOCOL=HTTP/1.1", "HTTP_HOST=127.0.0.1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || !bytes.HasPrefix(out, []byte("Status: 200 OK")) || !bytes.Contains(out, []byte(`action="/cgi-bin/x.cgi/admin/login/`)) {
		t.Errorf("%v\n%s\n%s", err, out, &stderr)
	}
}

// hello shows what tells the ways apart in which an app is started.
const hello = `
import os
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    body = environ["wsgi.input"].read()
    return [("script=%s path=%s query=%s body=%d ppid=%d proxy=%s" % (environ["SCRIPT_NAME"], environ["PATH_INFO"],
        environ["QUERY_STRING"], len(body), os.getppid(), os.environ.get("HTTP_PROXY"))).encode()]
`

// TestRunfcgiSpawnedByLighttpd: descriptor 0 is the listening socket.
func TestRunfcgiSpawnedByLighttpd(t *testing.T) {
	dir := openFolder(t)
	writeFile(t, dir+"/site/wsgi.py", hello, 0o644)
	port := testkit.FreePort(t)
	writeFile(t, dir+"/lighttpd.conf", fmt.Sprintf(`
server.document-root = %q
server.bind = "127.0.0.1"
server.port = %d
server.modules = ("mod_fastcgi")
fastcgi.server = ( "/" => ((
    "socket" => %q, "check-local" => "disable", "fix-root-scriptname" => "enable",
    "bin-path" => %q, "max-procs" => 1
)) )
`, dir, port, dir+"/f.sock", dir+"/millrace runfcgi dir="+dir+"/site maxchildren=20"), 0o644)
	f := startFront(t, port, "lighttpd", "-D", "-f", dir+"/lighttpd.conf")
	c := client(t)
	if page := get(t, c, f.url+"/a%20b?x=1", 200); !strings.HasPrefix(page.text, "script= path=/a b query=x=1 body=0") {
		t.Error(page.text)
	}
	resp, err := c.Post(f.url+"/", "text/plain", bytes.NewReader(make([]byte, 300_000)))
	if page := read(t, resp, err, 200); !strings.Contains(page.text, "body=300000 ") {
		t.Error(page.text)
	}
}

// apacheConf serves the scripts of public_html, and those of users' folders.
// %s: the folder, its port, the user, the handler of scripts.
const apacheConf = `
ServerRoot %[1]q
ServerName 127.0.0.1
PidFile %[1]s/apache.pid
DefaultRuntimeDir %[1]s/run
ErrorLog /dev/stderr
LogLevel warn
%[3]s
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule mime_module /usr/lib/apache2/modules/mod_mime.so
LoadModule rewrite_module /usr/lib/apache2/modules/mod_rewrite.so
LoadModule userdir_module /usr/lib/apache2/modules/mod_userdir.so
LoadModule fcgid_module /usr/lib/apache2/modules/mod_fcgid.so
LoadModule cgid_module /usr/lib/apache2/modules/mod_cgid.so
TypesConfig /etc/mime.types
ScriptSock %[1]s/run/cgid.sock
FcgidIPCDir %[1]s/run
FcgidProcessTableFile %[1]s/run/table
FcgidInitialEnv PATH /usr/bin:/bin
Listen 127.0.0.1:%[2]d
DocumentRoot %[1]s/public_html
UserDir %[1]s/home/*/public_html
RewriteEngine On
RewriteRule ^/pt/(.*)$ /mysite.fcgi/$1 [QSA,PT]
<Directory %[1]q>
    Options +ExecCGI
    Require all granted
    AddHandler %[4]s .fcgi
</Directory>
<Directory "%[1]s/public_html">
    RewriteEngine On
    RewriteCond %%{REQUEST_FILENAME} !-f
    RewriteRule ^(.*)$ mysite.fcgi/$1 [QSA,L]
</Directory>
`

// TestRunfcgiScript: one script under mod_fcgid, and as CGI by the handler's
// line alone.
func TestRunfcgiScript(t *testing.T) {
	for _, handler := range []string{"fcgid-script", "cgi-script"} {
		t.Run(handler, func(t *testing.T) {
			dir := openFolder(t)
			writeFile(t, dir+"/my site/wsgi.py", hello, 0o644)
			writeFile(t, dir+"/public_html/mysite.fcgi", "#!"+dir+"/millrace runfcgi\n\n# where the app is\ndir = ../my site\n", 0o755)
			writeFile(t, dir+"/home/me/public_html/mine.fcgi", "#!/usr/bin/env -S "+dir+"/millrace runfcgi dir=../../../public_html app=other:app\npythonpath = ../../../my site\n", 0o755)
			writeFile(t, dir+"/public_html/other.py", "from wsgi import application as app\n", 0o644)
			if err := os.Mkdir(dir+"/run", 0o777); err != nil {
				t.Fatal(err)
			}
			user := ""
			if os.Getuid() == 0 {
				user = "User www-data\nGroup www-data"
				if err := os.Chmod(dir+"/run", 0o777); err != nil {
					t.Fatal(err)
				}
			}
			port := testkit.FreePort(t)
			writeFile(t, dir+"/apache.conf", fmt.Sprintf(apacheConf, dir, port, user, handler), 0o644)
			f := startFront(t, port, "apache2", "-f", dir+"/apache.conf", "-DFOREGROUND")
			scriptCases(t, f, handler)
		})
	}
}

func scriptCases(t *testing.T, f *front, handler string) {
	c := client(t)
	for _, test := range []struct{ path, want string }{
		{"/a/b?x=1", "script=/mysite.fcgi path=/a/b query=x=1 body=0 "},
		{"/", "script=/mysite.fcgi path=/ query= body=0 "},
		{"/mysite.fcgi", "script=/mysite.fcgi path= query= body=0 "},
		{"/mysite.fcgi/x%20y", "script=/mysite.fcgi path=/x y query= body=0 "},
		{"/pt/a?x=1", "script=/mysite.fcgi path=/a query=x=1 body=0 "},
		{"/~me/mine.fcgi/mine", "script=/~me/mine.fcgi path=/mine query= body=0 "},
		// Words of a query that a CGI server makes arguments of.
		{"/mysite.fcgi/q?socket%3D/tmp/x.sock+help", "script=/mysite.fcgi path=/q query=socket%3D/tmp/x.sock+help body=0 "},
	} {
		req, err := http.NewRequest("GET", f.url+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Proxy", "http://evil.example/")
		resp, err := c.Do(req)
		page := read(t, resp, err, 200)
		if !strings.HasPrefix(page.text, test.want) || !strings.HasSuffix(page.text, " proxy=None") {
			t.Errorf("%s: %q; want %q", test.path, page.text, test.want)
		}
	}
	resp, err := c.Post(f.url+"/post", "text/plain", bytes.NewReader(make([]byte, 100_000)))
	if page := read(t, resp, err, 200); !strings.Contains(page.text, "path=/post query= body=100000 ") {
		t.Error(page.text)
	}
	ppid := func() string {
		_, after, _ := strings.Cut(get(t, c, f.url+"/x", 200).text, "ppid=")
		return after
	}
	if first, second := ppid(), ppid(); (first == second) != (handler == "fcgid-script") {
		t.Errorf("%s: the workers' hosts are %s and %s", handler, first, second)
	}
}
