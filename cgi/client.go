package cgi

// The server's side: Host, which starts a program for each request.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"millrace/gateway"
)

// Host runs a CGI program, one process for each request. It is safe for
// concurrent use. Only Path is required.
type Host struct {
	// Path is the program's file. It is not looked for in PATH.
	Path string

	// Args go before the words of an indexed query (RFC 3875, section 4.4),
	// which are passed on unless one begins with "-", and never on Windows,
	// where a batch file would interpret them.
	Args []string

	// Dir is the program's working directory; "": that of Path.
	Dir string

	// Env is added to the program's environment, each "NAME=value";
	// InheritEnv names variables that it gets from this process. Beside them
	// it gets the request's parameters, GATEWAY_INTERFACE, SERVER_SOFTWARE,
	// SCRIPT_FILENAME (Path) and PATH (on Unix /usr/local/bin:/usr/bin:/bin),
	// and nothing else. What Env and InheritEnv say, no request changes.
	Env        []string
	InheritEnv []string

	// Params names parameters of a request that become variables beside the
	// usual ones (those of RFC 3875, HTTP_*, SSL_*, REDIRECT_*, …). Any other
	// is left out, since a name like LD_PRELOAD has a power of its own; which
	// ones were is logged once.
	Params []string

	// Prepare may change what is started, for each request anew: its user
	// (SysProcAttr.Credential; SysProcAttr is not nil on Unix), its limits. An
	// error ends the request. nil: nothing is done.
	Prepare func(cmd *exec.Cmd) error

	// Start starts a process in place of cmd.Start, for whoever has others start
	// them: it takes the command's Path, Args, Env and Dir, and its Stdin, Stdout
	// and Stderr, each an *os.File or nil, the null device. nil: cmd.Start.
	Start func(cmd *exec.Cmd) (Process, error)

	// MaxProcesses is how many processes may be there at a time, those on
	// their way out included; one more is gateway.ErrOverloaded. 0: no limit.
	MaxProcesses int

	// Timeout is how long the program may neither take a byte of its input nor
	// send one of its response; the whole head of the response counts as one.
	// Waiting for the request's Body, or for whoever reads the response, does
	// not count. 0: gateway.DefaultTimeout; negative: no limit.
	Timeout time.Duration

	// MaxTime is how long one run may take in all. 0: no limit.
	MaxTime time.Duration

	// Grace is how long a process may take to leave: by itself when its
	// response has ended, then after SIGTERM; SIGKILL follows. 0: 5 s.
	Grace time.Duration

	MaxHead int // bytes of the response's head; 0: gateway.DefaultMaxHead

	// Log takes what programs write to their standard error where the request
	// has no Stderr, and which of them failed. nil: slog.Default().
	Log *slog.Logger

	mu      sync.Mutex
	runs    map[*run]struct{}
	closed  bool
	refused map[string]struct{} // parameters that were left out and logged
	ended   sync.WaitGroup
}

var _ gateway.RoundTripper = (*Host)(nil)

const (
	defaultGrace = 5 * time.Second
	defaultPath  = "/usr/local/bin:/usr/bin:/bin"
	software     = "millrace"
	maxRefused   = 64 // names of parameters that are remembered as logged
)

var errClosed = errors.New("cgi: the host is closed")

// RoundTrip starts the program and returns when its response's head is there.
// The process may outlive the response by Grace; Close waits for it.
//
// A body that is an *os.File with exactly ContentLength bytes from its offset
// on becomes the program's input itself, without a copy.
func (h *Host) RoundTrip(ctx context.Context, req *gateway.Request) (*gateway.Response, error) {
	if req.Role != gateway.Responder {
		return nil, fmt.Errorf("cgi: the role %s: %w", req.Role, gateway.ErrUnsupported)
	}
	if req.ContentLength < 0 || req.Body == nil && req.ContentLength > 0 {
		return nil, fmt.Errorf("cgi: a length of %d without a body: %w", req.ContentLength, gateway.ErrBody)
	}
	cmd, err := h.command(req)
	if err != nil {
		return nil, err
	}
	r, err := h.start(ctx, cmd, req)
	if err != nil {
		return nil, err
	}
	head, rest, err := r.readHead(h.MaxHead)
	if err != nil {
		r.fail(err)
		r.release()
		return nil, err
	}
	b := &body{run: r, redirect: head.LocalRedirect != "", rest: rest, left: head.ContentLength}
	if req.Param("REQUEST_METHOD") == http.MethodHead || head.Status == http.StatusNoContent || head.Status == http.StatusNotModified {
		b.left = 0
	}
	return &gateway.Response{Head: *head, Body: b}, nil
}

// command is what is started for a request, but for its input and output.
func (h *Host) command(req *gateway.Request) (*exec.Cmd, error) {
	path, err := filepath.Abs(h.Path)
	if err != nil || h.Path == "" {
		return nil, fmt.Errorf("cgi: no program at %q: %w", h.Path, errors.Join(gateway.ErrUnreachable, err))
	}
	env, err := h.environ(path, req)
	if err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{
		Path:        path,
		Args:        append([]string{path}, h.Args...),
		Dir:         h.Dir,
		Env:         env,
		SysProcAttr: newGroup(),
	}
	if cmd.Dir == "" {
		cmd.Dir = filepath.Dir(path) // RFC 3875, section 7.2
	}
	if runtime.GOOS != "windows" {
		cmd.Args = append(cmd.Args, queryArgs(req)...)
	}
	if h.Prepare != nil {
		if err := h.Prepare(cmd); err != nil {
			return nil, fmt.Errorf("cgi: cannot prepare %s: %w", path, err)
		}
	}
	return cmd, nil
}

// environ is the program's whole environment.
func (h *Host) environ(path string, req *gateway.Request) ([]string, error) {
	env := make([]string, 0, len(req.Params)+len(h.Env)+len(h.InheritEnv)+4)
	if search := os.Getenv("PATH"); runtime.GOOS == "windows" && search != "" {
		env = append(env, "PATH="+search)
	} else {
		env = append(env, "PATH="+defaultPath)
	}
	for _, name := range h.InheritEnv {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	env = append(env, h.Env...)
	own := make(map[string]bool, len(env))
	for _, variable := range env {
		name, _, _ := strings.Cut(variable, "=")
		own[name] = true
	}
	for _, p := range [...]gateway.Param{
		{Name: "GATEWAY_INTERFACE", Value: "CGI/1.1"},
		{Name: "SERVER_SOFTWARE", Value: software},
		{Name: "SCRIPT_FILENAME", Value: path},
	} {
		if _, ok := gateway.Lookup(req.Params, p.Name); !ok && !own[p.Name] {
			env = append(env, p.Name+"="+p.Value)
		}
	}
	env, refused, err := appendEnviron(env, req.Params, func(name string) bool {
		return !own[name] && (requestVariable(name) || slices.Contains(h.Params, name))
	})
	for _, name := range refused {
		if !own[name] {
			h.logRefused(name)
		}
	}
	return env, err
}

// logRefused logs a parameter that no program gets, once.
func (h *Host) logRefused(name string) {
	h.mu.Lock()
	_, known := h.refused[name]
	if known || len(h.refused) >= maxRefused {
		h.mu.Unlock()
		return
	}
	if h.refused == nil {
		h.refused = map[string]struct{}{}
	}
	h.refused[name] = struct{}{}
	h.mu.Unlock()
	h.logger().Warn("a parameter is not passed on to CGI programs; name it in Host.Params if it should be", "name", name, "program", h.Path)
}

// add counts a run in.
func (h *Host) add(r *run) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return fmt.Errorf("%w: %w", errClosed, gateway.ErrUnreachable)
	case h.MaxProcesses > 0 && len(h.runs) >= h.MaxProcesses:
		return fmt.Errorf("cgi: %d processes of %s are running: %w", len(h.runs), h.Path, gateway.ErrOverloaded)
	}
	if h.runs == nil {
		h.runs = map[*run]struct{}{}
	}
	h.runs[r] = struct{}{}
	h.ended.Add(1)
	return nil
}

// remove counts a run out.
func (h *Host) remove(r *run) {
	h.mu.Lock()
	delete(h.runs, r)
	h.mu.Unlock()
	h.ended.Done()
}

// Running is how many processes are there.
func (h *Host) Running() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.runs)
}

// Close ends every process, as for a request that is given up, and returns
// when the last is reaped. No other is started.
func (h *Host) Close() error {
	h.mu.Lock()
	h.closed = true
	running := slices.Collect(maps.Keys(h.runs))
	h.mu.Unlock()
	for _, r := range running {
		r.fail(errClosed)
	}
	h.ended.Wait()
	return nil
}

func (h *Host) logger() *slog.Logger {
	if h.Log != nil {
		return h.Log
	}
	return slog.Default()
}

func (h *Host) grace() time.Duration {
	if h.Grace == 0 {
		return defaultGrace
	}
	return h.Grace
}

// startError sorts an error of starting a process.
func startError(path string, err error) error {
	kind := gateway.ErrUnreachable
	switch {
	case errors.Is(err, syscall.E2BIG):
		kind = gateway.ErrTooLarge
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.ENOMEM), errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		kind = gateway.ErrOverloaded
	}
	return fmt.Errorf("cgi: cannot start %s: %w: %w", path, kind, err)
}
