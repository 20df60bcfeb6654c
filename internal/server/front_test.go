package server

import (
	"context"
	"io"
	"net/http"
	"regexp"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestLinger: how long a front that drains waits before it turns requests
// away, by what becomes of its connections.
func TestLinger(t *testing.T) {
	for name, tt := range map[string]struct {
		protocol string
		conns    int
		fresh    int
		steps    func(f *front)
		want     time.Duration
	}{
		"nobody":           {"http", 0, 0, nil, 0},
		"idle":             {"http", 1, 0, nil, linger},
		"idle, of scgi":    {"scgi", 1, 0, nil, 0},
		"new for ever":     {"http", 2, 1, nil, lingerFresh},
		"new, of scgi":     {"scgi", 1, 1, nil, lingerFresh},
		"ends":             {"http", 1, 0, func(f *front) { time.Sleep(linger / 2); f.count(-1, 0) }, linger / 2},
		"new, begins soon": {"http", 1, 1, func(f *front) { time.Sleep(linger / 2); f.count(0, -1) }, linger},
		"new, begins late": {"http", 2, 1, func(f *front) { time.Sleep(2 * linger); f.count(0, -1) }, 2 * linger},
		"new, ends late":   {"scgi", 2, 1, func(f *front) { time.Sleep(2 * linger); f.count(-1, -1) }, 2 * linger},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &front{frontSpec: frontSpec{protocol: tt.protocol}, total: new(atomic.Int64), changed: make(chan struct{}, 1)}
				f.count(tt.conns, tt.fresh)
				if tt.steps != nil {
					go tt.steps(f)
				}
				began := time.Now()
				f.linger(t.Context())
				if got := time.Since(began); got != tt.want {
					t.Errorf("it waited %v, want %v", got, tt.want)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		f := &front{frontSpec: frontSpec{protocol: "http"}, total: new(atomic.Int64), changed: make(chan struct{}, 1)}
		f.count(1, 1)
		ctx, cancel := context.WithTimeout(t.Context(), linger/5)
		defer cancel()
		began := time.Now()
		f.linger(ctx)
		if got := time.Since(began); got != linger/5 {
			t.Errorf("it waited %v beyond its context", got)
		}
	})
}

// TestBelieves: only those who stand before us may name a request.
func TestBelieves(t *testing.T) {
	for _, c := range []struct {
		protocol, peer string
		want           bool
	}{
		{"fastcgi", "192.0.2.1:80", true}, // the peer is the front server, the address its client's
		{"scgi", "192.0.2.1:80", true},
		{"uwsgi", "", true},
		{"ajp", "[2001:db8::1]:80", true},
		{"http", "192.0.2.1:80", false},
		{"http", "[2001:db8::1]:80", false},
		{"http", "10.0.0.1:80", false},
		{"http", "127.0.0.1:80", true},
		{"http", "[::ffff:127.0.0.1]:80", true},
		{"http", "[::1]:80", true},
		{"http", "@", true}, // a Unix socket's
		{"http", "", true},
		{"http", "nonsense", false},
	} {
		f := &front{frontSpec: frontSpec{protocol: c.protocol}}
		if got := f.believes(&http.Request{RemoteAddr: c.peer}); got != c.want {
			t.Errorf("%s from %q: %t", c.protocol, c.peer, got)
		}
	}
}

// TestIDOfAFrontServer: over every protocol the app is told the id that a
// front server gives, or one of ours.
func TestIDOfAFrontServer(t *testing.T) {
	s := launch(t, parse(t, t.TempDir(), listening()), newFakeApps())
	own := regexp.MustCompile(`^\[[0-9a-z]{20}\]1\[\]$`)
	everyWay(t, func(t *testing.T, protocol string, ofUnix bool) {
		c := client(t, protocol, s.dialAddress("main", protocol, ofUnix))
		for given, want := range map[string]string{"front:1": "[front:1]1[]", "": "", "not one": ""} {
			req, err := http.NewRequest("GET", "http://localhost/told", nil)
			if err != nil {
				t.Fatal(err)
			}
			if given != "" {
				req.Header.Set("X-Request-ID", given)
			}
			req.Header.Set("Traceparent", "broken")
			resp, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if got := string(b); err != nil || want != "" && got != want || want == "" && !own.MatchString(got) {
				t.Errorf("of %q the app was told %q, %v", given, got, err)
			}
		}
	})
}
