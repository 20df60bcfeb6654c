package cache

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// rig is a Cache with a back end that tests tell what to say, and a clock that
// they move.
type rig struct {
	t     *testing.T
	c     *Cache
	h     http.Handler
	rules Rules

	mu    sync.Mutex
	now   time.Time
	reply func(w http.ResponseWriter, r *http.Request)
	asked atomic.Int64
	last  *http.Request // that the back end got
}

var start = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func newRig(t *testing.T, cfg Config, rules Rules) *rig {
	t.Helper()
	g := &rig{t: t, now: start, rules: rules}
	g.c = New(slog.New(slog.DiscardHandler))
	g.c.now = g.clock
	if cfg.Memory == 0 {
		cfg.Memory = 1 << 20
	}
	if err := g.c.Configure(cfg); err != nil {
		t.Fatal(err)
	}
	g.h = g.c.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.asked.Add(1)
		g.mu.Lock()
		reply := g.reply
		g.last = r
		g.mu.Unlock()
		reply(w, r)
	}), rules)
	t.Cleanup(g.c.Close)
	return g
}

func (g *rig) clock() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.now
}

func (g *rig) wait(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now = g.now.Add(d)
}

// says has the back end answer with headers, "Name: value", and a body.
func (g *rig) says(status int, body string, headers ...string) {
	g.replies(func(w http.ResponseWriter, r *http.Request) {
		set(w.Header(), headers)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

func (g *rig) replies(f http.HandlerFunc) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reply = f
}

func set(h http.Header, headers []string) {
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
}

// get asks for a path. It waits until what a fetch stores is stored.
func (g *rig) get(path string, headers ...string) *httptest.ResponseRecorder {
	return g.do("GET", path, headers...)
}

func (g *rig) do(method, path string, headers ...string) *httptest.ResponseRecorder {
	g.t.Helper()
	r := httptest.NewRequest(method, path, nil)
	set(r.Header, headers)
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
		r.Header.Del("Host")
	}
	w := httptest.NewRecorder()
	g.h.ServeHTTP(w, r)
	g.settle()
	return w
}

// settle waits until no fetch runs.
func (g *rig) settle() {
	g.t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Microsecond) {
		g.c.mu.Lock()
		active := g.c.active
		g.c.mu.Unlock()
		if active == 0 {
			return
		}
		if time.Now().After(end) {
			g.t.Fatal("a fetch does not end")
		}
	}
}

// want checks a status, a body, and how often the back end was asked in all.
func (g *rig) want(w *httptest.ResponseRecorder, status int, body string, asked int64) {
	g.t.Helper()
	if w.Code != status || w.Body.String() != body || g.asked.Load() != asked {
		g.t.Errorf("%d %q, the back end was asked %d times; want %d %q, %d\n%v", w.Code, w.Body, g.asked.Load(), status, body, asked, w.Header())
	}
}

func TestHit(t *testing.T) {
	g := newRig(t, Config{}, Rules{})
	g.says(200, "hello", "Cache-Control: max-age=60", "Content-Type: text/plain", "X-Own: 1", "Connection: X-Own")
	w := g.get("/a")
	g.want(w, 200, "hello", 1)
	if got := w.Header().Get("Cache-Status"); got != "millrace; fwd=uri-miss; stored" {
		t.Errorf("Cache-Status: %s", got)
	}
	g.wait(10 * time.Second)
	w = g.get("/a")
	g.want(w, 200, "hello", 1)
	for name, want := range map[string]string{
		"Cache-Status": "millrace; hit; ttl=50", "Age": "10", "Content-Length": "5", "Content-Type": "text/plain", "X-Own": "",
		"Date": start.Format(http.TimeFormat), "Accept-Ranges": "bytes",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	w = g.do("HEAD", "/a")
	g.want(w, 200, "", 1)
	if w.Header().Get("Content-Length") != "5" {
		t.Errorf("HEAD: %v", w.Header())
	}
	g.wait(50 * time.Second)
	g.want(g.get("/a"), 200, "hello", 2)
	g.want(g.get("/b"), 200, "hello", 3)
	g.want(g.get("/a?x"), 200, "hello", 4)
	g.want(g.get("/a", "Host: other"), 200, "hello", 5)
	g.want(g.get("/%61"), 200, "hello", 6)
}

// TestOneFetch: a thousand who miss at the same time cause one fetch.
func TestOneFetch(t *testing.T) {
	const n = 1000
	g := newRig(t, Config{}, Rules{Wait: time.Minute})
	go_, waiting := make(chan struct{}), make(chan struct{})
	g.replies(func(w http.ResponseWriter, r *http.Request) {
		<-go_
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, "one")
	})
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			w := httptest.NewRecorder()
			g.h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			if w.Code != 200 || w.Body.String() != "one" {
				t.Errorf("%d %q", w.Code, w.Body)
			}
		})
	}
	go func() {
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			g.c.mu.Lock()
			waiters := 0
			for _, f := range g.c.flights {
				waiters = f.waiters
			}
			g.c.mu.Unlock()
			if waiters == n-1 || time.Now().After(end) {
				close(waiting)
				return
			}
		}
	}()
	<-waiting
	close(go_)
	all.Wait()
	if got := g.asked.Load(); got != 1 {
		t.Errorf("the back end was asked %d times", got)
	}
	if s := g.c.Status(); s.Collapsed != n-1 || s.Misses != 1 {
		t.Errorf("%+v", s)
	}
}
