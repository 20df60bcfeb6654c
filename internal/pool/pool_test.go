package pool

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/internal/spool"
	"millrace/internal/supervise"
)

// python3 is the interpreter itself where the path has a program that looks for
// it, which takes as long as the interpreter's own start.
var python3 = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("python3", "-c", "import sys; print(sys.executable)").Output()
	return strings.TrimSpace(string(out)), err
})

// testConfig is a pool of one fixed worker on testdata/apps.
func testConfig(t testing.TB, wsgi string) Config {
	t.Helper()
	python, err := python3()
	if err != nil {
		t.Fatal("the tests need python3: ", err)
	}
	dir, err := filepath.Abs("testdata/apps")
	if err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "MILLRACE_TEST_CLOSED="+filepath.Join(t.TempDir(), "closed"))
	return Config{
		Name: "test", Python: python, WSGI: wsgi, Dir: dir,
		Host:    HostCommand("test", python, dir, env, supervise.Rights{}),
		Starter: supervise.Local{},
		Preload: true, MinSpare: 1, MaxSpare: 1, MaxChildren: 1, Queue: 1024,
		RequestTimeout: 30 * time.Second, StartupTimeout: 30 * time.Second, StopTimeout: 10 * time.Second,
		MaxBody: 1 << 30, Spool: spool.New(t.TempDir(), 1<<32),
		Log: slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSuffix(string(b), "\n"))
	return len(b), nil
}

// startPool runs a pool behind an HTTP server until the test ends.
func startPool(t testing.TB, cfg Config) (*Pool, *httptest.Server) {
	t.Helper()
	p := New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	server := httptest.NewServer(p.Handler(""))
	t.Cleanup(func() {
		server.Close()
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error("Run: ", err)
			}
		case <-time.After(time.Minute):
			t.Error("the pool did not stop")
		}
	})
	return p, server
}

func get(t testing.TB, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestPaths(t *testing.T) {
	_, server := startPool(t, testConfig(t, "basic:application"))
	source, err := os.ReadFile("testdata/apps/basic.py")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path string
		code int
		body string
	}{
		{"/hello", 200, "Hello, world!\n"},
		{"/env/%C3%A9?PATH_INFO", 200, `'/env/Ã©'`},
		{"/stream", 200, "chunk 0\nchunk 1\nchunk 2\n"},
		{"/big?1000", 200, strings.Repeat("x", 1000)},
		{"/big?60000", 200, strings.Repeat("x", 60000)},
		{"/big?70000", 200, strings.Repeat("x", 70000)},
		{"/big?5000000", 200, strings.Repeat("x", 5000000)},
		{"/sleep?0.01", 200, "slept\n"},
		{"/fail", 500, "Internal Server Error\n"},
		{"/leave", 502, "Bad Gateway\n"},
		{"/hello", 200, "Hello, world!\n"},
		{"/say", 200, ""},
		{"/file", 200, string(source)},
	} {
		code, body := get(t, server.URL+tt.path)
		if code != tt.code || body != tt.body {
			t.Errorf("GET %s: %d %.80q, want %d %.80q", tt.path, code, body, tt.code, tt.body)
		}
	}
}
