package static

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/internal/testkit"
)

var modified = time.Date(2020, 2, 3, 4, 5, 6, 789, time.UTC)

// tree makes a folder of files: name to content. A name that ends in a slash
// is a folder; content that begins with "-> " makes a symlink.
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	grow(t, dir, files)
	return dir
}

func grow(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range files {
		path := filepath.Join(dir, name)
		must(os.MkdirAll(filepath.Dir(path), 0o755))
		if to, ok := strings.CutPrefix(content, "-> "); ok {
			must(os.Symlink(strings.ReplaceAll(to, "$DIR", dir), path))
		} else if strings.HasSuffix(name, "/") {
			must(os.MkdirAll(path, 0o755))
		} else {
			must(os.WriteFile(path, []byte(content), 0o644))
			must(os.Chtimes(path, modified, modified))
		}
	}
}

func handler(t testing.TB, o Options) *Handler {
	t.Helper()
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// get sends a request whose path is target as a client would write it, or if
// it cannot be written so, the decoded path itself.
func get(h http.Handler, method, target string, header ...string) *httptest.ResponseRecorder {
	u, err := url.ParseRequestURI(target)
	if err != nil {
		u = &url.URL{Path: target}
	}
	r := &http.Request{Method: method, URL: u, Header: http.Header{}, Host: "example.com", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// logged collects log lines.
type logged struct{ testkit.Output }

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// soon makes the handler look at its roots and files again with the next
// request, as if a second had passed.
func soon(h *Handler) {
	for _, r := range h.roots {
		r.looked.Store(-lookEvery)
	}
	h.cache.mu.Lock()
	defer h.cache.mu.Unlock()
	for _, e := range h.cache.ring {
		e.checked.Store(-int64(h.cache.Check))
	}
}
