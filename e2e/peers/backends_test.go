package peers

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/fcgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	ourajp "millrace/ajp"
	ourcgi "millrace/cgi"
	ourfcgi "millrace/fcgi"
	"millrace/gateway"
	"millrace/internal/testkit"
	ourscgi "millrace/scgi"
	ouruwsgi "millrace/uwsgi"
)

// The back ends run the mirror behind our clients, and answer the cases that
// the front servers do.

// through serves HTTP by a back end.
func through(t *testing.T, rt gateway.RoundTripper, complete func(*http.Request, *gateway.Request) error) string {
	t.Helper()
	s := httptest.NewUnstartedServer(&gateway.Handler{
		RoundTripper: rt,
		Complete:     complete,
		Log:          slog.New(slog.NewTextHandler(testWriter{t}, nil)),
	})
	s.Config.MaxHeaderBytes = 2 << 20
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

// testWriter logs to the test.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s", b)
	return len(b), nil
}

// script completes requests for a program that serves the one script at path.
func script(path string) func(*http.Request, *gateway.Request) error {
	return func(_ *http.Request, req *gateway.Request) error {
		req.Params = append(req.Params,
			gateway.Param{Name: "SCRIPT_FILENAME", Value: path},
			gateway.Param{Name: "GATEWAY_INTERFACE", Value: "CGI/1.1"},
			gateway.Param{Name: "SERVER_SOFTWARE", Value: "test"},
			gateway.Param{Name: "REDIRECT_STATUS", Value: "200"},
			gateway.Param{Name: "NO_BUFFERING", Value: "1"}) // fcgiwrap's
		return nil
	}
}

// reuses are the ways that a FastCGI client treats connections.
var reuses = map[string]ourfcgi.Reuse{"kept": ourfcgi.ReuseAlways, "fresh": ourfcgi.ReuseNever, "auto": ourfcgi.ReuseAuto}

// fastcgi runs the cases against programs that listen at addresses; conns is
// how many connections one serves at a time.
func fastcgi(t *testing.T, f front, conns int, complete func(*http.Request, *gateway.Request) error, addresses map[string]string) {
	for transport, address := range addresses {
		healthy(t, transport, &ourfcgi.Client{Address: address})
		for name, reuse := range reuses {
			c := &ourfcgi.Client{Address: address, Reuse: reuse, MaxConns: conns}
			t.Cleanup(func() { c.Close() })
			f.name = transport + "-" + name
			f.url = through(t, c, complete)
			each(t, []front{f})
		}
	}
}

// testdata is the absolute path of a file.
func testdata(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPHPFPM(t *testing.T) {
	program := testkit.Need(t, "php-fpm", "php-fpm8.2", "php-fpm8.3", "php-fpm8.4")
	dir, host := testkit.ShortDir(t), testkit.Loopback()
	var b strings.Builder
	fmt.Fprintf(&b, "[global]\nerror_log = /dev/stderr\ndaemonize = no\n")
	for name, listen := range map[string]string{"tcp": host + ":9000", "unix": dir + "/fpm.sock"} {
		fmt.Fprintf(&b, "[%s]\nuser = www-data\ngroup = www-data\nlisten = %s\nlisten.mode = 0666\npm = static\npm.max_children = 4\ncatch_workers_output = yes\n"+
			"php_admin_value[post_max_size] = 100M\nphp_admin_value[memory_limit] = 256M\nphp_admin_value[max_input_vars] = 10000\n", name, listen)
	}
	p := testkit.Run(t, exec.Command(program, "-n", "-F", "-R", "-y", testkit.Write(t, filepath.Join(dir, "fpm.conf"), b.String())))
	p.Listening(host+":9000", "unix:"+dir+"/fpm.sock")
	fastcgi(t, front{maxHeaders: 60_000}, 4, script(testdata(t, "mirror.php")), map[string]string{"tcp": host + ":9000", "unix": "unix:" + dir + "/fpm.sock"})
}

func TestPHPCGI(t *testing.T) {
	program := testkit.Need(t, "php-cgi")
	host := testkit.Loopback()
	cmd := exec.Command(program, "-n", "-d", "post_max_size=100M", "-b", host+":9000")
	cmd.Env = append(os.Environ(), "PHP_FCGI_CHILDREN=4")
	p := testkit.Run(t, cmd)
	p.Listening(host + ":9000")
	fastcgi(t, front{maxHeaders: 60_000}, 4, script(testdata(t, "mirror.php")), map[string]string{"tcp": host + ":9000"})
}

// spawn starts n copies of a program with a listening socket as descriptor 0,
// as spawn-fcgi does.
func spawn(t *testing.T, n int, argv ...string) map[string]string {
	t.Helper()
	dir := testkit.ShortDir(t)
	addresses := map[string]string{}
	for _, transport := range []string{"tcp", "unix"} {
		l, file := listener(t, transport, dir)
		addresses[transport] = l
		for range n {
			cmd := exec.Command(argv[0], argv[1:]...)
			cmd.Stdin = file
			testkit.Run(t, cmd)
		}
	}
	return addresses
}

func TestLibfcgi(t *testing.T) {
	cc := testkit.Need(t, "gcc", "cc")
	dir := testkit.ShortDir(t)
	binary := filepath.Join(dir, "mirror")
	testkit.Command(t, dir, cc, "-O2", "-o", binary, testdata(t, "mirror.c"), "-lfcgi")
	fastcgi(t, front{}, 4, nil, spawn(t, 4, binary))
}

func TestPerl(t *testing.T) {
	fastcgi(t, front{}, 4, nil, spawn(t, 4, testkit.Need(t, "perl"), testdata(t, "mirror.pl")))
}

func TestFcgiwrap(t *testing.T) {
	addresses := spawn(t, 1, testkit.Need(t, "fcgiwrap"), "-c", "4", "-f")
	fastcgi(t, front{undecoded: true}, 4, script(cgiScript(t)), addresses)
}

// cgiScript is the mirror as a CGI program.
func cgiScript(t *testing.T) string {
	t.Helper()
	dir := testkit.ShortDir(t)
	path := testkit.Write(t, filepath.Join(dir, "mirror.cgi"), fmt.Sprintf(`#!%s/bin/python -IS
import sys
from wsgiref.handlers import CGIHandler
sys.path.insert(0, %q)
from mirror import application
CGIHandler().run(application)
`, venv, filepath.Dir(testdata(t, "mirror.py"))))
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestGoFCGI(t *testing.T) {
	// net/http/fcgi, in a process of the test's own.
	addresses := map[string]string{}
	for _, transport := range []string{"tcp", "unix"} {
		address, file := listener(t, transport, testkit.ShortDir(t))
		l, err := fileListener(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() { _ = fcgi.Serve(l, mirrorGo(t)) }()
		addresses[transport] = address
	}
	fastcgi(t, front{}, 0, nil, addresses)
}

func TestFlup(t *testing.T) {
	for _, protocol := range []string{"fcgi", "scgi", "ajp"} {
		t.Run(protocol, func(t *testing.T) {
			dir, host := testkit.ShortDir(t), testkit.Loopback()
			addresses := map[string]string{"tcp": host + ":9000", "unix": "unix:" + dir + "/s"}
			if protocol == "ajp" {
				delete(addresses, "unix") // flup's AJP server does not listen there
			}
			for transport, address := range addresses {
				bind := fmt.Sprintf("(%q, 9000)", host)
				if transport == "unix" {
					bind = fmt.Sprintf("%q", strings.TrimPrefix(address, "unix:"))
				}
				cmd := exec.Command(filepath.Join(venv, "bin", "python"), "-c", fmt.Sprintf(`
import sys
sys.path.insert(0, %q)
from mirror import application
from flup.server.%s import WSGIServer
WSGIServer(application, bindAddress=%s%s).run()
`, filepath.Dir(testdata(t, "mirror.py")), protocol, bind, when(protocol == "fcgi", ", multiplexed=True")))
				p := testkit.Run(t, cmd)
				p.Listening(address)
			}
			f := front{}
			switch protocol {
			case "fcgi":
				f.deaf = true
				fastcgi(t, f, 0, nil, addresses)
				return
			case "ajp":
				f.maxHeaders, f.methods, f.raw = 4_000, ajpMethods, true
			}
			for transport, address := range addresses {
				f.name = transport
				if protocol == "scgi" {
					f.url = through(t, &ourscgi.Client{Address: address}, nil)
				} else {
					c := &ourajp.Client{Address: address}
					t.Cleanup(func() { c.Close() })
					f.url = through(t, c, nil)
				}
				each(t, []front{f})
			}
		})
	}
}

func TestUWSGI(t *testing.T) {
	program := testkit.Need(t, "uwsgi", "uwsgi-core")
	dir, host := testkit.ShortDir(t), testkit.Loopback()
	for i, protocol := range []string{"uwsgi", "fastcgi", "scgi", "http"} {
		t.Run(protocol, func(t *testing.T) {
			address, socket := fmt.Sprintf("%s:%d", host, 9000+i), filepath.Join(dir, protocol+".sock")
			cmd := exec.Command(program, "--plugin", "python3", "--chdir", filepath.Dir(testdata(t, "mirror.py")), "--module", "mirror:application",
				"--processes", "4", "--master", "--need-app", "--die-on-term", "--buffer-size", "65535", "--disable-logging",
				"--"+protocol+"-socket", address, "--"+protocol+"-socket", socket)
			p := testkit.Run(t, cmd)
			p.Listening(address, "unix:"+socket)
			addresses := map[string]string{"tcp": address, "unix": "unix:" + socket}
			f := front{maxHeaders: 50_000} // uWSGI's buffer has 64 KiB at most, for every protocol
			for transport, address := range addresses {
				f.name = transport
				switch protocol {
				case "uwsgi":
					f.url = through(t, &ouruwsgi.Client{Address: address}, nil)
				case "scgi":
					f.url = through(t, &ourscgi.Client{Address: address}, nil)
				case "fastcgi":
					for name, reuse := range reuses {
						if name != "kept" { // uWSGI closes each connection, whatever it is asked for
							f.name = transport + "-" + name
							f.url = through(t, &ourfcgi.Client{Address: address, Reuse: reuse}, nil)
							each(t, []front{f})
						}
					}
					continue
				default:
					f.anonymous = transport == "unix"
					f.url = upstream(t, "http", address)
				}
				each(t, []front{f})
			}
		})
	}
}

func TestTomcat(t *testing.T) {
	java := testkit.Need(t, "java")
	if _, err := os.Stat("/usr/share/tomcat10/bin/bootstrap.jar"); err != nil {
		testkit.Need(t, "tomcat10") // says that it is missing
	}
	dir, host := testkit.ShortDir(t), testkit.Loopback()
	if err := os.CopyFS(dir, os.DirFS(testdata(t, "tomcat"))); err != nil {
		t.Fatal(err)
	}
	for _, sub := range []string{"temp", "work", "logs"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "conf", "server.xml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	testkit.Write(t, path, strings.ReplaceAll(string(text), "@HOST@", host))
	testkit.Write(t, filepath.Join(dir, "conf", "web.xml"), tomcatWeb)
	cmd := exec.Command(java, "-Xmx256m", "-XX:TieredStopAtLevel=1", "-Dorg.apache.tomcat.util.buf.UDecoder.ALLOW_ENCODED_SLASH=true",
		"-cp", "/usr/share/tomcat10/bin/bootstrap.jar:/usr/share/tomcat10/bin/tomcat-juli.jar",
		"-Dcatalina.home=/usr/share/tomcat10", "-Dcatalina.base="+dir, "-Djava.io.tmpdir="+dir+"/temp", "org.apache.catalina.startup.Bootstrap", "start")
	p := testkit.Run(t, cmd)
	p.Listening(host + ":8009") // which it does when it is up: bindOnInit in server.xml
	for name, fresh := range map[string]bool{"kept": false, "fresh": true} {
		c := &ourajp.Client{Address: host + ":8009", Secret: "sesame", PacketSize: 65536}
		if fresh {
			c.MaxIdle = -1
		}
		t.Cleanup(func() { c.Close() })
		healthy(t, name, c)
		each(t, []front{{name: "ajp-tcp-" + name, url: through(t, c, nil), maxHeaders: 50_000, methods: "GET POST"}}) // all that a JSP answers
	}
}

// tomcatWeb has the one servlet that the mirror needs.
const tomcatWeb = `<web-app xmlns="https://jakarta.ee/xml/ns/jakartaee" version="5.0">
  <servlet><servlet-name>jsp</servlet-name><servlet-class>org.apache.jasper.servlet.JspServlet</servlet-class></servlet>
</web-app>
`

func TestCGI(t *testing.T) {
	path := cgiScript(t)
	each(t, []front{{name: "process", url: through(t, &ourcgi.Host{Path: path}, nil), killed: true}})
}

// TestHTTPServers: gunicorn and waitress behind an upstream of the product.
func TestHTTPServers(t *testing.T) {
	dir, host := testkit.ShortDir(t), testkit.Loopback()
	app := filepath.Dir(testdata(t, "mirror.py"))
	gunicorn := testkit.Run(t, exec.Command(filepath.Join(venv, "bin", "gunicorn"), "--chdir", app, "--workers", "2", "--threads", "4",
		"--limit-request-field_size", "0", "--limit-request-fields", "1000", "--bind", host+":8001", "--bind", "unix:"+dir+"/gunicorn.sock", "mirror:application"))
	waitress := exec.Command(filepath.Join(venv, "bin", "waitress-serve"), "--host", host, "--port", "8002", "--threads", "8", "--max-request-header-size", "1048576", "mirror:application")
	waitress.Dir = app
	w := testkit.Run(t, waitress)
	gunicorn.Listening(host+":8001", "unix:"+dir+"/gunicorn.sock")
	w.Listening(host + ":8002")
	each(t, []front{
		{name: "gunicorn-tcp", url: upstream(t, "http", host+":8001")},
		{name: "gunicorn-unix", url: upstream(t, "http", "unix:"+dir+"/gunicorn.sock"), anonymous: true},
		{name: "waitress-tcp", url: upstream(t, "http", host+":8002")},
	})
}

// upstream serves an upstream with millrace and returns its URL.
func upstream(t *testing.T, protocol, address string) string {
	t.Helper()
	dir, host := testkit.ShortDir(t), testkit.Loopback()
	testkit.Write(t, filepath.Join(dir, "millrace.toml"), fmt.Sprintf(`
[server]
max_header = "1MiB"
[[site]]
listen = ["%s:8000"]
[[site.route]]
upstream = "back"
[upstream.back]
protocol = %q
servers = [%q]
`, host, protocol, address))
	cmd := exec.Command(binary, "serve", "millrace.toml")
	cmd.Dir = dir
	p := testkit.Run(t, cmd)
	p.Ready()
	return "http://" + host + ":8000"
}
