package peers

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"millrace/internal/testkit"
)

// TestRunfcgiBehindNginx: the command line of Django's documentation, nginx's
// stock parameters in front, and the process of the pidfile answers signals.
func TestRunfcgiBehindNginx(t *testing.T) {
	testkit.Need(t, "nginx")
	dir := testkit.ShortDir(t)
	if err := os.CopyFS(dir, os.DirFS(testdata(t, "django"))); err != nil {
		t.Fatal(err)
	}
	pidfile, socket, errlog := filepath.Join(dir, "app.pid"), filepath.Join(dir, "app.sock"), filepath.Join(dir, "err.log")
	testkit.Command(t, dir, binary, "runfcgi", "method=prefork", "socket="+socket, "minspare=5", "maxspare=10", "maxchildren=100",
		"daemonize=true", "pidfile="+pidfile, "errlog="+errlog, "app=website:application", "venv="+venv)
	text, err := os.ReadFile(pidfile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	gone := func() bool { return syscall.Kill(pid, 0) != nil }
	t.Cleanup(func() {
		if !gone() {
			_ = syscall.Kill(pid, syscall.SIGKILL) // its workers go with it
		}
	})
	address := testkit.Loopback() + ":8800"
	startNginx(t, testkit.ShortDir(t), fmt.Sprintf("server { listen %s; location / { include /etc/nginx/fastcgi_params; fastcgi_pass unix:%s; } }\n", address, socket), address)
	c := client(t)
	page := func() {
		t.Helper()
		if resp, text := send(t, c, "GET", "http://"+address+"/page/home/", nil, nil); resp.StatusCode != 200 || !strings.Contains(string(text), `"path": "/page/home/"`) {
			t.Fatalf("%s %s", resp.Status, text)
		}
	}
	page()
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "a new generation serves", func() bool {
		page()
		log, err := os.ReadFile(errlog)
		return err == nil && strings.Contains(string(log), "generation=2")
	})
	page()
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the daemon is gone", gone)
	for _, path := range []string{pidfile, socket} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is left", path)
		}
	}
}
