// Package e2e tests the real binary from outside: each test starts millrace
// in a folder of its own, on a port of its own, with the interpreter of
// .cache/venv, and talks HTTP to it.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"millrace/internal/testkit"
)

// marker is in the environment of every server and of all that it starts.
const marker = "MILLRACE_TEST_ID"

// limit is how long anything may take that is waited for.
const limit = 3 * time.Minute

// quiet says that the machine does nothing else (make measure): what is said
// of speed in numbers of seconds is held to then.
func quiet() bool { return os.Getenv("MILLRACE_QUIET") != "" }

var (
	binary string // millrace, built for this run
	venv   string // with Django, Flask and CherryPy
)

func TestMain(m *testing.M) {
	beProgram()
	os.Exit(testkit.Main(m, prepare))
}

func prepare(k testkit.Kit) error {
	binary, venv = k.Millrace, k.Venv
	if _, err := os.Stat(filepath.Join(venv, "bin", "python")); err != nil {
		return fmt.Errorf("%w: run scripts/setup.sh", err)
	}
	// A python3 that looks for another one takes as long as that one's start.
	python, err := exec.Command("python3", "-c", "import sys; print(sys.executable)").Output()
	if err != nil {
		return fmt.Errorf("python3: %w", err)
	}
	return os.Setenv("PATH", filepath.Dir(strings.TrimSpace(string(python)))+":"+os.Getenv("PATH"))
}

// server is one running millrace.
type server struct {
	t   *testing.T
	dir string
	id  string // marker's value
	cmd *exec.Cmd
	log *testkit.Output
	url string // "http://127.0.0.1:PORT", without a slash at the end

	ended chan struct{} // closed when the process has ended
}

// start runs `millrace serve` with more arguments in a folder and waits until
// it is ready. It is stopped at the end of the test, which fails if it does
// not stop, or leaves a process behind.
func start(t *testing.T, dir string, args ...string) *server {
	t.Helper()
	return startWith(t, dir, 4, args...) // keeper, front, host, a worker
}

// startWith is start with as many processes at least.
func startWith(t *testing.T, dir string, least int, args ...string) *server {
	t.Helper()
	s := launch(t, dir, args...)
	s.ready(least)
	return s
}

// ready waits until the server is.
func (s *server) ready(least int) {
	t := s.t
	t.Helper()
	s.waitFor("ready", func() bool { return s.log.Has(readyLine) })
	m := bannerURL.FindStringSubmatch(s.log.String())
	if m == nil {
		t.Fatalf("no address in the banner:\n%s", s.log)
	}
	s.url = m[1]
	// Or those left behind would not be found. Some may be on their way: the
	// server is ready when the first worker is.
	s.waitFor(fmt.Sprintf("%d processes that carry %s", least, marker), func() bool { return len(s.processes()) >= least })
}

var (
	bannerURL = regexp.MustCompile(`(http://127\.0\.0\.1:[0-9]+)\b`)
	readyLine = regexp.MustCompile(`(?m)^ready$`)
)

// launch is start without the wait.
func launch(t *testing.T, dir string, args ...string) *server {
	t.Helper()
	return launchBy(t, nil, dir, args...)
}

// launchBy is launch through another program, which executes what its further
// arguments are.
func launchBy(t *testing.T, through []string, dir string, args ...string) *server {
	t.Helper()
	all := []string{"serve"}
	if _, err := os.Stat(filepath.Join(dir, "millrace.toml")); err != nil { // which says itself where to listen
		all = append(all, "--listen", "127.0.0.1:0")
	}
	all = append(append(slices.Clone(through), binary), append(all, args...)...)
	return begin(t, dir, exec.Command(all[0], all[1:]...))
}

// begin starts a server by a command, in a folder if one is named. cmd.Env is
// added to the environment.
func begin(t *testing.T, dir string, cmd *exec.Cmd) *server {
	t.Helper()
	s := &server{t: t, dir: dir, id: newID(t), cmd: cmd, log: &testkit.Output{}, ended: make(chan struct{})}
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), marker+"="+s.id), cmd.Env...)
	cmd.Stdout, cmd.Stderr = s.log, s.log
	// A process left behind may hold the output open; that is found by stop.
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait() // how it ended is seen in ProcessState
		close(s.ended)
	}()
	t.Cleanup(s.stop)
	return s
}

// newID is a value for marker.
func newID(t *testing.T) string {
	return fmt.Sprintf("%d-%s-%d", os.Getpid(), t.Name(), time.Now().UnixNano())
}

func (s *server) stop() {
	s.cmd.Process.Signal(syscall.SIGTERM) // an error: it has ended already
	select {
	case <-s.ended:
	case <-time.After(limit):
		s.t.Errorf("millrace did not stop within %v of SIGTERM", limit)
		for pid, line := range s.processes() { // what their goroutines wait for
			if strings.Contains(line, "millrace ") {
				syscall.Kill(pid, syscall.SIGABRT)
			}
		}
		select {
		case <-s.ended:
		case <-time.After(5 * time.Second):
		}
		s.cmd.Process.Kill()
		<-s.ended
	}
	deadline := time.Now().Add(limit)
	left := s.processes()
	for len(left) > 0 && time.Now().Before(deadline) {
		testkit.Pause()
		left = s.processes()
	}
	for pid, line := range left {
		s.t.Errorf("millrace left process %d behind: %s", pid, line)
		syscall.Kill(pid, syscall.SIGKILL)
	}
	if s.t.Failed() {
		s.t.Logf("output of millrace:\n%s", s.log)
	}
}

// processes are those that carry this server's marker, with their command lines.
func (s *server) processes() map[int]string {
	found := map[int]string{}
	environs, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		s.t.Error(err)
	}
	for _, path := range environs {
		environ, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(environ, []byte(marker+"="+s.id+"\x00")) {
			continue // it is gone, or not ours
		}
		folder := filepath.Dir(path)
		line, err := os.ReadFile(filepath.Join(folder, "cmdline"))
		if err != nil {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(folder))
		if err != nil {
			s.t.Error(err)
		}
		found[pid] = strings.ReplaceAll(strings.ToValidUTF8(string(bytes.TrimRight(line, "\x00")), "?"), "\x00", " ")
	}
	return found
}

// waitFor polls until a condition holds, the server ends, or the limit is over.
func (s *server) waitFor(what string, condition func() bool) {
	s.t.Helper()
	switch testkit.Poll(limit, s.ended, condition) {
	case testkit.ErrEnded:
		s.t.Fatalf("millrace ended (%v) before: %s", s.cmd.ProcessState, what)
	case testkit.ErrLate:
		s.t.Fatalf("not within %v: %s", limit, what)
	}
}

// run runs another command of millrace in the server's folder.
func (s *server) run(args ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = s.dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("millrace %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}

// try runs another command of millrace that may fail: its output and its exit
// status.
func (s *server) try(args ...string) (output string, code int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = s.dir
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		s.t.Fatalf("millrace %s: %v", strings.Join(args, " "), err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// appStatus is what the tests read of one app in `millrace status --json`.
type appStatus struct {
	Name       string
	Generation int
	State      string
	Python     string
	Idle       int
	Active     int
	Queue      int
	Accepted   uint64
	Answered   uint64
	Workers    []struct {
		PID        int
		Generation int
		State      string
		Running    string
	}
}

// status is the state of the app "main".
func (s *server) status() appStatus {
	s.t.Helper()
	var all struct{ Apps []appStatus }
	text := s.run("status", "--json")
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		s.t.Fatalf("%v in %s", err, text)
	}
	for _, app := range all.Apps {
		if app.Name == "main" {
			return app
		}
	}
	s.t.Fatalf("no app main in %s", text)
	return appStatus{}
}

// front is the process that answers requests.
func (s *server) front() int {
	s.t.Helper()
	for pid, line := range s.processes() {
		if strings.HasSuffix(line, " front") {
			return pid
		}
	}
	s.t.Fatalf("no front among %v", s.processes())
	return 0
}

// peakMemory is the most that the front ever held, in bytes.
func (s *server) peakMemory() int64 {
	s.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.front()))
	if err != nil {
		s.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	var kib int64
	if _, err := fmt.Sscanf(rest, "%d kB", &kib); err != nil {
		s.t.Fatalf("no VmHWM in %s", text)
	}
	return kib << 10
}

// client keeps cookies and follows redirects, as a browser does.
func client(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Jar: jar, Transport: transport, Timeout: limit}
}

// fetched is a whole response.
type fetched struct {
	*http.Response
	text string
}

// read ends a response. It fails the test unless the status is the one wanted.
func read(t *testing.T, resp *http.Response, err error, status int) fetched {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", resp.Request.Method, resp.Request.URL, err)
	}
	if resp.StatusCode != status {
		t.Fatalf("%s %s: %s; want %d\n%.2000s", resp.Request.Method, resp.Request.URL, resp.Status, status, text)
	}
	return fetched{resp, string(text)}
}

func get(t *testing.T, c *http.Client, url string, status int) fetched {
	t.Helper()
	resp, err := c.Get(url)
	return read(t, resp, err, status)
}

// decode reads a JSON answer.
func decode[T any](t *testing.T, f fetched) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(f.text), &v); err != nil {
		t.Fatalf("%s: %v in %.500s", f.Request.URL, err, f.text)
	}
	return v
}

// gate is a FIFO that holds a view until it is opened.
type gate struct {
	t    *testing.T
	path string
}

func newGate(t *testing.T) gate {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gate")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return gate{t, path}
}

// open waits until a view stands at the gate and lets that one through.
func (g gate) open(word string) {
	g.t.Helper()
	opened := make(chan error, 1)
	go func() {
		f, err := os.OpenFile(g.path, os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteString(word)
			err = firstError(err, f.Close())
		}
		opened <- err
	}()
	select {
	case err := <-opened:
		if err != nil {
			g.t.Fatal(err)
		}
	case <-time.After(limit):
		// Free the goroutine: as a reader, be the other end.
		if f, err := os.OpenFile(g.path, os.O_RDONLY|syscall.O_NONBLOCK, 0); err == nil {
			<-opened
			f.Close()
		}
		g.t.Fatalf("no view came to the gate within %v", limit)
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// python runs a command of the virtual environment.
func python(t *testing.T, dir string, env []string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(venv, "bin", "python"), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("python %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
