package adapt

// This file: the back ends, programs that answer with what they were asked, and
// the folder of files that the sites have.

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/internal/testkit"
)

// world is what the servers of a case have in common.
type world struct {
	site string // the folder of the files
	dir  string // the folder of the back ends' sockets
	host string // the address of those that listen at one
}

// names are the placeholders of configurations for a server of its own folder
// and address.
func (w *world) names(dir, host string) *strings.Replacer {
	return strings.NewReplacer(
		"@SITE@", w.site, "@SOCKETS@", w.dir, "@BACK@", w.host,
		"@DIR@", dir, "@HOST@", host, "@ECHO@", filepath.Join(w.site, "bin", "echo"),
	)
}

// changed is when each file of the site was changed last.
var changed = time.Date(2021, 3, 4, 5, 6, 7, 0, time.UTC)

// build makes a world: the files of testdata/site, with times of their own, and
// the back ends that are named.
func build(t *testing.T, backends ...string) *world {
	t.Helper()
	w := &world{site: testkit.ShortDir(t), dir: testkit.ShortDir(t), host: testkit.Loopback()}
	if err := os.CopyFS(w.site, os.DirFS("testdata/site")); err != nil {
		t.Fatal(err)
	}
	echo, err := os.ReadFile("testdata/echo.py")
	if err != nil {
		t.Fatal(err)
	}
	testkit.Write(t, filepath.Join(w.site, "lib", "echo.py"), string(echo))
	python := testkit.Need(t, "/usr/bin/python3", "python3") // that of the system: servers start it with the rights of their own users
	// As FastCGI programs and CGI programs are started: without a way to say how.
	for name, protocol := range map[string]string{"bin/echo": "fcgi", "www/app.fcgi": "fcgi", "cgi-bin/echo.cgi": "cgi", "cgi-bin/shut.cgi": "cgi", "www/programs/show.cgi": "cgi", "www/programs/show.cgi.bak": "cgi", "www/programs/SHOW.CGI": "cgi"} {
		text := fmt.Sprintf("#!/bin/sh\nexec %s -I %s/lib/echo.py %s\n", python, w.site, protocol)
		if err := os.Chmod(testkit.Write(t, filepath.Join(w.site, name), text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Write(t, filepath.Join(w.site, "www/big.txt"), strings.Repeat("a line of a file that is there again and again\n", 400))
	testkit.Write(t, filepath.Join(w.site, "www/.hidden"), "hidden\n")
	testkit.Write(t, filepath.Join(w.site, "www/.ht/secret.txt"), "hidden\n")
	testkit.Write(t, filepath.Join(w.site, "www/a file.txt"), "with a blank\n")
	testkit.Write(t, filepath.Join(w.site, "www/50%.txt"), "with a percent sign\n")
	testkit.Write(t, filepath.Join(w.site, "www/média.txt"), "with an accent\n")
	if err := filepath.WalkDir(w.site, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(path, changed, changed)
	}); err != nil {
		t.Fatal(err)
	}
	for _, name := range backends {
		w.start(t, python, name)
	}
	return w
}

// start runs one back end: its name is a protocol, maybe with a number, and it
// listens at a socket of this name and at a port.
func (w *world) start(t *testing.T, python, name string) {
	t.Helper()
	protocol := strings.TrimRight(name, "0123456789")
	socket, address := filepath.Join(w.dir, name), ""
	script := filepath.Join(w.site, "lib", "echo.py")
	var cmd *exec.Cmd
	switch protocol {
	case "http":
		address = w.host + ":9001"
		cmd = exec.Command(filepath.Join(venv, "bin", "gunicorn"), "--chdir", filepath.Dir(script), "--threads", "4", "--umask", "0", "--no-control-socket",
			"--bind", address, "--bind", "unix:"+socket, "echo:application")
	case "uwsgi":
		cmd = exec.Command(testkit.Need(t, "uwsgi", "uwsgi-core"), "--plugin", "python3", "--chdir", filepath.Dir(script), "--module", "echo:application",
			"--chmod-socket=666", "--master", "--need-app", "--die-on-term", "--disable-logging", "--uwsgi-socket", socket)
	case "tcp": // FastCGI at a port
		address, socket = w.host+":9002", ""
		cmd = exec.Command(python, "-I", script, "fcgi", address)
	default: // fcgi, scgi
		cmd = exec.Command(python, "-I", script, protocol, socket)
	}
	cmd.Env = append(os.Environ(), "ECHO_NAME="+name, "PYTHONUNBUFFERED=1")
	p := testkit.Run(t, cmd)
	if address != "" {
		p.Listening(address)
	}
	if socket != "" {
		p.Listening("unix:" + socket)
	}
}
