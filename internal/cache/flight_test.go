package cache

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// waiters waits until a flight has so many.
func (g *rig) waiters(n int) {
	g.t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Microsecond) {
		g.c.mu.Lock()
		got := -1
		for _, f := range g.c.flights {
			got = max(got, f.waiters)
		}
		g.c.mu.Unlock()
		if got >= n {
			return
		}
		if time.Now().After(end) {
			g.t.Fatalf("%d wait, want %d", got, n)
		}
	}
}

// start begins a request, and returns where its answer will be.
func (g *rig) start(ctx context.Context, path string, headers ...string) <-chan *httptest.ResponseRecorder {
	done := make(chan *httptest.ResponseRecorder, 1)
	r := httptest.NewRequest("GET", path, nil).WithContext(ctx)
	set(r.Header, headers)
	go func() {
		w := httptest.NewRecorder()
		defer func() {
			if v := recover(); v != nil {
				w.Code = -1
			}
			done <- w
		}()
		g.h.ServeHTTP(w, r)
	}()
	return done
}

// TestPrivateAnswer: an answer for one is never another's, though he waited for
// it; and from then on nobody waits.
func TestPrivateAnswer(t *testing.T) {
	for _, control := range []string{"private", "no-store", "no-cache", "max-age=0", "", "max-age=60, set-cookie"} {
		t.Run(control, func(t *testing.T) {
			g := newRig(t, Config{}, Rules{Wait: time.Minute})
			head := make(chan struct{})
			g.replies(func(w http.ResponseWriter, r *http.Request) {
				<-head
				if strings.HasSuffix(control, "set-cookie") {
					w.Header().Set("Set-Cookie", r.Header.Get("X-User"))
				}
				w.Header().Set("Cache-Control", control)
				w.Header().Set("Etag", `"v"`)
				fmt.Fprintf(w, "for %s", r.Header.Get("X-User"))
			})
			var all []<-chan *httptest.ResponseRecorder
			for i := range 20 {
				all = append(all, g.start(t.Context(), "/", fmt.Sprintf("X-User: %d", i)))
				g.waiters(i)
			}
			close(head)
			for i, done := range all {
				if w := <-done; w.Body.String() != fmt.Sprintf("for %d", i) {
					t.Errorf("%d: %q", i, w.Body)
				}
			}
			g.settle()
			g.c.mu.Lock()
			if len(g.c.marks) != 1 {
				t.Errorf("%d keys are known to be for one alone", len(g.c.marks))
			}
			g.c.mu.Unlock()
		})
	}
}

// TestGivingUp: who asked first leaves, and the others get the answer; all
// leave, and it is stored.
func TestGivingUp(t *testing.T) {
	g := newRig(t, Config{}, Rules{Wait: time.Minute})
	head := make(chan struct{})
	g.replies(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-head:
		case <-r.Context().Done():
			t.Error("the fetch was given up")
		}
		w.Header().Set("Cache-Control", "max-age=60")
		_, _ = io.WriteString(w, "all")
	})
	ctx, cancel := context.WithCancel(t.Context())
	first := g.start(ctx, "/")
	g.waiters(0)
	second := g.start(t.Context(), "/")
	g.waiters(1)
	cancel()
	<-first
	head <- struct{}{}
	if w := <-second; w.Body.String() != "all" {
		t.Errorf("%q", w.Body)
	}
	g.settle()
	g.want(g.get("/"), 200, "all", 1)

	ctx, cancel = context.WithCancel(t.Context())
	alone := g.start(ctx, "/b")
	g.waiters(0)
	cancel()
	<-alone
	close(head)
	g.settle()
	g.want(g.get("/b"), 200, "all", 2)
}

// TestLeftAlone: an answer for one who has left is not made to its end.
func TestLeftAlone(t *testing.T) {
	g := newRig(t, Config{}, Rules{})
	head, given := make(chan struct{}), make(chan error, 1)
	g.replies(func(w http.ResponseWriter, r *http.Request) {
		<-head
		_, err := io.WriteString(w, "private")
		<-r.Context().Done()
		given <- err
	})
	ctx, cancel := context.WithCancel(t.Context())
	first := g.start(ctx, "/")
	g.waiters(0)
	cancel()
	<-first
	close(head)
	if err := <-given; err == nil {
		t.Error("who writes does not hear that nobody reads")
	}
}

// TestStreaming: what comes is passed on as it comes, to who asked first and to
// those who came later.
func TestStreaming(t *testing.T) {
	for _, cfg := range []Config{{}, {Memory: 1 << 20, MemoryEntry: 4}, {Memory: 1 << 20, MemoryEntry: 4, Folder: t.TempDir()}} {
		g := newRig(t, cfg, Rules{})
		next := make(chan string)
		g.replies(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			for piece := range next {
				_, _ = io.WriteString(w, piece)
				w.(http.Flusher).Flush()
			}
		})
		s := httptest.NewServer(g.h)
		open := func() *bufio.Reader {
			res, err := http.Get(s.URL + "/")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { res.Body.Close() })
			return bufio.NewReader(res.Body)
		}
		read := func(b *bufio.Reader, want string) {
			t.Helper()
			got := make([]byte, len(want))
			if _, err := io.ReadFull(b, got); err != nil || string(got) != want {
				t.Fatalf("%+v: %q, %v, want %q", cfg, got, err, want)
			}
		}
		go func() { next <- "one" }()
		a := open()
		read(a, "one")
		b := open()
		read(b, "one")
		next <- "two, longer"
		read(a, "two, longer")
		read(b, "two, longer")
		close(next)
		for _, r := range []*bufio.Reader{a, b} {
			if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
				t.Errorf("%q, %v", rest, err)
			}
		}
		if got := g.asked.Load(); got != 1 {
			t.Errorf("asked %d times", got)
		}
		s.Close()
	}
}

// TestTooLong: what turns out to be too long to be stored goes to those who wait
// at the pace of the slowest, without being held.
func TestTooLong(t *testing.T) {
	for _, folder := range []string{"", t.TempDir()} {
		g := newRig(t, Config{Memory: 1 << 20, MemoryEntry: 64 << 10, MaxEntry: 128 << 10, Folder: folder}, Rules{Wait: time.Minute})
		const pieces = 300
		piece := []byte(strings.Repeat("0123456789abcdef", 1024)) // 16 KiB
		wrote := make(chan int, pieces)
		begun := make(chan struct{})
		g.replies(func(w http.ResponseWriter, r *http.Request) {
			<-begun
			w.Header().Set("Cache-Control", "max-age=60")
			for i := range pieces {
				if _, err := w.Write(piece); err != nil {
					t.Error(err)
					return
				}
				wrote <- i
			}
		})
		slow := newBlocked()
		r := httptest.NewRequest("GET", "/", nil)
		done := make(chan struct{})
		go func() {
			defer close(done)
			g.h.ServeHTTP(slow, r)
		}()
		g.waiters(0)
		fast := g.start(t.Context(), "/")
		g.waiters(1)
		close(begun)
		<-slow.writing
		last := 0
		for idle := time.NewTimer(time.Second); ; {
			select {
			case last = <-wrote:
				idle.Reset(200 * time.Millisecond)
				continue
			case <-idle.C:
			}
			break
		}
		if last*len(piece) > 1<<20 {
			t.Errorf("%d bytes are held for one who does not read", last*len(piece))
		}
		close(slow.free)
		w := <-fast
		<-done
		if w.Body.Len() != pieces*len(piece) || slow.n != pieces*len(piece) {
			t.Errorf("%d and %d bytes, want %d", w.Body.Len(), slow.n, pieces*len(piece))
		}
		g.settle()
		if s := g.c.Status(); s.InMemory+s.OnDisk != 0 || len(files(t, folder)) != 0 && folder != "" {
			t.Errorf("%+v", s)
		}
	}
}

// blocked is a client that reads nothing until it is told to.
type blocked struct {
	http.ResponseWriter
	writing, free chan struct{}
	once          sync.Once
	n             int
}

func newBlocked() *blocked {
	return &blocked{ResponseWriter: httptest.NewRecorder(), writing: make(chan struct{}), free: make(chan struct{})}
}

func (b *blocked) Write(p []byte) (int, error) {
	b.once.Do(func() { close(b.writing) })
	<-b.free
	b.n += len(p)
	return len(p), nil
}

// TestCutShort: a body that does not come to its end is not stored, and is cut
// short for all who wait.
func TestCutShort(t *testing.T) {
	for name, reply := range map[string]http.HandlerFunc{
		"short": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "12345")
		},
		"panic": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "12345")
			panic(http.ErrAbortHandler)
		},
		"panic at once": func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) },
		"panic, long": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat("x", 200_000))
			panic(http.ErrAbortHandler)
		},
	} {
		for _, folder := range []string{"", t.TempDir()} {
			g := newRig(t, Config{Memory: 1 << 20, MemoryEntry: 50_000, Folder: folder}, Rules{})
			g.replies(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "max-age=60")
				reply(w, r)
			})
			if w := <-g.start(t.Context(), "/"); w.Code != -1 {
				t.Errorf("%s: %d, %d bytes, and no cut", name, w.Code, w.Body.Len())
			}
			g.settle()
			g.says(200, "whole", "Cache-Control: max-age=60")
			g.want(g.get("/"), 200, "whole", 2)
		}
	}
}

// TestVariants: requests of two kinds that miss together get what is for each,
// by two fetches.
func TestVariants(t *testing.T) {
	g := newRig(t, Config{}, Rules{Wait: time.Minute})
	head := make(chan struct{})
	g.replies(func(w http.ResponseWriter, r *http.Request) {
		<-head
		set(w.Header(), []string{"Vary: X-Kind", "Cache-Control: max-age=60"})
		_, _ = io.WriteString(w, r.Header.Get("X-Kind"))
	})
	var all []<-chan *httptest.ResponseRecorder
	for i := range 40 {
		all = append(all, g.start(t.Context(), "/", fmt.Sprintf("X-Kind: %d", i%2)))
		g.waiters(i)
	}
	close(head)
	for i, done := range all {
		if w := <-done; w.Body.String() != fmt.Sprint(i%2) {
			t.Errorf("%d: %q", i, w.Body)
		}
	}
	g.settle()
	if got := g.asked.Load(); got != 2 {
		t.Errorf("%d fetches", got)
	}
	for i := range maxVariants + 10 {
		g.get("/", fmt.Sprintf("X-Kind: many %d", i))
	}
	g.c.mu.Lock()
	for _, p := range g.c.store.pages {
		if len(p.variants) > maxVariants {
			t.Errorf("%d variants", len(p.variants))
		}
	}
	g.c.mu.Unlock()
}

// TestOneRevalidation: those who find something stale together have it confirmed
// once.
func TestOneRevalidation(t *testing.T) {
	g := newRig(t, Config{}, Rules{Wait: time.Minute})
	head := make(chan struct{}, 1)
	g.replies(func(w http.ResponseWriter, r *http.Request) {
		<-head
		set(w.Header(), []string{`Etag: "v"`, "Cache-Control: max-age=60"})
		if r.Header.Get("If-None-Match") == `"v"` {
			w.WriteHeader(304)
			return
		}
		_, _ = io.WriteString(w, "body")
	})
	head <- struct{}{}
	g.get("/")
	g.wait(time.Minute)
	var all []<-chan *httptest.ResponseRecorder
	for i := range 50 {
		all = append(all, g.start(t.Context(), "/", `If-None-Match: "other"`))
		g.waiters(i)
	}
	head <- struct{}{}
	for _, done := range all {
		if w := <-done; w.Code != 200 || w.Body.String() != "body" {
			t.Errorf("%d %q", w.Code, w.Body)
		}
	}
	g.settle()
	if got := g.asked.Load(); got != 2 {
		t.Errorf("%d fetches", got)
	}
}

// TestWrongConfirmation: a 304 about something else than what is stored has it
// asked for again.
func TestWrongConfirmation(t *testing.T) {
	g := newRig(t, Config{}, Rules{})
	g.replies(func(w http.ResponseWriter, r *http.Request) {
		set(w.Header(), []string{"Cache-Control: max-age=60"})
		if r.Header["If-None-Match"] != nil {
			w.Header().Set("Etag", `"other"`)
			w.WriteHeader(304)
			return
		}
		w.Header().Set("Etag", `"v"`)
		_, _ = io.WriteString(w, "body")
	})
	g.get("/")
	g.wait(time.Minute)
	g.want(g.get("/"), 200, "body", 3)
	g.want(g.get("/"), 200, "body", 3)
}

// TestWait: who waits too long asks for himself.
func TestWait(t *testing.T) {
	g := newRig(t, Config{}, Rules{Wait: time.Millisecond})
	head := make(chan struct{})
	var once sync.Once
	g.replies(func(w http.ResponseWriter, r *http.Request) {
		first := false
		once.Do(func() { first = true })
		if first {
			<-head
		}
		w.Header().Set("Cache-Control", "max-age=60")
		_, _ = io.WriteString(w, "body")
	})
	first := g.start(t.Context(), "/")
	g.waiters(0)
	if w := <-g.start(t.Context(), "/"); w.Body.String() != "body" {
		t.Errorf("%q", w.Body)
	}
	close(head)
	<-first
}

// TestClose: no fetch outlives the cache.
func TestClose(t *testing.T) {
	g := newRig(t, Config{}, Rules{})
	g.replies(func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithCancel(t.Context())
	first := g.start(ctx, "/")
	g.waiters(0)
	cancel()
	<-first
	g.c.Close()
	g.says(200, "by", "Cache-Control: max-age=60")
	g.want(g.get("/"), 200, "by", 2)
}

// TestWithin: a fetch that is answered by another request of the same cache, and
// at last by itself, waits for nobody.
func TestWithin(t *testing.T) {
	g := newRig(t, Config{}, Rules{Wait: time.Hour})
	g.replies(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		if depth := len(r.URL.Path); depth < 5 {
			next := httptest.NewRequest("GET", r.URL.Path+"x", nil).WithContext(r.Context())
			if depth == 4 {
				next = httptest.NewRequest("GET", "/", nil).WithContext(r.Context())
			}
			if r.Header.Get("X-Round") == "" {
				next.Header.Set("X-Round", strings.Repeat("1", depth/4))
				g.h.ServeHTTP(w, next)
				return
			}
		}
		_, _ = io.WriteString(w, "body")
	})
	g.want(g.get("/"), 200, "body", 5)
}

// TestVariantsWhileStreaming: while what is for one kind of request comes, those
// of another kind have a fetch of their own, one for all of them.
func TestVariantsWhileStreaming(t *testing.T) {
	g := newRig(t, Config{}, Rules{Wait: time.Minute})
	out, end := make(chan struct{}), make(chan struct{})
	g.replies(func(w http.ResponseWriter, r *http.Request) {
		kind := r.Header.Get("X-Kind")
		if kind == "b" {
			<-end
		}
		set(w.Header(), []string{"Vary: X-Kind", "Cache-Control: max-age=60"})
		_, _ = io.WriteString(w, kind)
		if kind == "a" {
			_ = http.NewResponseController(w).Flush()
			close(out)
			<-end
		}
	})
	all := map[<-chan *httptest.ResponseRecorder]string{g.start(t.Context(), "/", "X-Kind: a"): "a"}
	<-out
	for i := range 10 {
		all[g.start(t.Context(), "/", "X-Kind: b")] = "b"
		if i > 0 {
			g.waiters(i)
		}
	}
	close(end)
	for done, kind := range all {
		if w := <-done; w.Body.String() != kind {
			t.Errorf("%s: %q", kind, w.Body)
		}
	}
	g.settle()
	if got := g.asked.Load(); got != 2 {
		t.Errorf("%d fetches", got)
	}
}

// earlyRecorder notes interim responses.
type earlyRecorder struct {
	*httptest.ResponseRecorder
	early chan string
}

func (w *earlyRecorder) WriteHeader(status int) {
	if status < 200 {
		w.early <- strconv.Itoa(status) + " " + strings.Join(w.Header()["Link"], ",")
		return
	}
	w.ResponseRecorder.WriteHeader(status)
}

// TestInterim: 103 Early Hints reach who asked first while the response is waited
// for, whatever becomes of it, and are no part of it.
func TestInterim(t *testing.T) {
	for _, control := range []string{"max-age=60", "private"} {
		g := newRig(t, Config{}, Rules{})
		told := make(chan struct{})
		g.replies(func(w http.ResponseWriter, r *http.Request) {
			for _, link := range []string{"</a>", "</b>"} {
				w.Header().Set("Link", link)
				w.WriteHeader(http.StatusEarlyHints)
			}
			w.Header().Del("Link")
			<-told
			w.Header().Set("Cache-Control", control)
			io.WriteString(w, "hello")
		})
		w := &earlyRecorder{httptest.NewRecorder(), make(chan string, 8)}
		done := make(chan struct{})
		go func() {
			defer close(done)
			g.h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		}()
		for _, want := range []string{"103 </a>", "103 </b>"} {
			select {
			case got := <-w.early:
				if got != want {
					t.Errorf("%s: %q, want %q", control, got, want)
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("%s: no %q", control, want)
			}
		}
		close(told)
		<-done
		if w.Code != 200 || w.Body.String() != "hello" || w.Header()["Link"] != nil || len(w.early) > 0 {
			t.Errorf("%s: %d %v %q", control, w.Code, w.Header(), w.Body)
		}
		g.settle()
	}
}
