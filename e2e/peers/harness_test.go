// Package peers tests millrace together with the programs that people use
// today: in front of it (nginx, lighttpd, Apache, HAProxy) and behind it
// (php-fpm, uWSGI, Tomcat and others). Each is started by its test on a
// loopback address of the test's own, and stopped by its process id.
package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// limit is how long anything may take that is waited for.
const limit = 60 * time.Second

var (
	binary string // millrace, built for this run
	venv   string // with Django, flup, gunicorn and waitress
)

func TestMain(m *testing.M) {
	code, err := prepare(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		code = 1
	}
	os.Exit(code)
}

func prepare(m *testing.M) (int, error) {
	var err error
	if venv, err = filepath.Abs("../../.cache/venv"); err != nil {
		return 0, err
	}
	folder, err := os.MkdirTemp("", "millrace-peers-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(folder)
	binary = filepath.Join(folder, "millrace")
	// Without what the compiler is told of hot code: that builds half as fast.
	build := exec.Command("go", "build", "-pgo=off", "-o", binary, "../../cmd/millrace")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("go build: %w\n%s", err, out)
	}
	for _, name := range []string{"VIRTUAL_ENV", "DJANGO_SETTINGS_MODULE", "PYTHONPATH"} {
		os.Unsetenv(name)
	}
	return m.Run(), nil
}

// need finds a peer's program. Where the setup has installed the peers, a
// missing one is a failure.
func need(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		for _, dir := range []string{"", "/usr/sbin/", "/usr/bin/", "/usr/lib/cgi-bin/"} {
			if path, err := exec.LookPath(dir + name); err == nil {
				return path
			}
		}
	}
	if _, err := os.Stat("../../.cache/peers.stamp"); err == nil {
		t.Fatalf("%s is not installed, though scripts/setup.sh says that every peer is", names[0])
	}
	t.Skipf("%s is not installed, and scripts/setup.sh could not install it", names[0])
	return ""
}

// hosts counts the loopback addresses that tests have been given.
var hosts atomic.Int64

// loopback returns an address of 127.0.0.0/8 that no other test, and no test
// of another run, has: its ports are free. Elsewhere than on Linux there is
// only one.
func loopback() string {
	n := hosts.Add(1)
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d", 64+pid>>8&63, pid&255, 1+n%250)
}

// shortDir is a folder whose path is short enough for Unix sockets, and that
// a server which gives up its rights can enter.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "mp")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// program is a running process of a test.
type program struct {
	t     *testing.T
	name  string
	cmd   *exec.Cmd
	out   *output
	ended chan struct{}
}

// run starts a program. It is stopped with stop at the end of the test.
func run(t *testing.T, stop os.Signal, cmd *exec.Cmd) *program {
	t.Helper()
	p := &program{t: t, name: filepath.Base(cmd.Path), cmd: cmd, out: &output{}, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.out, p.out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait() // how it ended is seen in ProcessState
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(stop) // an error: it has ended already
		select {
		case <-p.ended:
		case <-time.After(20 * time.Second):
			t.Errorf("%s did not stop within 20 s of %v", p.name, stop)
		}
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it left of its group
		<-p.ended
		if t.Failed() {
			t.Logf("output of %s:\n%s", p.name, p.out)
		}
	})
	return p
}

// listening waits until an address ("host:port" or "unix:/path") takes
// connections.
func (p *program) listening(addresses ...string) {
	p.t.Helper()
	for _, address := range addresses {
		network := "tcp"
		if path, ok := strings.CutPrefix(address, "unix:"); ok {
			network, address = "unix", path
		}
		p.waitFor("listens on "+address, func() bool {
			c, err := net.DialTimeout(network, address, time.Second)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
	}
}

// waitFor polls until a condition holds, the program ends, or limit is over.
func (p *program) waitFor(what string, condition func() bool) {
	p.t.Helper()
	deadline := time.Now().Add(limit)
	for !condition() {
		select {
		case <-p.ended:
			p.t.Fatalf("%s ended (%v) before it %s:\n%s", p.name, p.cmd.ProcessState, what, p.out)
		default:
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%s: not within %v: it %s\n%s", p.name, limit, what, p.out)
		}
		pause()
	}
}

// eventually polls until a condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
		pause()
	}
}

// pause is the beat of a poll that has a deadline.
func pause() { <-time.After(5 * time.Millisecond) }

// output is what a program printed so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// write makes a file of a configuration.
func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// client is an HTTP client that follows no redirect.
func client(t *testing.T) *http.Client {
	transport := &http.Transport{DisableCompression: true, MaxResponseHeaderBytes: 2 << 20}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		Timeout:       limit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// gate is a FIFO that holds a response until it is opened.
func gate(t *testing.T) (path string, open func(word string)) {
	t.Helper()
	path = filepath.Join(shortDir(t), "gate")
	if err := errors.Join(syscall.Mkfifo(path, 0o666), os.Chmod(path, 0o666)); err != nil {
		t.Fatal(err)
	}
	return path, func(word string) {
		t.Helper()
		var f *os.File
		eventually(t, "the app stands at the gate", func() bool {
			var err error
			f, err = os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0)
			return err == nil
		})
		_, err := f.WriteString(word)
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// command runs a program to its end and returns what it printed.
func command(t *testing.T, dir string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
