package accesslog

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// logOf serves one request by h and returns status and size as logged.
func logOf(t *testing.T, w http.ResponseWriter, r *http.Request, h http.HandlerFunc) string {
	t.Helper()
	out := new(sink)
	l := New(out)
	func() {
		defer func() {
			if v := recover(); v != nil && v != http.ErrAbortHandler {
				t.Errorf("panic: %v", v)
			}
		}()
		l.Wrap(h).ServeHTTP(w, r)
	}()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`^192\.0\.2\.1 - - \[[^]]+\] "[A-Z]+ /x HTTP/1.1" (\S+ \S+) "-" "-" "-"\n$`).FindStringSubmatch(out.String())
	if m == nil {
		t.Fatalf("the log has %q", out)
	}
	return m[1]
}

func TestStatusAndSize(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	var leave context.CancelFunc
	for name, c := range map[string]struct {
		method  string
		ctx     context.Context
		handler http.HandlerFunc
		want    string
	}{
		"nothing":      {"GET", nil, func(w http.ResponseWriter, r *http.Request) {}, "200 -"},
		"body":         {"GET", nil, func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("hello")); w.Write([]byte("!")) }, "200 6"},
		"string":       {"GET", nil, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }, "200 5"},
		"status":       {"GET", nil, func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", 404) }, "404 3"},
		"first status": {"GET", nil, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(201); w.WriteHeader(500) }, "201 -"},
		"late status":  {"GET", nil, func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("x")); w.WriteHeader(500) }, "200 1"},
		"informational": {"GET", nil, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(103)
			w.WriteHeader(100)
			w.WriteHeader(202)
		}, "202 -"},
		"only 103":    {"GET", nil, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(103) }, "200 -"},
		"switching":   {"GET", nil, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(101) }, "101 -"},
		"flush":       {"GET", nil, func(w http.ResponseWriter, r *http.Request) { w.(http.Flusher).Flush(); w.WriteHeader(500) }, "200 -"},
		"read from":   {"GET", nil, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, strings.NewReader("hello")) }, "200 5"},
		"long read":   {"GET", nil, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, io.LimitReader(zeros{}, 1e6)) }, "200 1000000"},
		"HEAD":        {"HEAD", nil, func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("hello")) }, "200 -"},
		"abort":       {"GET", nil, func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }, "- -"},
		"abort later": {"GET", nil, func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("he")); panic(http.ErrAbortHandler) }, "200 2"},
		"gone":        {"GET", gone, func(w http.ResponseWriter, r *http.Request) {}, "499 -"},
		"gone, abort": {"GET", gone, func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }, "499 -"},
		"gone, 502":   {"GET", gone, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(502) }, "499 -"},
		"late body":   {"POST", gone, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(408) }, "408 -"},
		"gone, flush": {"GET", gone, func(w http.ResponseWriter, r *http.Request) { w.(http.Flusher).Flush() }, "499 -"},
		"gone later":  {"GET", nil, func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("he")); leave() }, "200 2"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, "/x", nil)
			var ctx context.Context
			ctx, leave = context.WithCancel(t.Context())
			defer leave()
			if c.ctx != nil {
				ctx = c.ctx
			}
			if got := logOf(t, httptest.NewRecorder(), r.WithContext(ctx), c.handler); got != c.want {
				t.Errorf("logged %q, want %q", got, c.want)
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestPanicGoesOn(t *testing.T) {
	for _, v := range []any{http.ErrAbortHandler, "other"} {
		l := New(io.Discard)
		h := l.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(v) }))
		func() {
			defer func() {
				if got := recover(); got != v {
					t.Errorf("recovered %v, want %v", got, v)
				}
			}()
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		}()
	}
}

// reader is a ResponseWriter with a ReadFrom that notes what it gets, and that
// takes part of a body before it fails.
type reader struct {
	http.ResponseWriter
	got  io.Reader
	n    int64
	fail error
}

func (r *reader) ReadFrom(src io.Reader) (int64, error) { r.got = src; return r.n, r.fail }

func (r *reader) Write(b []byte) (int, error) { return int(r.n), r.fail }

func TestReadFromIsHandedOn(t *testing.T) {
	src := io.LimitReader(os.Stdin, 0)
	w := &reader{ResponseWriter: httptest.NewRecorder(), n: 77}
	got := logOf(t, w, httptest.NewRequest("GET", "/x", nil), func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, src)
	})
	if w.got != src {
		t.Errorf("ReadFrom got %T, want the source itself: sendfile is lost", w.got)
	}
	if got != "200 77" {
		t.Errorf("logged %s", got)
	}
}

func TestFailedWrites(t *testing.T) {
	broken := errors.New("broken pipe")
	for name, h := range map[string]func(http.ResponseWriter) error{
		"Write":       func(w http.ResponseWriter) error { _, err := w.Write(make([]byte, 100)); return err },
		"WriteString": func(w http.ResponseWriter) error { _, err := io.WriteString(w, "hello"); return err },
		"ReadFrom":    func(w http.ResponseWriter) error { _, err := w.(io.ReaderFrom).ReadFrom(zeros{}); return err },
	} {
		w := &reader{ResponseWriter: httptest.NewRecorder(), n: 3, fail: broken}
		got := logOf(t, w, httptest.NewRequest("GET", "/x", nil), func(w http.ResponseWriter, r *http.Request) {
			if err := h(w); err != broken {
				t.Errorf("%s says %v", name, err)
			}
		})
		if got != "200 3" {
			t.Errorf("%s: logged %s, want what was taken", name, got)
		}
	}
}

func TestFlushWithoutFlusher(t *testing.T) {
	type plain struct{ http.ResponseWriter }
	logOf(t, plain{httptest.NewRecorder()}, httptest.NewRequest("GET", "/x", nil), func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		if err := http.NewResponseController(w).Flush(); !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("Flush says %v", err)
		}
	})
}

// Over a real connection: a file, an upgrade, deadlines, a client that leaves.
func TestOverARealSocket(t *testing.T) {
	big := strings.Repeat("0123456789", 300_000)
	file := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(file, []byte(big), 0o600); err != nil {
		t.Fatal(err)
	}
	out := new(sink)
	l := New(out)
	done := make(chan string, 10) // paths whose lines are made
	mux := http.NewServeMux()
	mux.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) })
	mux.HandleFunc("/deadline", func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Error(err)
		}
	})
	mux.HandleFunc("/hijack", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(101)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		conn.Close()
	})
	mux.HandleFunc("/wait", func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		w.WriteHeader(502)
	})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.Wrap(mux).ServeHTTP(w, r)
		done <- r.URL.Path
	}))
	defer srv.Close()
	for _, path := range []string{"/file", "/deadline", "/none"} {
		resp, err := srv.Client().Get(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || path == "/file" && string(body) != big {
			t.Errorf("%s: %d bytes, %v", path, len(body), err)
		}
	}
	for _, path := range []string{"/hijack", "/wait"} {
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
		if path == "/hijack" {
			bufio.NewReader(conn).ReadString(0) // until it is closed
		}
		conn.Close()
	}
	for range 5 {
		<-done
	}
	srv.Close()
	l.Close()
	for _, want := range []string{
		`"GET /file HTTP/1.1" 200 3000000 "-" "Go-http-client/1.1"`,
		`"GET /deadline HTTP/1.1" 200 - "`,
		`"GET /none HTTP/1.1" 404 19 "`,
		`"GET /hijack HTTP/1.1" 101 - "`,
		`"GET /wait HTTP/1.1" 499 - "`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, out)
		}
	}
}

// A writer that is used again has forgotten the request before.
func TestWritersForget(t *testing.T) {
	out := new(sink)
	l := New(out)
	first := true
	h := l.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if first {
			first = false
			w.WriteHeader(404)
			w.Write(make([]byte, 100))
		}
	}))
	for _, method := range []string{"HEAD", "GET", "GET"} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, "/", nil))
	}
	l.Close()
	if n := strings.Count(out.String(), `" 200 - "`); n != 2 {
		t.Errorf("the log has\n%s", out)
	}
}

type null struct{ header http.Header }

func (n null) Header() http.Header         { return n.header }
func (n null) Write(b []byte) (int, error) { return len(b), nil }
func (n null) WriteHeader(int)             {}

func BenchmarkWrap(b *testing.B) {
	body := []byte("hello")
	bare := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(200); w.Write(body) })
	for name, h := range map[string]http.Handler{"bare": bare, "logged": New(io.Discard).Wrap(bare)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				r := httptest.NewRequest("GET", "/articles/2020/hello-world/?page=2", nil)
				r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0")
				r.Header.Set("Referer", "https://example.com/articles/")
				w := null{http.Header{}}
				for pb.Next() {
					h.ServeHTTP(w, r)
				}
			})
		})
	}
}

func TestAllocs(t *testing.T) {
	h := New(io.Discard).Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(200) }))
	r := httptest.NewRequest("GET", "/", nil)
	var w http.ResponseWriter = null{http.Header{}}
	// Now and then a new second, a larger buffer.
	if allocs := testing.AllocsPerRun(2000, func() { h.ServeHTTP(w, r) }); allocs > allocsAllowed {
		t.Errorf("%v allocations a request", allocs)
	}
}
