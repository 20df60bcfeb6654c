// Package adapt tests that a configuration of nginx, lighttpd or Apache does
// under millrace what it does under the server that it is of.
//
// Each case is a whole configuration in testdata. The real server runs it,
// `millrace serve FILE` does, and so does millrace with what `millrace adapt
// FILE` prints; all three have the same files and the same back ends, and are
// asked the same things (requests_test.go). What they answer must agree
// (compare_test.go), but for what rules_test.go lists, each with its reason.
package adapt

import (
	"bytes"
	"errors"
	"fmt"
	"net"
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
	venv   string // with gunicorn
)

func TestMain(m *testing.M) {
	code, err := prepare(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "adapt:", err)
		code = 1
	}
	os.Exit(code)
}

func prepare(m *testing.M) (int, error) {
	var err error
	if venv, err = filepath.Abs("../../.cache/venv"); err != nil {
		return 0, err
	}
	folder, err := os.MkdirTemp("", "millrace-adapt-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(folder)
	if err := os.Chmod(folder, 0o755); err != nil { // for servers that give up their rights
		return 0, err
	}
	binary = filepath.Join(folder, "millrace")
	// Without what the compiler is told of hot code: that builds half as fast.
	build := exec.Command("go", "build", "-pgo=off", "-o", binary, "../../cmd/millrace")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// need finds a server's program. Where the setup has installed the peers, a
// missing one is a failure.
func need(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		for _, dir := range []string{"", "/usr/sbin/", "/usr/bin/"} {
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

// hosts counts the loopback addresses that servers have been given.
var hosts atomic.Int64

// loopback returns an address of 127.0.0.0/8 that no other server of this run,
// or of another run or package, has: its ports are free.
func loopback() string {
	n := hosts.Add(1)
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d", 128+pid>>8&63, pid&255, 1+n%250)
}

// shortDir is a folder whose path is short enough for Unix sockets, and that
// a server which gives up its rights can enter.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "ma")
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

// run starts a program. It is stopped by SIGTERM at the end of the test.
func run(t *testing.T, cmd *exec.Cmd) *program {
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
		_ = cmd.Process.Signal(syscall.SIGTERM) // an error: it has ended already
		select {
		case <-p.ended:
		case <-time.After(20 * time.Second):
			t.Errorf("%s did not stop within 20 s of SIGTERM", p.name)
		}
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it left of its group
		<-p.ended
		if t.Failed() {
			t.Logf("output of %s:\n%s", p.name, tail(p.out.String()))
		}
	})
	return p
}

// tail is the end of a long output.
func tail(s string) string {
	const most = 1500
	if len(s) > most {
		return "…" + s[len(s)-most:]
	}
	return s
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
		<-time.After(5 * time.Millisecond) // the beat of a poll that has a deadline
	}
}

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

// write makes a file.
func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
	return path
}
