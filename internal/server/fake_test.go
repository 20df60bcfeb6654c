package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"millrace/gateway"
	"millrace/internal/config"
	"millrace/internal/pool"
)

// fakeApps stands in for the pools, so that a test decides what an app does.
type fakeApps struct {
	mu   sync.Mutex
	made map[string]*fakeApp
	fail map[string]error // by WSGI: what its import raises
	held map[string]chan struct{}

	late    map[string]chan struct{} // by name: it serves, or fails, when this is closed
	outlive map[string]chan struct{} // by name: its end is at this
}

func newFakeApps() *fakeApps {
	return &fakeApps{made: map[string]*fakeApp{}, fail: map[string]error{}, held: map[string]chan struct{}{}}
}

func (a *fakeApps) new(c pool.Config) app {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := &fakeApp{apps: a, cfg: c, ready: make(chan struct{}), inside: make(chan string, 16), broken: make(chan error, 16), done: make(chan struct{})}
	a.made[c.Name] = f
	return f
}

func (a *fakeApps) get(name string) *fakeApp {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.made[name]
}

func (a *fakeApps) failing(wsgi string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.fail[wsgi]
}

// hold lets requests for /hold wait until release is called.
func (a *fakeApps) hold(name string) (release func()) {
	ch := make(chan struct{})
	a.mu.Lock()
	defer a.mu.Unlock()
	a.held[name] = ch
	return sync.OnceFunc(func() { close(ch) })
}

type fakeApp struct {
	apps   *fakeApps
	ready  chan struct{}
	inside chan string // each request for /hold, as it arrives
	broken chan error  // why bodies could not be read
	done   chan struct{}
	stuck  atomic.Bool // the system tells nothing of its processes

	mu         sync.Mutex
	cfg        pool.Config
	failure    string
	generation int
}

func (f *fakeApp) Run(ctx context.Context) error {
	defer close(f.done)
	if late := f.apps.late[f.cfg.Name]; late != nil {
		<-late
	}
	if err := f.apps.failing(f.cfg.WSGI); err != nil {
		f.mu.Lock()
		f.failure = err.Error()
		f.mu.Unlock()
	} else {
		close(f.ready)
	}
	<-ctx.Done()
	if end := f.apps.outlive[f.cfg.Name]; end != nil {
		<-end
	}
	return nil
}

func (f *fakeApp) Ready() <-chan struct{} { return f.ready }

func (f *fakeApp) Reload(_ context.Context, c pool.Config) error {
	if err := f.apps.failing(c.WSGI); err != nil {
		return &pool.ImportError{App: c.Name, Traceback: err.Error()}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cfg = c
	f.generation++
	return nil
}

func (f *fakeApp) Status() pool.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := pool.Status{Name: f.cfg.Name, State: "serving", Generation: f.generation, Failure: f.failure}
	if f.failure != "" {
		s.State = stateFailing
	}
	return s
}

func answerError(w http.ResponseWriter, code string) {
	status, err := strconv.Atoi(code)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Retry-After", "7")
	http.Error(w, "the app says "+code, status)
}

func (f *fakeApp) State() (state, failure string) {
	s := f.Status()
	return s.State, s.Failure
}

func (f *fakeApp) Measure() <-chan struct{} {
	done := make(chan struct{})
	if !f.stuck.Load() {
		close(done)
	}
	return done
}

func (f *fakeApp) Handler(mount string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		cfg := f.cfg
		f.mu.Unlock()
		select {
		case <-f.done:
			http.Error(w, "the pool has ended", http.StatusServiceUnavailable)
			return
		default:
		}
		if r.URL.Path == "/told" {
			fmt.Fprintf(w, "%s%d%s", r.Header["X-Request-Id"], len(r.Header["X-Request-Start"]), r.Header["Traceparent"])
			return
		}
		if strings.HasSuffix(r.URL.Path, "/who") {
			writeParams(w, r)
			return
		}
		if r.URL.Path == "/hold" {
			f.apps.mu.Lock()
			held := f.apps.held[cfg.Name]
			f.apps.mu.Unlock()
			f.inside <- r.URL.Path
			<-held
		}
		w.Header().Set("X-Seen", fmt.Sprintf("%s %q %s", r.URL.RequestURI(), r.URL.RawPath, r.RequestURI))
		target, _ := gateway.Split(r, "")
		w.Header().Set("X-Params", fmt.Sprint(target.Params))
		if code, ok := strings.CutPrefix(r.URL.Path, "/says/"); ok { // an error of the app's; /own/ is one of its pool's
			answerError(w, code)
			return
		}
		if code, ok := strings.CutPrefix(r.URL.Path, "/own/"); ok {
			gateway.OwnAnswer(w)
			answerError(w, code)
			return
		}
		n, err := io.Copy(io.Discard, r.Body)
		var long *http.MaxBytesError
		if errors.As(err, &long) { // as package pool does
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		if err != nil {
			select {
			case f.broken <- err:
			default: // nobody looks
			}
			http.Error(w, err.Error(), http.StatusRequestTimeout)
			return
		}
		fmt.Fprintf(w, "%s %s %s%s %d", cfg.Name, cfg.WSGI, mount, r.URL.Path, n)
	})
}

// running server of a test.
type serving struct {
	*Server
	t    *testing.T
	apps *fakeApps
	log  *logBuffer

	mu   sync.Mutex
	next *Plan
	err  error

	cancel context.CancelFunc
	ended  chan error
}

// logBuffer is a slog output that can be read while it is written to.
type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func newLogger(l *logBuffer) *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// parse makes a plan of a text; {dir} in it is the test's folder.
func parse(t *testing.T, dir, text string) *Plan {
	t.Helper()
	c, err := config.Parse("millrace.toml", []byte(strings.ReplaceAll(text, "{dir}", dir)), dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range c.Apps {
		a.Python = "/usr/bin/python3"
	}
	return &Plan{Config: c, Source: "millrace.toml", Environ: []string{"A=1"}}
}

// launch runs a server until the test's end and waits until it has started.
func launch(t *testing.T, plan *Plan, apps *fakeApps) *serving {
	t.Helper()
	s := unlaunched(t, Options{Plan: plan}, apps)
	s.launch()
	select {
	case <-s.Started():
	case err := <-s.ended:
		t.Fatalf("Run: %v", err)
	}
	return s
}

// unlaunched is a server that does not run yet.
func unlaunched(t *testing.T, o Options, apps *fakeApps) *serving {
	s := &serving{t: t, apps: apps, log: &logBuffer{}, ended: make(chan error, 1)}
	o.Load = func(context.Context) (*Plan, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.next, s.err
	}
	o.Log, o.Version = newLogger(s.log), "test"
	s.Server = New(o)
	s.newApp = apps.new
	return s
}

// launch runs the server until the test's end.
func (s *serving) launch() {
	ctx, cancel := context.WithCancel(s.t.Context())
	s.cancel = cancel
	over := make(chan struct{})
	go func() {
		defer close(over)
		s.ended <- s.Run(ctx)
	}()
	s.t.Cleanup(func() {
		cancel()
		<-over
	})
}

func (s *serving) reloadTo(plan *Plan) error {
	s.mu.Lock()
	s.next = plan
	s.mu.Unlock()
	_, err := s.Reload(s.t.Context())
	return err
}

// url of the address that was given as given.
func (s *serving) url(given string) string {
	s.t.Helper()
	for _, a := range s.Snapshot().Listen {
		if a.Given == given {
			return a.URL
		}
	}
	s.t.Fatalf("nothing listens on %s", given)
	return ""
}

// get returns the status and the body, over a connection of its own.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := c.Get(url)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	return res.StatusCode, strings.TrimSpace(string(b))
}

func wantGet(t *testing.T, url string, code int, body string) {
	t.Helper()
	if c, b := get(t, url); c != code || b != body {
		t.Errorf("%s: %d %q, want %d %q", url, c, b, code, body)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// writeAll writes files below a folder, by their names in it.
func writeAll(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		write(t, filepath.Join(dir, name), text)
	}
}

// eventually polls until ok, with a deadline.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		<-tick.C
	}
}

// writeParams answers with what an app is told of who the client is.
func writeParams(w http.ResponseWriter, r *http.Request) {
	params, err := gateway.AppendHTTP(nil, r, gateway.Target{PathInfo: r.URL.Path, ContentLength: -1})
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var parts []string
	for _, name := range []string{
		"REMOTE_ADDR", "REMOTE_USER", "HTTPS", "SERVER_NAME", "SERVER_PORT",
		"HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST", "HTTP_FORWARDED",
	} {
		if value, ok := gateway.Lookup(params, name); ok {
			parts = append(parts, strings.TrimPrefix(name, "HTTP_")+"="+value)
		}
	}
	fmt.Fprint(w, strings.Join(parts, " "))
}
