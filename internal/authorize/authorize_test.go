package authorize

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"millrace/gateway"
)

// answer is who is asked: it counts, and answers by the header X-Say.
type answerer struct {
	asked atomic.Int64
	say   func(w http.ResponseWriter, r *http.Request)
}

func (a *answerer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.asked.Add(1)
	a.say(w, r)
}

func bare(r *http.Request) (*http.Request, error) { return Bare(r.Context(), r), nil }

type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func options(a *answerer, log io.Writer) Options {
	return Options{Ask: a, Question: bare, Headers: []string{"X-User"}, ToClient: []string{"X-Told"}, Log: slog.New(slog.NewTextHandler(log, nil)), Name: "test"}
}

// behind shows what passed.
var behind = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "for %s", r.Header["X-User"]) })

func get(h http.Handler, target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", target, nil)
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func sayYes(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-User", "ada")
	w.Header().Set("X-Told", "yes")
	w.WriteHeader(http.StatusOK)
}

// TestKept is how often answers are asked for again.
func TestKept(t *testing.T) {
	yes := func(more ...string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			for _, header := range more {
				name, value, _ := strings.Cut(header, ": ")
				w.Header().Add(name, value)
			}
			w.WriteHeader(http.StatusOK)
		}
	}
	status := func(code int, body string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}
	}
	for _, tt := range []struct {
		name  string
		say   func(http.ResponseWriter, *http.Request)
		role  bool
		first []string // of two requests
		then  []string
		asked int64
	}{
		{"the same", yes(), false, nil, nil, 1},
		{"a refusal", status(403, "no"), false, nil, nil, 1},
		{"a redirect", status(302, ""), false, nil, nil, 1},
		{"a long refusal", status(403, strings.Repeat("x", maxKept+1)), false, nil, nil, 2},
		{"an error", status(500, ""), false, nil, nil, 2},
		{"an authorizer's error", status(500, ""), true, nil, nil, 2},
		{"too many", status(429, ""), true, nil, nil, 2},
		{"a cookie", yes("Set-Cookie: a=1"), false, nil, nil, 2},
		{"no-store", yes("Cache-Control: private, No-Store"), false, nil, nil, 2},
		{"too many headers", yes("X-User: " + strings.Repeat("x", maxHead)), false, nil, nil, 2},
		{"another cookie", yes(), false, []string{"Cookie: a=1"}, []string{"Cookie: a=2"}, 2},
		{"none and an empty one", yes(), false, []string{"Cookie: "}, nil, 2},
		{"another password", yes(), false, []string{"Authorization: a"}, []string{"Authorization: b"}, 2},
		{"a header nobody has heard of", yes(), false, []string{"X-Key: a"}, []string{"X-Key: b"}, 2},
		{"two headers and one", yes(), false, []string{"X-Key: a", "X-Key: b"}, []string{"X-Key: a, b"}, 2},
		{"a name that is a value", yes(), false, []string{"X-A: b"}, []string{"X-Ab: "}, 2},
		{"another range", yes(), false, []string{"Range: bytes=0-1"}, []string{"Range: bytes=2-3", "If-None-Match: x", "Accept-Encoding: br"}, 1},
		{"another id", yes(), false, []string{"X-Request-Id: a"}, []string{"X-Request-Id: b", "Traceparent: x"}, 1},
		{"a forged user", yes(), false, []string{"X-User: a"}, []string{"X-User: b"}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := &answerer{say: tt.say}
			o := options(a, io.Discard)
			o.Cache, o.Authorizer = time.Minute, tt.role
			h := o.Wrap(behind)
			one, two := get(h, "/a", tt.first...), get(h, "/a", tt.then...)
			if got := a.asked.Load(); got != tt.asked {
				t.Errorf("asked %d times, want %d", got, tt.asked)
			}
			if one.Code != two.Code || one.Body.String() != two.Body.String() {
				t.Errorf("%d %.80q, then %d %.80q", one.Code, one.Body, two.Code, two.Body)
			}
			if get(h, "/b", tt.first...); a.asked.Load() != tt.asked+1 {
				t.Error("another path is not asked for")
			}
		})
	}
}

// TestKeptBy: what an answer depends on as it is said, and who is known already.
func TestKeptBy(t *testing.T) {
	a := &answerer{say: sayYes}
	o := options(a, io.Discard)
	o.Cache = time.Minute
	o.By = []func([]byte, *http.Request) []byte{
		func(dst []byte, r *http.Request) []byte { return append(dst, r.Header.Get("X-A")...) },
		func(dst []byte, r *http.Request) []byte { return append(dst, r.Header.Get("X-B")...) },
	}
	h := o.Wrap(behind)
	for i, tt := range []struct {
		path, a, b string
		asked      int64
	}{{"/a", "1", "2", 1}, {"/b", "1", "2", 1}, {"/b", "12", "", 2}, {"/b", "", "12", 3}, {"/b", "1", "2", 3}} {
		if get(h, tt.path, "X-A: "+tt.a, "X-B: "+tt.b); a.asked.Load() != tt.asked {
			t.Errorf("%d: asked %d times, want %d", i, a.asked.Load(), tt.asked)
		}
	}
	r := httptest.NewRequest("GET", "/a", nil)
	r.Header.Set("X-A", "1")
	r.Header.Set("X-B", "2")
	h.ServeHTTP(httptest.NewRecorder(), r.WithContext(gateway.WithUser(r.Context(), gateway.User{Name: "jo"})))
	if a.asked.Load() != 4 {
		t.Error("a user who is known gets another's answer")
	}
}

// TestKeptHead: a refusal of a HEAD, which has no body, is not one of a GET.
func TestKeptHead(t *testing.T) {
	a := &answerer{say: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "2")
		w.WriteHeader(403)
		if r.Method != http.MethodHead {
			_, _ = io.WriteString(w, "no")
		}
	}}
	o := options(a, io.Discard)
	o.Cache, o.Authorizer = time.Minute, true
	o.By = []func([]byte, *http.Request) []byte{func(dst []byte, _ *http.Request) []byte { return dst }}
	h := o.Wrap(behind)
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("HEAD", "/a", nil))
	if w := get(h, "/a"); w.Body.String() != "no" || a.asked.Load() != 2 {
		t.Errorf("a GET gets %q, of %d answers", w.Body, a.asked.Load())
	}
}

// TestKeptFor: answers end, and the oldest goes first.
func TestKeptFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answerer{say: sayYes}
		o := options(a, io.Discard)
		o.Cache, o.Entries = 10*time.Second, 3
		h := o.Wrap(behind)
		want := func(path string, asked int64) {
			t.Helper()
			if w := get(h, path); w.Body.String() != "for [ada]" || w.Header().Get("X-Told") != "yes" {
				t.Errorf("%s: %q %v", path, w.Body, w.Header())
			}
			if got := a.asked.Load(); got != asked {
				t.Errorf("%s: asked %d times, want %d", path, got, asked)
			}
		}
		want("/1", 1)
		time.Sleep(10*time.Second - time.Nanosecond)
		want("/1", 1)
		time.Sleep(time.Nanosecond)
		want("/1", 2)
		want("/2", 3)
		want("/3", 4)
		want("/1", 4)
		want("/4", 5) // in the place of the first /1, which has ended
		want("/1", 5+1)
		for i := range 100 {
			want(fmt.Sprint("/more/", i), int64(7+i))
		}
		if n := len(h.(*authorize).cache.kept); n > 3 {
			t.Errorf("%d answers are kept", n)
		}
	})
}

// TestOneAsks: a thousand who wait for the same answer ask once.
func TestOneAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		proceed := make(chan struct{})
		a := &answerer{say: func(w http.ResponseWriter, r *http.Request) {
			<-proceed
			sayYes(w, r)
		}}
		o := options(a, io.Discard)
		o.Cache = time.Minute
		h := o.Wrap(behind)
		var group sync.WaitGroup
		var passed atomic.Int64
		for range 1000 {
			group.Go(func() {
				if get(h, "/a").Body.String() == "for [ada]" {
					passed.Add(1)
				}
			})
		}
		synctest.Wait()
		close(proceed)
		group.Wait()
		if a.asked.Load() != 1 || passed.Load() != 1000 {
			t.Errorf("asked %d times, %d passed", a.asked.Load(), passed.Load())
		}
	})
}

// TestOneLeaves: another asks in the stead of one who leaves, and one who waits
// can leave.
func TestOneLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answerer{say: func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Request-Id") == "leaves" {
				<-r.Context().Done()
				panic(http.ErrAbortHandler)
			}
			sayYes(w, r)
		}}
		o := options(a, io.Discard)
		o.Cache = time.Minute
		h := o.Wrap(behind)
		leaver := func(id string) (leave func(), left <-chan any) {
			ctx, cancel := context.WithCancel(t.Context())
			r := httptest.NewRequest("GET", "/a", nil).WithContext(ctx)
			r.Header.Set("X-Request-Id", id)
			ch := make(chan any, 1)
			go func() {
				defer func() { ch <- recover() }()
				h.ServeHTTP(httptest.NewRecorder(), r)
			}()
			synctest.Wait()
			return cancel, ch
		}
		leave, left := leaver("leaves")
		waiterLeaves, waiterLeft := leaver("waits")
		stays := make(chan string, 1)
		go func() { stays <- get(h, "/a").Body.String() }()
		synctest.Wait()
		waiterLeaves()
		if p := <-waiterLeft; p != http.ErrAbortHandler {
			t.Errorf("one who waits and leaves: %v", p)
		}
		leave()
		if p := <-left; p != http.ErrAbortHandler {
			t.Errorf("one who asks and leaves: %v", p)
		}
		if got := <-stays; got != "for [ada]" || a.asked.Load() != 2 {
			t.Errorf("who stays gets %q, and %d asked", got, a.asked.Load())
		}
	})
}

// TestHostile: what is no answer lets nobody pass.
func TestHostile(t *testing.T) {
	for _, tt := range []struct {
		name  string
		say   func(w http.ResponseWriter, r *http.Request)
		want  [2]int // of a subrequest and of an authorizer
		lines int    // in the log, of a subrequest
	}{
		{"nothing", func(http.ResponseWriter, *http.Request) {}, [2]int{502, 502}, 1},
		{"an interim answer alone", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(103) }, [2]int{502, 502}, 1},
		{"a panic", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, [2]int{502, 502}, 0},
		{"no file", func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }, [2]int{502, 404}, 1},
		{"not modified", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(304) }, [2]int{502, 304}, 1},
		{"partial", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(206) }, [2]int{200, 206}, 0},
		{"an error and then a yes", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500); w.WriteHeader(200) }, [2]int{502, 500}, 1},
		{"a time-out that was logged", func(w http.ResponseWriter, r *http.Request) { gateway.OwnAnswer(w); w.WriteHeader(504) }, [2]int{504, 504}, 0},
		{"an overload that was logged", func(w http.ResponseWriter, r *http.Request) { gateway.OwnAnswer(w); w.WriteHeader(503) }, [2]int{503, 503}, 0},
		{"a failure that was logged", func(w http.ResponseWriter, r *http.Request) { gateway.OwnAnswer(w); w.WriteHeader(500) }, [2]int{502, 500}, 0},
		{"a local redirect", func(w http.ResponseWriter, r *http.Request) {
			if ok, err := Redirect(w, "/login"); !ok || err != nil {
				panic("no question")
			}
		}, [2]int{302, 302}, 0},
		{"a local redirect with a header in it", func(w http.ResponseWriter, r *http.Request) {
			if ok, err := Redirect(w, "/a\r\nX: y"); !ok || err == nil {
				panic("it was taken")
			}
		}, [2]int{502, 502}, 1},
		{"a yes without an end", func(w http.ResponseWriter, r *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 1000)); err != nil {
					panic(http.ErrAbortHandler)
				}
			}
		}, [2]int{200, 200}, 0},
		{"a yes that breaks off", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(200); panic(http.ErrAbortHandler) }, [2]int{502, 502}, 0},
	} {
		for i, role := range []bool{false, true} {
			for _, cache := range []time.Duration{0, time.Minute} {
				t.Run(fmt.Sprint(tt.name, role, cache), func(t *testing.T) {
					log := &lines{}
					o := options(&answerer{say: tt.say}, log)
					o.Authorizer, o.Cache = role, cache
					h := o.Wrap(behind)
					code := 0
					func() {
						defer func() {
							if p := recover(); p != nil && p != http.ErrAbortHandler {
								t.Error(p)
							}
						}()
						code = get(h, "/a").Code
					}()
					if code != tt.want[i] {
						t.Errorf("%d, want %d", code, tt.want[i])
					}
					if n := strings.Count(log.String(), "\n"); !role && n != tt.lines {
						t.Errorf("%d lines: %s", n, log)
					}
				})
			}
		}
	}
}

// TestVariables is what an authorizer may say, and what it may not.
func TestVariables(t *testing.T) {
	set := map[string]bool{
		"REMOTE_USER": true, "AUTH_METHOD": true, "auth_method": true, "HTTP_X_USER": true, "X": true,
		"": false, "CONTENT_LENGTH": false, "HTTP_PROXY": false, "PATH_INFO": false, "SCRIPT_FILENAME": false, "REMOTE_ADDR": false,
		"FCGI_ROLE": false, "PHP_VALUE": false, "PHP_ADMIN_VALUE": false, "wsgi.input": false, "a b": false, "A\x00": false, "A=B": false,
	}
	for name, may := range set {
		if mayBeSet(name) != may {
			t.Errorf("%q may be set: %v", name, !may)
		}
	}
	log := &lines{}
	a := &answerer{say: func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["Variable-REMOTE_USER"] = []string{"ada"}
		h["Variable-AUTH_TYPE"] = []string{"session"}
		h["Variable-PATH_INFO"] = []string{"/x"}
		h["Variable-LARGE"] = []string{strings.Repeat("x", maxVariables+1)}
		w.WriteHeader(http.StatusOK)
	}}
	o := options(a, log)
	o.Authorizer = true
	var said *Said
	o.Passed = func(r *http.Request, s *Said) *http.Request { said = s; return r }
	var user *gateway.User
	h := o.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { user = gateway.UserOf(r.Context()) }))
	for range 3 {
		get(h, "/a")
	}
	if want := "[{AUTH_TYPE session} {REMOTE_USER ada}]"; fmt.Sprint(said.Variables) != want || user == nil || *user != (gateway.User{Name: "ada", Type: "session"}) {
		t.Errorf("%v, %v; want %s", said.Variables, user, want)
	}
	if n := strings.Count(log.String(), "\n"); n != 2 {
		t.Errorf("%d lines: %s", n, log)
	}
}

// TestUntouched: what passes without a word goes on as it came.
func TestUntouched(t *testing.T) {
	o := options(&answerer{say: func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) }}, io.Discard)
	o.Cache = time.Minute
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/a", nil)
	h := o.Wrap(http.HandlerFunc(func(gotW http.ResponseWriter, gotR *http.Request) {
		if gotW != http.ResponseWriter(w) || gotR != r {
			t.Error("it is another writer, or another request")
		}
	}))
	h.ServeHTTP(w, r)
	h.ServeHTTP(w, r)
	if allocs := testing.AllocsPerRun(100, func() { h.ServeHTTP(w, r) }); allocs > 0 && !raceEnabled {
		t.Errorf("an answer that is kept takes %v allocations", allocs)
	}
}

// TestKeyOfCertificate: who is asked by a path is told of the client's
// certificate, so what was answered for one is no answer for another, nor for
// none.
func TestKeyOfCertificate(t *testing.T) {
	a := &authorize{}
	request := func(raw string) *http.Request {
		r := httptest.NewRequest("GET", "/", nil)
		r.TLS = &tls.ConnectionState{}
		if raw != "" {
			r.TLS.PeerCertificates = []*x509.Certificate{{Raw: []byte(raw)}}
		}
		return r
	}
	none, one, two := a.key(request("")), a.key(request("one")), a.key(request("two"))
	if none == one || one == two || none == two || one != a.key(request("one")) {
		t.Error("certificates make no difference")
	}
}

func FuzzKey(f *testing.F) {
	f.Add("GET", "/a?b", "Cookie", "a=1", "X-A", "", "Cookie", "a=1", "X-A", "1")
	f.Fuzz(func(t *testing.T, method, target, n1, v1, n2, v2, n3, v3, n4, v4 string) {
		a := &authorize{}
		request := func(names [2]string, values [2]string) *http.Request {
			r := httptest.NewRequest("GET", "/", nil)
			r.Method, r.RequestURI = method, target
			for i := range names {
				r.Header[names[i]] = append(r.Header[names[i]], values[i])
			}
			return r
		}
		one, two := request([2]string{n1, n2}, [2]string{v1, v2}), request([2]string{n3, n4}, [2]string{v3, v4})
		for _, r := range []*http.Request{one, two} {
			for name := range r.Header {
				if notAsked[name] || ownHeaders[name] {
					delete(r.Header, name)
				}
			}
		}
		same := fmt.Sprintf("%q", one.Header) == fmt.Sprintf("%q", two.Header)
		if (a.key(one) == a.key(two)) != same {
			t.Errorf("%q and %q: the same %v, their keys %v", one.Header, two.Header, same, !same)
		}
	})
}
