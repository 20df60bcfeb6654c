package main

// The stacks: how each is configured and started, and when it is ready.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// job is what a stack is started for.
type job struct {
	app  string // module:callable
	path string // without the first slash
	post int    // length of the request's body; 0: GET
	size int64  // of the right answer; 0: it is helloBody; -1: any
	keys string // more lines for [app.main] of millrace
	wait int    // connections that wait for nginx's back end; 0: uWSGI's own default
}

func (j job) ask(base string) ask {
	a := ask{url: base + j.path, post: j.post, size: j.size}
	if j.size == 0 {
		a.body = helloBody
	}
	return a
}

// peer is a stack that may be started for an app.
type peer struct {
	name  string
	start func(ctx context.Context, s *settings, j job) (*stack, error)
}

// entrant has the peer start for a job.
func (p peer) entrant(j job) entrant {
	return entrant{p.name, func(ctx context.Context, s *settings) (loaded, error) { return p.start(ctx, s, j) }}
}

// startAll starts the stacks of some peers. One that can't be had is nil, and what
// is missed says why. Those that run are the caller's to stop, also with an error.
func startAll(ctx context.Context, s *settings, j job, peers []peer) (running []*stack, missed []string, err error) {
	running, missed = make([]*stack, len(peers)), make([]string, len(peers))
	for i, p := range peers {
		var missing *missingError
		switch running[i], err = p.start(ctx, s, j); {
		case errors.As(err, &missing):
			missed[i] = err.Error()
		case err != nil:
			return running, missed, err
		}
	}
	return running, missed, nil
}

func stopAll(running []*stack) {
	for _, st := range running {
		if st != nil {
			st.stop()
		}
	}
}

// missingError is a stack that can't be had on this machine: a row of the
// table, not a failure.
type missingError struct{ what string }

func (e *missingError) Error() string { return "missing: " + e.what }

// baseline is the stack that people assemble today.
const baseline = "nginx + uWSGI"

// stack is a running peer.
type stack struct {
	name    string
	ask     ask
	front   []*process
	worker  []*process         // empty: the front's descendants are the workers
	isFront func(pid int) bool // of the front's descendants; nil: millrace's front
	book    *book              // of how it was started
	begun   time.Time          // just before its first process
	up      time.Time          // when it had answered right
}

func (st *stack) request() ask { return st.ask }

// newStack makes a folder and a URL for a stack.
func newStack(s *settings, name string, j job) (st *stack, folder, address string, err error) {
	if folder, err = os.MkdirTemp(s.work, strings.Trim(strings.Fields(name)[0], ",")+"-"); err != nil {
		return nil, "", "", err
	}
	if err := os.Chmod(folder, 0o755); err != nil { // Apache's workers run as somebody else
		return nil, "", "", err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", "", err
	}
	address = listener.Addr().String()
	if err := listener.Close(); err != nil { // free again, for the stack
		return nil, "", "", err
	}
	return &stack{name: name, ask: j.ask("http://" + address + "/"), book: s.book}, folder, address, nil
}

// startMillrace serves an app.
func startMillrace(ctx context.Context, s *settings, j job) (*stack, error) {
	st, folder, address, err := newStack(s, "millrace", j)
	if err != nil {
		return nil, err
	}
	config := fmt.Sprintf(`
[server]
control = "control.sock"

[[site]]
listen = [%q]

[[site.route]]
app = "main"

[app.main]
wsgi = %q
dir = %q
python = %q
workers = %d
env = { PYTHONPATH = %q }
%s
`, address, j.app, s.apps(), s.python, s.workers, s.site, j.keys)
	if err := os.WriteFile(filepath.Join(folder, "millrace.toml"), []byte(config), 0o644); err != nil {
		return nil, err
	}
	if err := st.run(ctx, &st.front, folder, nil, s.millrace, "serve", "millrace.toml"); err != nil {
		return nil, err
	}
	return st, st.ready(ctx)
}

// programs finds them all, or says which one is missing.
func programs(names ...string) ([]string, error) {
	paths := make([]string, len(names))
	for i, name := range names {
		path, err := lookPath(name)
		if err != nil {
			return nil, &missingError{name + " is not installed"}
		}
		paths[i] = path
	}
	return paths, nil
}

func startNginxUWSGI(ctx context.Context, s *settings, j job) (*stack, error) {
	program, err := programs("nginx", "uwsgi")
	if err != nil {
		return nil, err
	}
	st, folder, address, err := newStack(s, baseline, j)
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(folder, "uwsgi.sock")
	path := filepath.Join(folder, "nginx.conf")
	if err := os.WriteFile(path, []byte(nginxGateway(s, folder, fmt.Sprintf(nginxUWSGI, socket, address))), 0o644); err != nil {
		return nil, err
	}
	args := append([]string{"--socket", socket, "--chmod-socket=666"}, uwsgiArgs(s, j)...)
	if j.wait > 0 {
		args = append(args, "--listen", fmt.Sprint(j.wait))
	}
	if err := st.run(ctx, &st.worker, folder, nil, program[1], args...); err != nil {
		return nil, err
	}
	if err := st.run(ctx, &st.front, folder, nil, program[0], nginxArgs(path)...); err != nil {
		return nil, err
	}
	return st, st.ready(ctx)
}

const nginxUWSGI = `upstream app { server unix:%s; }
  server {
    listen %s backlog=4096;
    location / {
      uwsgi_param QUERY_STRING $query_string;
      uwsgi_param REQUEST_METHOD $request_method;
      uwsgi_param CONTENT_TYPE $content_type;
      uwsgi_param CONTENT_LENGTH $content_length;
      uwsgi_param REQUEST_URI $request_uri;
      uwsgi_param PATH_INFO $document_uri;
      uwsgi_param DOCUMENT_ROOT $document_root;
      uwsgi_param SERVER_PROTOCOL $server_protocol;
      uwsgi_param REQUEST_SCHEME $scheme;
      uwsgi_param REMOTE_ADDR $remote_addr;
      uwsgi_param REMOTE_PORT $remote_port;
      uwsgi_param SERVER_PORT $server_port;
      uwsgi_param SERVER_NAME $server_name;
      uwsgi_pass app;
    }
  }`

// uwsgiArgs are what uWSGI is told of an app, whatever its socket is.
func uwsgiArgs(s *settings, j job) []string {
	return []string{
		"--plugin", "python3", "--master", "--processes", fmt.Sprint(s.workers),
		"--module", j.app, "--pythonpath", s.site, "--pythonpath", s.apps(),
		"--need-app", "--die-on-term", "--disable-logging",
	}
}

func startPrototype(ctx context.Context, s *settings, j job) (*stack, error) {
	if s.prototype == "" {
		return nil, &missingError{"no source (-prototype or $MILLRACE_PROTOTYPE)"}
	}
	if _, err := os.Stat(filepath.Join(s.prototype, "main.go")); err != nil {
		return nil, &missingError{err.Error()}
	}
	source := filepath.Join(s.work, "prototype")
	if _, err := os.Stat(source); errors.Is(err, os.ErrNotExist) {
		if err := os.CopyFS(source, os.DirFS(s.prototype)); err != nil {
			return nil, err
		}
		build := exec.CommandContext(ctx, "go", "build", "-o", "prototype", ".")
		build.Dir = source
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("building the prototype: %w\n%s", err, out)
		}
	}
	st, folder, address, err := newStack(s, "prototype", j)
	if err != nil {
		return nil, err
	}
	env := []string{"GOGC=400", "PYTHONPATH=" + s.site}
	err = st.run(ctx, &st.front, folder, env, filepath.Join(source, "prototype"),
		"-listen", address, "-workers", fmt.Sprint(s.workers), "-python", s.python,
		"-script", filepath.Join(source, "worker.py"), "-app", j.app, "-dir", s.apps())
	if err != nil {
		return nil, err
	}
	return st, st.ready(ctx)
}

// lookPath also looks where Debian puts servers.
func lookPath(program string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	return exec.LookPath(filepath.Join("/usr/sbin", program))
}

// run starts one process of the stack and adds it to a group.
// The stack's other processes are stopped if that fails.
func (st *stack) run(ctx context.Context, group *[]*process, folder string, env []string, name string, args ...string) error {
	st.book.started(st.name, folder, env, name, args)
	if st.begun.IsZero() {
		st.begun = time.Now()
	}
	p, err := startProcess(folder, env, name, args...)
	if err != nil {
		st.stop()
		return fmt.Errorf("starting %s: %w", st.name, err)
	}
	*group = append(*group, p)
	return ctx.Err()
}

// ready polls until the stack answers right, and stops it if it does not.
func (st *stack) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	beat := time.NewTicker(2 * time.Millisecond)
	defer beat.Stop()
	for {
		err := st.ask.check(ctx)
		if err == nil {
			st.up = time.Now()
			return nil
		}
		select {
		case <-ctx.Done():
			err = fmt.Errorf("%s is not ready within 30s: %w\n%s", st.name, err, st.log())
			st.stop()
			return err
		case <-st.exited():
			err = fmt.Errorf("a process of %s ended\n%s", st.name, st.log())
			st.stop()
			return err
		case <-beat.C:
		}
	}
}

func (st *stack) processes() []*process {
	return append(append([]*process{}, st.front...), st.worker...)
}

// exited is closed when any process of the stack has ended.
func (st *stack) exited() <-chan struct{} {
	for _, p := range st.processes() {
		select {
		case <-p.ended:
			return p.ended
		default:
		}
	}
	return nil
}

// stop ends every process of the stack; the front first, so that it reports
// no lost back end.
func (st *stack) stop() {
	for _, p := range st.processes() {
		p.stop()
	}
}

// log is the end of what the stack's processes printed.
func (st *stack) log() string {
	var b bytes.Buffer
	for _, p := range st.processes() {
		fmt.Fprintf(&b, "--- %s\n%s\n", p.name, p.tail())
	}
	return b.String()
}
