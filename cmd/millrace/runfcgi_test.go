package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"millrace/internal/server"
)

const inheritedApp = `
import os
def application(environ, start_response):
    start_response("200 OK", [("X-Processes", "%d %d." % (os.getpid(), os.getppid()))])
    return [("path " + environ["PATH_INFO"]).encode()]
`

// busy is how long a test waits for what is to come at once: no machine is so
// busy that it takes longer. What does not come is a fault, not how late.
const busy = 3 * time.Minute

// millraceIn is the command millrace, which this test binary is too, in a folder.
func millraceIn(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), busy)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, self)
	cmd.Args = append([]string{"millrace"}, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+t.TempDir())
	return cmd
}

// listener opens a listening socket, as a process inherits it.
func listener(t *testing.T, network, address string) (string, *os.File) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	defer l.Close()
	f, err := l.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return l.Addr().String(), f
}

func TestInheritedSocket(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/wsgi.py", inheritedApp)
	tests := []struct {
		name, network, address string
		args, env              []string
		want                   string // of the body; "": the connection is closed
		workers                int
	}{
		{"unix", "unix", filepath.Join(t.TempDir(), "s"), nil, nil, "path /x", 1},
		{"unix, and addresses that are for TCP", "unix", filepath.Join(t.TempDir(), "s"), nil, []string{"FCGI_WEB_SERVER_ADDRS=192.0.2.1"}, "path /x", 1},
		{"tcp", "tcp", "127.0.0.1:0", nil, nil, "path /x", 1},
		{"tcp, allowed", "tcp", "127.0.0.1:0", nil, []string{"FCGI_WEB_SERVER_ADDRS=192.0.2.1, 127.0.0.1"}, "path /x", 1},
		{"tcp, not allowed", "tcp", "127.0.0.1:0", nil, []string{"FCGI_WEB_SERVER_ADDRS=192.0.2.1"}, "", 1},
		{"more workers", "tcp", "127.0.0.1:0", []string{"maxchildren=3"}, nil, "path /x", 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			address, f := listener(t, test.network, test.address)
			control := filepath.Join(t.TempDir(), "c")
			cmd := millraceIn(t, dir, append([]string{"runfcgi", "protocol=http", "control=" + control}, test.args...)...)
			var stdout, stderr bytes.Buffer
			cmd.Stdin, cmd.Stdout, cmd.Stderr = f, &stdout, &stderr
			cmd.Env = append(cmd.Env, test.env...)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
				return net.Dial(test.network, address)
			}}}
			resp, err := c.Get("http://site/x")
			body := []byte{}
			if err == nil {
				body, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			if (err != nil) != (test.want == "") || string(body) != test.want {
				t.Errorf("%q, %v", body, err)
			}
			waitWorkers(t, dir, control, test.workers)
			cmd.Process.Signal(syscall.SIGTERM)
			if err := cmd.Wait(); err != nil { // as it would be if shutdown_timeout had cut anything off
				t.Errorf("its end: %v\n%s", err, &stderr)
			}
			if stdout.Len() > 0 {
				t.Errorf("stdout is nobody's: %s", &stdout)
			}
			if _, err := os.Lstat(address); test.network == "unix" && err != nil {
				t.Errorf("the socket is the web server's: %v", err)
			}
		})
	}
}

// waitWorkers waits until a server has as many workers at least: a request that
// is answered meanwhile has spare ones started beside it, and max_spare keeps them.
func waitWorkers(t *testing.T, dir, control string, want int) {
	t.Helper()
	deadline := time.Now().Add(busy)
	tick := time.NewTicker(50 * time.Millisecond) // each look is a process
	defer tick.Stop()
	for ; ; <-tick.C {
		out, err := millraceIn(t, dir, "status", "--json", "--control", control).Output()
		var status server.Status
		if err == nil {
			err = json.Unmarshal(out, &status)
		}
		if err == nil && len(status.Apps) == 1 && len(status.Apps[0].Workers) >= want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("never as many as %d workers: %v\n%s", want, err, out)
		}
	}
}

// TestInheritedConnection: Apache's mod_cgid gives a CGI program a connected
// socket.
func TestInheritedConnection(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/wsgi.py", inheritedApp)
	pair := func() (ours, theirs *os.File) {
		fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		return os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	}
	ours, theirs := pair()
	defer ours.Close()
	cmd := millraceIn(t, dir, "runfcgi")
	cmd.Stdin = theirs
	cmd.Env = append(cmd.Env, "GATEWAY_INTERFACE=CGI/1.1", "REQUEST_METHOD=GET", "SCRIPT_NAME=/s", "PATH_INFO=/p", "SERVER_PROTOCOL=HTTP/1.1", "SERVER_NAME=x", "SERVER_PORT=80")
	out, err := cmd.Output()
	theirs.Close()
	if err != nil || !strings.HasPrefix(string(out), "Status: 200") || !strings.HasSuffix(string(out), "path /p") {
		t.Errorf("%v\n%s", err, out)
	}
	var worker, host int
	_, after, _ := strings.Cut(string(out), "X-Processes: ")
	if _, err := fmt.Sscanf(after, "%d %d.", &worker, &host); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	if !hasEnded(worker) || !hasEnded(host) {
		t.Errorf("the worker %d or its host %d outlived the program", worker, host)
	}

	_, theirs = pair()
	defer theirs.Close()
	cmd = millraceIn(t, dir, "runfcgi")
	cmd.Stdin = theirs
	said, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitUsage || !strings.Contains(string(said), "descriptor 0 is a socket that does not listen") {
		t.Errorf("without a request: %v\n%s", err, said)
	}
}

// TestNoBadWebServers: what is no address lets nobody in.
func TestNoBadWebServers(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/wsgi.py", inheritedApp)
	_, f := listener(t, "tcp", "127.0.0.1:0")
	cmd := millraceIn(t, dir, "runfcgi")
	cmd.Stdin = f
	cmd.Env = append(cmd.Env, "FCGI_WEB_SERVER_ADDRS=localhost")
	said, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitUsage || !strings.Contains(string(said), "localhost") {
		t.Errorf("%v\n%s", err, said)
	}
}

// hanging imports for ever, once it has written its process id.
const hanging = `
import os, signal
with open("pid.tmp", "w") as f: f.write(str(os.getpid()))
os.rename("pid.tmp", "pid")
while True: signal.pause()
`

// TestDaemonInterrupted: who stops the command that waits stops the daemon.
func TestDaemonInterrupted(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/wsgi.py", hanging+"application = None\n")
	cmd := millraceIn(t, dir, "runfcgi", "protocol=http", "socket=s", "pidfile=m.pid")
	cmd.Stdin = nil
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	host := readPID(t, dir+"/pid")
	master := readPID(t, dir+"/m.pid")
	cmd.Process.Signal(os.Interrupt)
	said, _ := io.ReadAll(bufio.NewReader(stderr))
	err = cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitFailed {
		t.Errorf("%v\n%s", err, said)
	}
	deadline := time.Now().Add(busy)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !hasEnded(master) || !hasEnded(host) {
		if time.Now().After(deadline) {
			t.Fatalf("the daemon %d or its host %d lives on", master, host)
		}
		<-tick.C
	}
	for _, name := range []string{"s", "m.pid"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s is left", name)
		}
	}
}

// readPID waits for a file that holds a process id.
func readPID(t *testing.T, path string) int {
	t.Helper()
	deadline := time.Now().Add(busy)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		text, err := os.ReadFile(path)
		if err == nil {
			pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-tick.C
	}
}

func TestCopyUntilReady(t *testing.T) {
	tests := []struct {
		pieces      []string
		copied      string
		ready, said bool
	}{
		{[]string{"\x00"}, "", true, false},
		{[]string{"a note\n", "\x00"}, "a note\n", true, true},
		{[]string{"a note\n\x00behind"}, "a note\n", true, true},
		{[]string{"millrace: ", "no\n"}, "millrace: no\n", false, true},
		{nil, "", false, false},
	}
	for _, test := range tests {
		read, write := io.Pipe()
		go func() {
			for _, p := range test.pieces {
				fmt.Fprint(write, p)
			}
			write.Close()
		}()
		var b bytes.Buffer
		ready, said, err := copyUntilReady(&b, read)
		read.Close()
		if ready != test.ready || said != test.said || b.String() != test.copied || !ready && !errors.Is(err, io.EOF) {
			t.Errorf("%q: %v %v %q %v", test.pieces, ready, said, b.String(), err)
		}
	}
}

func TestWithoutRequest(t *testing.T) {
	got := withoutRequest([]string{"PATH=/bin", "HTTP_PROXY=x", "REDIRECT_HTTP_PROXY=x", "QUERY_STRING=q", "REDIRECT_QUERY_STRING=q", "DJANGO_SETTINGS_MODULE=s", "REDIRECT_SITE=y", "HTTPS=on", "https_proxy=z"})
	want := "PATH=/bin DJANGO_SETTINGS_MODULE=s REDIRECT_SITE=y https_proxy=z"
	if strings.Join(got, " ") != want {
		t.Errorf("%q", got)
	}
}
