package peers

// The app that stands behind the front servers: one pool, every protocol.

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"millrace/internal/testkit"
)

// protocols are those that an app listens with, in the order of their ports;
// ajp is for lighttpd, ajps, with a secret, for others.
var protocols = []string{"fastcgi", "scgi", "uwsgi", "ajp", "http", "ajps"}

// app is a running millrace with the mirror app, or another.
type app struct {
	*testkit.Program
	dir  string
	host string
}

// tcp and unix are the addresses of a protocol.
func (a *app) tcp(protocol string) string  { return fmt.Sprintf("%s:%d", a.host, port(protocol)) }
func (a *app) unix(protocol string) string { return filepath.Join(a.dir, protocol+".sock") }

func port(protocol string) int {
	for i, p := range protocols {
		if p == protocol {
			return 9001 + i
		}
	}
	panic("no protocol " + protocol)
}

// startApp runs `millrace serve` on an app that listens with every protocol,
// over TCP and Unix sockets.
func startApp(t *testing.T, keys string, files ...string) *app {
	t.Helper()
	a := &app{dir: testkit.ShortDir(t), host: testkit.Loopback()}
	for _, name := range files {
		if err := os.CopyFS(a.dir, os.DirFS(filepath.Join("testdata", name))); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile("testdata/mirror.py")
	if err != nil {
		t.Fatal(err)
	}
	testkit.Write(t, filepath.Join(a.dir, "mirror.py"), string(text))
	var b strings.Builder
	fmt.Fprintf(&b, "[server]\nmax_header = \"1MiB\"\n[[site]]\nlisten = [\"%s:8000\"]\n[[site.route]]\napp = \"main\"\n[app.main]\nvenv = %q\n%s\n", a.host, venv, keys)
	for _, protocol := range protocols {
		for _, address := range []string{a.tcp(protocol), "unix:" + a.unix(protocol)} {
			name, secret := strings.CutSuffix(protocol, "s")
			fmt.Fprintf(&b, "[[app.main.listen]]\nprotocol = %q\naddress = %q\n", name, address)
			b.WriteString(when(secret, "secret = \"sesame\"\n"))
			b.WriteString(when(protocol == "ajp", "lighttpd = true\n"))
		}
	}
	testkit.Write(t, filepath.Join(a.dir, "millrace.toml"), b.String())
	cmd := exec.Command(binary, "serve", "millrace.toml")
	cmd.Dir = a.dir
	a.Program = testkit.Run(t, cmd)
	a.Ready()
	return a
}

const mirror = "wsgi = \"mirror:application\"\nworkers = 3"
