package main

// The stacks: how each is configured and started, and when it is ready.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// helloBody is what every app answers.
const helloBody = "Hello, World!\n"

// peer is a stack that may be started for an app.
type peer struct {
	name  string
	start func(ctx context.Context, s *settings, app string) (*stack, error)
}

// missingError is a stack that can't be had on this machine: a row of the
// table, not a failure.
type missingError struct{ what string }

func (e *missingError) Error() string { return "missing: " + e.what }

// baseline is the stack that the others are compared with.
const baseline = "nginx + uWSGI"

var peers = []peer{
	{"millrace", func(ctx context.Context, s *settings, app string) (*stack, error) {
		return startMillrace(ctx, s, app, "")
	}},
	{baseline, startNginxUWSGI},
	{"prototype", startPrototype},
}

// stack is a running peer.
type stack struct {
	name   string
	url    string
	front  []*process
	worker []*process // empty: the front's descendants are the workers
}

// newStack makes a folder and a URL for a stack.
func newStack(s *settings, name string) (st *stack, folder, address string, err error) {
	if folder, err = os.MkdirTemp(s.work, strings.Fields(name)[0]+"-"); err != nil {
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
	return &stack{name: name, url: "http://" + address + "/"}, folder, address, nil
}

// startMillrace serves an app; keys are more lines for [app.main].
func startMillrace(ctx context.Context, s *settings, app, keys string) (*stack, error) {
	st, folder, address, err := newStack(s, "millrace")
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
`, address, app, filepath.Join(s.work, "apps"), s.python, s.workers, s.site, keys)
	if err := os.WriteFile(filepath.Join(folder, "millrace.toml"), []byte(config), 0o644); err != nil {
		return nil, err
	}
	if err := st.run(ctx, &st.front, folder, nil, s.millrace, "serve", "millrace.toml"); err != nil {
		return nil, err
	}
	return st, st.ready(ctx)
}

func startNginxUWSGI(ctx context.Context, s *settings, app string) (*stack, error) {
	var programs [2]string
	for i, name := range []string{"nginx", "uwsgi"} {
		path, err := lookPath(name)
		if err != nil {
			return nil, &missingError{name + " is not installed"}
		}
		programs[i] = path
	}
	nginx, uwsgi := programs[0], programs[1]
	st, folder, address, err := newStack(s, baseline)
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(folder, "uwsgi.sock")
	user := ""
	if os.Getuid() == 0 {
		user = "user root;" // the folder is root's
	}
	config := fmt.Sprintf(`%s
daemon off;
worker_processes %d;
pid %[3]s/nginx.pid;
error_log stderr warn;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path %[3]s/body;
  proxy_temp_path %[3]s/proxy;
  fastcgi_temp_path %[3]s/fastcgi;
  uwsgi_temp_path %[3]s/uwsgi;
  scgi_temp_path %[3]s/scgi;
  upstream app { server unix:%[4]s; }
  server {
    listen %[5]s backlog=4096;
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
  }
}
`, user, s.workers, folder, socket, address)
	path := filepath.Join(folder, "nginx.conf")
	if err := os.WriteFile(path, []byte(config), 0o644); err != nil {
		return nil, err
	}
	err = st.run(ctx, &st.worker, folder, nil, uwsgi,
		"--plugin", "python3", "--socket", socket, "--chmod-socket=666", "--master", "--processes", fmt.Sprint(s.workers),
		"--module", app, "--pythonpath", s.site, "--pythonpath", filepath.Join(s.work, "apps"),
		"--need-app", "--die-on-term", "--disable-logging")
	if err != nil {
		return nil, err
	}
	if err := st.run(ctx, &st.front, folder, nil, nginx, "-p", folder, "-e", "stderr", "-c", path); err != nil {
		return nil, err
	}
	return st, st.ready(ctx)
}

func startPrototype(ctx context.Context, s *settings, app string) (*stack, error) {
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
	st, folder, address, err := newStack(s, "prototype")
	if err != nil {
		return nil, err
	}
	env := []string{"GOGC=400", "PYTHONPATH=" + s.site}
	err = st.run(ctx, &st.front, folder, env, filepath.Join(source, "prototype"),
		"-listen", address, "-workers", fmt.Sprint(s.workers), "-python", s.python,
		"-script", filepath.Join(source, "worker.py"), "-app", app, "-dir", filepath.Join(s.work, "apps"))
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
	beat := time.NewTicker(20 * time.Millisecond)
	defer beat.Stop()
	for {
		err := st.check(ctx)
		if err == nil {
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

// check asks once and compares the answer.
func (st *stack) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", st.url, nil)
	if err != nil {
		return err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || string(body) != helloBody {
		return fmt.Errorf("%s answers %s, %.200q", st.name, resp.Status, body)
	}
	return nil
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
