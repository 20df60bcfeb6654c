package filter

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"millrace/gateway"
	"millrace/internal/spool"
)

type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

// upper answers with the data in capitals, by an app's own means.
var upper = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	asked := gateway.AskedOf(r.Context())
	if asked == nil || asked.Role != gateway.Filter {
		w.WriteHeader(500)
		return
	}
	b, err := io.ReadAll(asked.Data())
	if err != nil || int64(len(b)) != asked.DataLength {
		w.WriteHeader(500)
		return
	}
	_, _ = io.WriteString(w, strings.ToUpper(string(b)))
})

func options(t *testing.T, log io.Writer) Options {
	return Options{Ask: upper, MaxData: 1 << 20, Name: "test", Spool: spool.New(t.TempDir(), 1<<20), Log: slog.New(slog.NewTextHandler(log, nil))}
}

func answers(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, text) })
}

// TestWhole is what a handler is asked for, and what the filter is told of.
func TestWhole(t *testing.T) {
	o := options(t, io.Discard)
	o.Ask = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s %s %d", r.Method, r.Header["Range"], r.Header["If-None-Match"], r.Header["Content-Type"], r.ContentLength)
	})
	h := o.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.Header["Range"] != nil || r.Header["If-None-Match"] != nil || r.Header["Accept-Encoding"] != nil {
			t.Errorf("the handler is asked %s with %v", r.Method, r.Header)
		}
		w.WriteHeader(200)
	}))
	r := httptest.NewRequest("HEAD", "/", strings.NewReader("body"))
	for _, name := range []string{"Range", "If-None-Match", "Accept-Encoding", "Content-Type"} {
		r.Header.Set(name, "x")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if got := w.Body.String(); got != "HEAD [x] [x] [] 0" {
		t.Errorf("the filter is asked %q", got)
	}
}

// TestNotFiltered: what cannot be filtered does not pass, and holds no room.
func TestNotFiltered(t *testing.T) {
	long := strings.Repeat("secret ", 100_000)
	for _, tt := range []struct {
		name  string
		first http.Handler
		most  int64
		room  int64
		want  int
		lines int
	}{
		{"as large as may be", answers(strings.Repeat("a", 1000)), 1000, 1 << 20, 200, 0},
		{"too large", answers(strings.Repeat("a", 1001)), 1000, 1 << 20, 502, 1},
		{"no room", answers(long), 1 << 20, 100_000, 503, 1},
		{"nothing", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), 1000, 1 << 20, 502, 1},
		{"encoded", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, "secret")
		}), 1000, 1 << 20, 502, 1},
		{"shorter than it says", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "secret")
		}), 1000, 1 << 20, 502, 1},
		{"cut short, and said so", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "secret")
			panic(http.ErrAbortHandler)
		}), 1000, 1 << 20, 502, 0},
		{"given up once it is too large", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 600)); err != nil {
					panic(http.ErrAbortHandler)
				}
			}
		}), 1000, 1 << 20, 502, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			log := &lines{}
			o := options(t, log)
			o.MaxData, o.Spool = tt.most, spool.New(t.TempDir(), tt.room)
			w := httptest.NewRecorder()
			o.Wrap(tt.first).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			if w.Code != tt.want || strings.Contains(strings.ToLower(w.Body.String()), "secret") {
				t.Errorf("%d %.80q, want %d", w.Code, w.Body, tt.want)
			}
			if n := strings.Count(log.b.String(), "\n"); n != tt.lines {
				t.Errorf("%d lines: %s", n, log.b.String())
			}
			if used := o.Spool.Used(); used != 0 {
				t.Errorf("%d bytes of the spool are still taken", used)
			}
		})
	}
}

// TestClientLeaves: nobody is asked for a client that has left, and data cannot
// be read beyond its request.
func TestClientLeaves(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	o := options(t, io.Discard)
	o.Ask = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the filter is asked") })
	h := o.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "data")
		cancel()
	}))
	func() {
		defer func() {
			if p := recover(); p != http.ErrAbortHandler {
				t.Errorf("the handler ends with %v", p)
			}
		}()
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil).WithContext(ctx))
	}()

	var kept io.Reader
	o.Ask = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { kept = gateway.AskedOf(r.Context()).Data() })
	for _, text := range []string{"short", strings.Repeat("long", dataMemory)} {
		o.Wrap(answers(text)).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		if n, err := kept.Read(make([]byte, 10)); n != 0 || err == nil || err == io.EOF {
			t.Errorf("after its request %d bytes are read: %v", n, err)
		}
	}
}

// TestMerged is which headers of the first answer stay.
func TestMerged(t *testing.T) {
	o := options(t, io.Discard)
	o.Ask = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Add("Set-Cookie", "b=2")
		h.Add("Vary", "Accept")
		w.WriteHeader(map[string]int{"/": 200, "/error": 500}[r.URL.Path])
	})
	h := o.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		for _, name := range append(ofBody, "Content-Type", "X-App", "Cache-Control", "Vary") {
			h.Set(name, "first")
		}
		h.Set("Set-Cookie", "a=1")
		delete(h, "Content-Encoding")
		delete(h, "Content-Length")
		w.WriteHeader(200)
	}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	want := http.Header{"Content-Type": {"first"}, "X-App": {"first"}, "Cache-Control": {"no-store"}, "Vary": {"first", "Accept"}, "Set-Cookie": {"a=1", "b=2"}}
	if fmt.Sprint(w.Header()) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", w.Header(), want)
	}
	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/error", nil))
	if w.Code != 500 || w.Header().Get("X-App") != "" || len(w.Header()["Set-Cookie"]) != 1 {
		t.Errorf("an error of the filter: %d %v", w.Code, w.Header())
	}
}

// toldExpires is a cache that is told X-Accel-Expires.
type toldExpires struct {
	*httptest.ResponseRecorder
	told []string
}

func (w *toldExpires) AccelExpires(value string) { w.told = append(w.told, value) }

// TestHowLong: what the filter says of how long its answer may be kept, and for
// whom, is not contradicted by what was said of the first one.
func TestHowLong(t *testing.T) {
	for _, tt := range []struct{ filter, want, told string }{
		{"", "map[Cache-Control:[public] Cdn-Cache-Control:[max-age=60] Expires:[later]]", "[60]"},
		{"Cache-Control: private", "map[Cache-Control:[private]]", "[]"},
		{"Expires: 0", "map[Expires:[0]]", "[]"},
		{"X-Accel-Expires: 0", "map[X-Accel-Expires:[0]]", "[]"},
	} {
		o := options(t, io.Discard)
		o.Ask = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if name, value, ok := strings.Cut(tt.filter, ": "); ok {
				w.Header().Set(name, value)
			}
			w.WriteHeader(200)
		})
		w := &toldExpires{ResponseRecorder: httptest.NewRecorder()}
		o.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			h.Set("Cache-Control", "public")
			h.Set("CDN-Cache-Control", "max-age=60")
			h.Set("Expires", "later")
			tellExpires(w, "60")
			w.WriteHeader(200)
		})).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if got := fmt.Sprint(w.Header()); got != tt.want || fmt.Sprint(w.told) != tt.told {
			t.Errorf("%q: %s, told %s; want %s, %s", tt.filter, got, w.told, tt.want, tt.told)
		}
	}
}
