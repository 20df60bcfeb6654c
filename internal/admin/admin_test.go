package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// traceback is an error with all that a Failure can hold.
type traceback struct{}

func (traceback) Error() string  { return "cannot import app main" }
func (traceback) Hint() string   { return "mend it" }
func (traceback) Detail() string { return "Traceback\n  line\nImportError" }

type backend struct {
	reload  func(context.Context) ([]string, error)
	stopped chan struct{}
	stops   sync.Once
	asked   chan struct{} // closed when a stop was asked for
}

func (b *backend) Status() any { return map[string]any{"pid": 42, "apps": []string{"main"}} }
func (b *backend) Reload(ctx context.Context) ([]string, error) {
	return b.reload(ctx)
}
func (b *backend) Upgrade(ctx context.Context) error {
	_, err := b.Reload(ctx)
	return err
}

func (b *backend) Maintain(m Maintenance) ([]string, error) {
	if m.App == "none" {
		return nil, traceback{}
	}
	return []string{fmt.Sprintf("%+v", m)}, nil
}

func (b *backend) DrainServer(d Drain) ([]string, error) {
	if d.Upstream == "none" {
		return nil, traceback{}
	}
	return []string{fmt.Sprintf("%+v", d)}, nil
}

func (b *backend) Purge(p Purge) (int, error) {
	if p.All {
		return 0, traceback{}
	}
	return len(p.URLs) + 10*len(p.Prefixes) + 100*len(p.Tags), nil
}

func (b *backend) Stop() <-chan struct{} {
	b.stops.Do(func() { close(b.asked) })
	return b.stopped
}

// start serves b on a socket of its own; stop ends it and waits.
func start(t *testing.T, b Backend) (socket string, stop func() error) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "c.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, l, b, slog.New(slog.DiscardHandler)) }()
	stop = sync.OnceValue(func() error { cancel(); return <-served })
	t.Cleanup(func() { stop() })
	return socket, stop
}

func dial(t *testing.T, socket string) *Client {
	t.Helper()
	c, err := Dial(socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func newBackend() *backend {
	return &backend{
		reload:  func(context.Context) ([]string, error) { return nil, nil },
		stopped: make(chan struct{}),
		asked:   make(chan struct{}),
	}
}

func TestStatus(t *testing.T) {
	socket, _ := start(t, newBackend())
	c := dial(t, socket)
	body, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var s struct{ Apps []string }
	if err := json.Unmarshal(body, &s); err != nil || len(s.Apps) != 1 || s.Apps[0] != "main" {
		t.Errorf("%s, %v", body, err)
	}
	if pid, err := c.PID(t.Context()); pid != 42 || err != nil {
		t.Errorf("pid %d, %v", pid, err)
	}
}

func TestReload(t *testing.T) {
	b := newBackend()
	socket, _ := start(t, b)
	c := dial(t, socket)
	b.reload = func(context.Context) ([]string, error) { return []string{"a note"}, nil }
	if notes, err := c.Reload(t.Context()); err != nil || len(notes) != 1 || notes[0] != "a note" {
		t.Errorf("%q, %v", notes, err)
	}
	b.reload = func(context.Context) ([]string, error) { return nil, fmt.Errorf("reload: %w", traceback{}) }
	_, err := c.Reload(t.Context())
	var f *Failure
	if !errors.As(err, &f) || f.Problem != "reload: cannot import app main" || f.Hint() != "mend it" || !strings.HasSuffix(f.Detail(), "ImportError") {
		t.Errorf("%#v", err)
	}
}

func TestMaintain(t *testing.T) {
	socket, _ := start(t, newBackend())
	c := dial(t, socket)
	notes, err := c.Maintain(t.Context(), Maintenance{On: true, Site: "a.example"})
	if err != nil || len(notes) != 1 || notes[0] != "{On:true App: Site:a.example}" {
		t.Errorf("%q, %v", notes, err)
	}
	var f *Failure
	if _, err := c.Maintain(t.Context(), Maintenance{App: "none"}); !errors.As(err, &f) || f.Hint() != "mend it" {
		t.Errorf("%v", err)
	}
	for _, body := range []string{"", "on", `{"on": true, "of": 1}`, strings.Repeat(" ", maxHeader+1)} {
		if _, err := c.send(t.Context(), http.MethodPost, "maintenance", strings.NewReader(body)); !errors.As(err, &f) || !strings.Contains(f.Fix, `{"on": true}`) {
			t.Errorf("%.20q: %v", body, err)
		}
	}
}

func TestDrainServer(t *testing.T) {
	socket, _ := start(t, newBackend())
	c := dial(t, socket)
	notes, err := c.DrainServer(t.Context(), Drain{"api", "a:1", true})
	if err != nil || len(notes) != 1 || notes[0] != "{Upstream:api Address:a:1 On:true}" {
		t.Errorf("%q, %v", notes, err)
	}
	var f *Failure
	if _, err := c.DrainServer(t.Context(), Drain{Upstream: "none"}); !errors.As(err, &f) || f.Hint() != "mend it" {
		t.Errorf("%v", err)
	}
	for _, body := range []string{"", "on", `{"upstream": 1}`, `{"on": true, "of": 1}`, strings.Repeat(" ", maxHeader+1)} {
		if _, err := c.send(t.Context(), http.MethodPost, "drain", strings.NewReader(body)); !errors.As(err, &f) || !strings.Contains(f.Fix, `"on": true`) {
			t.Errorf("%.20q: %v", body, err)
		}
	}
}

func TestPurge(t *testing.T) {
	socket, _ := start(t, newBackend())
	c := dial(t, socket)
	n, err := c.Purge(t.Context(), Purge{URLs: []string{"/a"}, Prefixes: []string{"/b", "/c"}, Tags: []string{"x", "y", "z"}})
	if err != nil || n != 321 {
		t.Errorf("%d, %v", n, err)
	}
	var f *Failure
	if _, err := c.Purge(t.Context(), Purge{All: true}); !errors.As(err, &f) || f.Hint() != "mend it" {
		t.Errorf("%v", err)
	}
	for _, body := range []string{"", "all", `{"all": true, "of": 1}`} {
		if _, err := c.send(t.Context(), http.MethodPost, "purge", strings.NewReader(body)); !errors.As(err, &f) || !strings.Contains(f.Fix, `"urls"`) {
			t.Errorf("%.20q: %v", body, err)
		}
	}
}

// TestReloadOutlivesItsClient: whoever asks may hang up, the reload goes on.
func TestReloadOutlivesItsClient(t *testing.T) {
	b := newBackend()
	begun, left, result := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	b.reload = func(ctx context.Context) ([]string, error) {
		close(begun)
		<-left
		result <- ctx.Err()
		return nil, nil
	}
	socket, _ := start(t, b)
	c := dial(t, socket)
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan error, 1)
	go func() { _, err := c.Reload(ctx); asked <- err }()
	<-begun
	cancel()
	if err := <-asked; !errors.Is(err, context.Canceled) {
		t.Errorf("client: %v", err)
	}
	close(left)
	if err := <-result; err != nil {
		t.Errorf("the reload was called off: %v", err)
	}
}

func TestStopAnswersWhenStopped(t *testing.T) {
	b := newBackend()
	socket, stop := start(t, b)
	c := dial(t, socket)
	answered := make(chan error, 1)
	go func() { answered <- c.Stop(t.Context()) }()
	<-b.asked
	select {
	case err := <-answered:
		t.Fatalf("answered before anything has stopped: %v", err)
	default:
	}
	close(b.stopped)
	// The server of the control socket ends at the same time; the answer is sent all the same.
	if err := stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if err := <-answered; err != nil {
		t.Errorf("stop: %v", err)
	}
}

func TestMethods(t *testing.T) {
	b := newBackend()
	b.reload = func(context.Context) ([]string, error) { t.Error("reloaded"); return nil, nil }
	socket, _ := start(t, b)
	c := dial(t, socket)
	for _, path := range []string{"reload", "stop", "nothing"} {
		if _, err := c.do(t.Context(), http.MethodGet, path); err == nil || !strings.Contains(err.Error(), "unexpected answer") {
			t.Errorf("GET /%s: %v", path, err)
		}
	}
}

func TestNobodyThere(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "c.sock")
	if _, err := Dial(socket); !errors.Is(err, ErrNotRunning) {
		t.Errorf("no socket: %v", err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	if _, err := Dial(socket); !errors.Is(err, ErrNotRunning) {
		t.Errorf("stale socket: %v", err)
	}
}

// TestStrangeServers: what answers need not be a millrace.
func TestStrangeServers(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"not JSON":   func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") },
		"other JSON": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500); fmt.Fprint(w, `{"x": 1}`) },
		"endless": func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		},
		"closes": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		socket := filepath.Join(t.TempDir(), "c.sock")
		l, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
		go srv.Serve(l)
		c := dial(t, socket)
		if _, err := c.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), socket) {
			t.Errorf("%s: %v", name, err)
		}
		srv.Close()
	}
}
