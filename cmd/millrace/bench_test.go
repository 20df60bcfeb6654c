package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"millrace/fcgi"
	"millrace/gateway"
)

// bench runs millrace bench --json in this process.
func bench(t *testing.T, args ...string) (r benchResult, status int, stderr string) {
	t.Helper()
	status, stdout, stderr := millrace(t, append([]string{"bench", "--json"}, args...)...)
	if stdout != "" {
		if err := json.Unmarshal([]byte(stdout), &r); err != nil {
			t.Fatalf("%v\n%s", err, stdout)
		}
	}
	return r, status, stderr
}

func TestBench(t *testing.T) {
	for _, scheme := range append([]string{"http"}, gatewaySchemes...) {
		for _, network := range []string{"tcp", "unix"} {
			base := startBackend(t, scheme, network, backendHandler())
			for _, test := range []struct {
				name   string
				args   []string
				opened int64 // connections; 0: those that are kept
			}{
				{"kept", nil, 0},
				{"fresh", []string{"--fresh"}, 100},
				{"post", []string{"-d", "0123456789"}, 0},
				{"large post", []string{"-d", strings.Repeat("x", 200<<10)}, 0},
				{"head", []string{"-X", "HEAD"}, 0},
				{"rate", []string{"--rate", "3000"}, 0},
			} {
				t.Run(scheme+"/"+network+"/"+test.name, func(t *testing.T) {
					args := append([]string{at(base, "/x"), "-c", "4", "-n", "100"}, test.args...)
					if scheme == "ajp" {
						args = append(args, "--secret", backendSecret)
					}
					r, status, stderr := bench(t, args...)
					if status != 0 || stderr != "" || r.Requests != 100 || r.Statuses[200] != 100 || len(r.Statuses) != 1 || len(r.First) != 0 {
						t.Fatalf("status %d, %q, %+v", status, stderr, r)
					}
					fewest, most := test.opened, test.opened
					switch {
					case scheme == "scgi" || scheme == "uwsgi":
						fewest, most = 100, 100
					case scheme == "ajp" && test.name == "large post":
						// Its client gives a connection up whose request was
						// answered before it saw that all of it was sent.
						fewest, most = 1, 50
					case most == 0: // a worker may find that the others have done all
						fewest, most = 1, 4
					}
					if r.Opened < fewest || r.Opened > most || r.Missed != 0 {
						t.Errorf("%d connections were opened, want %d to %d; %d were missed", r.Opened, fewest, most, r.Missed)
					}
					if hasBody := test.name != "head"; hasBody != (r.Bytes >= 100*40) {
						t.Errorf("%d bytes of bodies", r.Bytes)
					}
					l := r.Latency
					if l.P50 <= 0 || l.Mean <= 0 || l.P50 > l.P90 || l.P90 > l.P99 || l.P99 > l.P999 || l.P999 > l.Max || l.Max > 1e3*r.Seconds+1 {
						t.Errorf("%+v in %v s", l, r.Seconds)
					}
				})
			}
		}
	}
}

func TestBenchShared(t *testing.T) {
	// Behind the first request, which goes before the load, 16 must be there
	// at a time: so many as 2 connections carry.
	var arrived atomic.Int64
	all := make(chan struct{})
	base := startBackend(t, "fcgi", "unix", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch n := arrived.Add(1); {
		case n == 17:
			close(all)
		case n > 1:
			<-all
		}
		fmt.Fprintln(w, "hello")
	}))
	r, status, stderr := bench(t, base, "-c", "2", "--mpx", "8", "-n", "2000", "--timeout", "10s")
	if status != 0 || stderr != "" || r.Requests != 2000 || r.Opened != 2 || r.Mode != "shared" || r.Shared != 8 {
		t.Errorf("status %d, %q, %+v", status, stderr, r)
	}

	one := startBackend(t, "fcgi", "unix", backendHandler())
	if _, status, stderr = bench(t, one, "--mpx", "60000", "-c", "1"); status != 1 || !strings.Contains(stderr, "FCGI_MAX_REQS") || !strings.Contains(stderr, "hint: give a smaller") {
		t.Errorf("more than are taken: %d, %s", status, stderr)
	}
	l, url := listenBackend(t, "fcgi", "unix")
	serveBackend(t, l, &unshared{fcgi.Server{Log: slog.New(slog.DiscardHandler)}})
	if _, status, stderr = bench(t, url, "--mpx", "4"); status != 1 || !strings.Contains(stderr, "FCGI_GET_VALUES") || !strings.Contains(stderr, "leave --mpx out") {
		t.Errorf("a program that does not say: %d, %s", status, stderr)
	}
}

// unshared is a program that hangs up on FCGI_GET_VALUES.
type unshared struct{ fcgi.Server }

func (u *unshared) Serve(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		c.Close()
		l.Close()
	}
}

// TestBenchErrors has servers that answer one request and then fail.
func TestBenchErrors(t *testing.T) {
	tests := []struct {
		name  string
		then  string // the URI that all later requests get
		args  []string
		kind  string // of errors
		first string
	}{
		{"cut", "/cut", nil, "cut", "cut: "},
		{"silent", "/silent", []string{"--timeout", "30ms"}, "timeout", "timeout: "},
	}
	for _, scheme := range append([]string{"http"}, gatewaySchemes...) {
		for _, test := range tests {
			for _, fresh := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/fresh=%v", scheme, test.name, fresh), func(t *testing.T) {
					h := backendHandler()
					var served atomic.Int64
					base := startBackend(t, scheme, "unix", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if served.Add(1) > 3 {
							r.URL.Path = test.then
						}
						h.ServeHTTP(w, r)
					}))
					args := append([]string{base, "-c", "1", "-n", "6"}, test.args...)
					if fresh {
						args = append(args, "--fresh")
					}
					if scheme == "ajp" {
						args = append(args, "--secret", backendSecret)
					}
					r, status, stderr := bench(t, args...)
					if status != 0 || r.Requests != 2 || r.Errors[test.kind] != 4 || len(r.First) != 1 || !strings.HasPrefix(r.First[0], test.first) {
						t.Errorf("status %d, %s\n%+v", status, stderr, r)
					}
				})
			}
		}
		t.Run(scheme+"/statuses", func(t *testing.T) {
			base := startBackend(t, scheme, "unix", backendHandler())
			secret := []string{}
			if scheme == "ajp" {
				secret = []string{"--secret", backendSecret}
			}
			r, status, _ := bench(t, append([]string{at(base, "/status/503"), "-n", "50", "-c", "2"}, secret...)...)
			if status != 0 || r.Statuses[503] != 50 {
				t.Errorf("status %d, %+v", status, r)
			}
		})
	}
}

func TestBenchConnectErrors(t *testing.T) {
	var l net.Listener
	var served atomic.Int64
	l, base := listenBackend(t, "scgi", "unix")
	serveBackend(t, l, newBackend("scgi", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if served.Add(1) == 3 {
			l.Close()
		}
		fmt.Fprintln(w, "hello")
	}), slog.New(slog.DiscardHandler)))
	r, status, _ := bench(t, base, "-n", "5", "-c", "1")
	if status != 0 || r.Requests != 2 || r.Errors["connect"] != 3 {
		t.Errorf("status %d, %+v", status, r)
	}
	var text strings.Builder
	if err := r.print(&text); err != nil || !strings.Contains(text.String(), "3 could not connect") || !strings.Contains(text.String(), "first of connect: ") {
		t.Errorf("%v\n%s", err, text.String())
	}
	if _, status, stderr := bench(t, base, "-n", "5"); status != 1 || !strings.Contains(stderr, "there is no such socket") {
		t.Errorf("nothing to measure: %d, %s", status, stderr)
	}
}

// stubSender answers at once.
type stubSender struct{ err error }

func (s stubSender) send(context.Context) (int, int64, error) { return 200, 1, s.err }
func (stubSender) close()                                     {}

// TestBenchRate shows that latency counts from the time when a request was
// due: here a second ago, when no worker was free.
func TestBenchRate(t *testing.T) {
	l := &load{requests: 50, rate: 100, start: time.Now().Add(-time.Second), over: make(chan struct{})}
	l.work(t.Context(), stubSender{})
	d := l.stats.latency.snapshot()
	if d.total != 50 || d.quantile(0.01) < 500*time.Millisecond || d.max < time.Second {
		t.Errorf("%d requests, 1%% %v, max %v", d.total, d.quantile(0.01), d.max)
	}
	if got := l.missed(time.Second); got != 0 {
		t.Errorf("%d were missed of 50", got)
	}
	l = &load{rate: 100, duration: time.Second, start: time.Now().Add(-time.Minute), over: make(chan struct{})}
	l.end()
	l.work(t.Context(), stubSender{})
	if got := l.missed(time.Minute); got != 100 {
		t.Errorf("%d were missed, want the 100 of a second", got)
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	l = &load{rate: 1000, start: time.Now(), over: make(chan struct{})}
	for k := range 5 {
		if due, ok := l.next(timer); !ok || due.Sub(l.start) != time.Duration(k)*time.Millisecond || time.Now().Before(due) {
			t.Errorf("request %d is due %v after the start, %v", k, due.Sub(l.start), ok)
		}
	}
}

func TestBenchDuration(t *testing.T) {
	base := startBackend(t, "http", "unix", backendHandler())
	r, status, _ := bench(t, base, "-t", "200ms", "-c", "2")
	if status != 0 || r.Requests == 0 || r.Seconds < 0.2 || r.Seconds > 5 || r.Errors["unfinished"] != 0 {
		t.Errorf("status %d, %+v", status, r)
	}
	// A request that never ends is cut off when its time is over too.
	var served atomic.Int64
	drip := startBackend(t, "http", "unix", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if served.Add(1) == 1 {
			return
		}
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for r.Context().Err() == nil {
			<-tick.C
			_, _ = io.WriteString(w, "drip")
			_ = http.NewResponseController(w).Flush()
		}
	}))
	r, status, stderr := bench(t, drip, "-t", "50ms", "-c", "2", "--timeout", "1s")
	if status != 1 || r.Requests != 0 || r.Errors["unfinished"] != 2 || !strings.Contains(stderr, "no request got a whole response") {
		t.Errorf("status %d, %s%+v", status, stderr, r)
	}
}

// TestBenchFirst has servers whose response to the request before the load
// has no end, or one that is far away.
func TestBenchFirst(t *testing.T) {
	endless := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		piece := make([]byte, 64<<10)
		for r.Context().Err() == nil {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	})
	var served atomic.Int64
	large := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size := int64(maxFirst + 1<<20)
		if served.Add(1) > 1 {
			size = 5
		}
		w.Header().Set("Content-Length", fmt.Sprint(size))
		_, _ = io.CopyN(w, zeros{}, size)
	})
	stream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for r.Context().Err() == nil {
			<-tick.C
			_, _ = io.WriteString(w, "data: x\n\n")
			_ = http.NewResponseController(w).Flush()
		}
	})
	silent := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	tests := []struct {
		name          string
		h             http.Handler
		args          []string
		status        int
		requests      int64
		problem, hint string
	}{
		{"endless, by number", endless, []string{"-n", "3"}, exitFailed, 0, "has no length and 64 MiB or more", "add -t TIME"},
		{"endless", endless, []string{"-n", "1", "-c", "1", "-t", "1s", "--timeout", "100ms"}, exitFailed, 0, "no request got a whole response|not whole after 1s", ""},
		{"large", large, []string{"-n", "3", "-c", "1"}, 0, 3, "", ""},
		{"stream", stream, []string{"-n", "3", "-t", "100ms"}, exitFailed, 0, "not whole after 100ms; [0-9]+ bytes", "-t gives it longer"},
		{"silent", silent, []string{"-t", "100ms"}, exitFailed, 0, "not whole after 100ms; 0 bytes", "-t gives it longer"},
	}
	for _, scheme := range append([]string{"http"}, gatewaySchemes...) {
		for _, test := range tests {
			t.Run(scheme+"/"+test.name, func(t *testing.T) {
				served.Store(0)
				args := append([]string{startBackend(t, scheme, "unix", test.h)}, test.args...)
				if scheme == "ajp" {
					args = append(args, "--secret", backendSecret)
				}
				start := time.Now()
				r, status, stderr := bench(t, args...)
				problem, hint, _ := strings.Cut(stderr, "\n  hint: ")
				if status != test.status || r.Requests != test.requests || !regexp.MustCompile(test.problem).MatchString(problem) || !strings.Contains(hint, test.hint) {
					t.Errorf("status %d after %v, %s\n%+v", status, time.Since(start), stderr, r)
				}
			})
		}
	}
}

// zeros has no end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestBenchProgress(t *testing.T) {
	l := &load{}
	ticks := make(chan time.Time)
	ctx, cancel := context.WithCancel(t.Context())
	var b bytes.Buffer
	ended := make(chan struct{})
	start := time.Now()
	go func() { defer close(ended); l.progress(ctx, &b, ticks) }()
	for range 500 {
		l.stats.latency.add(2 * time.Millisecond)
	}
	ticks <- start.Add(time.Second)
	l.stats.fail(ctx, gateway.ErrTimeout)
	ticks <- start.Add(2 * time.Second)
	cancel()
	<-ended
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) == 2 {
		if !strings.Contains(lines[1], " 0/s") || !strings.HasSuffix(lines[1], "500 done, 1 failed") {
			t.Errorf("%q", lines[1])
		}
	} else {
		t.Errorf("%d lines\n%s", len(lines), b.String())
	}
}

func TestBenchUsage(t *testing.T) {
	tests := []struct {
		args          []string
		problem, hint string
	}{
		{nil, "the URL is missing", "usage: millrace bench URL"},
		{[]string{"fcgi://127.0.0.1/", "-c", "0"}, "-c 0", "1 to 65535"},
		{[]string{"fcgi://127.0.0.1/", "-c", "70000"}, "-c 70000", "1 to 65535"},
		{[]string{"fcgi://127.0.0.1/", "-n", "-1"}, "-n -1", "1 or more"},
		{[]string{"fcgi://127.0.0.1/", "-n", "0"}, "-n 0", "1 or more"},
		{[]string{"fcgi://127.0.0.1/", "--rate", "0"}, "--rate 0", "more than 0"},
		{[]string{"fcgi://127.0.0.1/", "-t", "0s"}, "-t 0s", "30s"},
		{[]string{"fcgi://127.0.0.1/", "-t", "10"}, "duration", "--help"},
		{[]string{"fcgi://127.0.0.1/", "--rate", "-5"}, "--rate -5", "more than 0"},
		{[]string{"fcgi://127.0.0.1/", "--rate", "NaN"}, "--rate NaN", "more than 0"},
		{[]string{"fcgi://127.0.0.1/", "--mpx", "0"}, "--mpx 0", "1 to 65535"},
		{[]string{"http://127.0.0.1/", "--mpx", "4"}, "--mpx is for FastCGI, and the URL is one of HTTP", "leave it out"},
		{[]string{"fcgi://127.0.0.1/", "--mpx", "4", "--fresh"}, "--mpx and --fresh", "one of them"},
		{[]string{"fcgi://127.0.0.1/", "--mpx", "1000", "-c", "1000"}, "1000000 requests at a time", "at most"},
		{[]string{"fcgi://127.0.0.1/", "--role", "filter"}, "unknown flag", "--help"},
	}
	for _, test := range tests {
		status, stdout, stderr := millrace(t, append([]string{"bench"}, test.args...)...)
		problem, hint, _ := strings.Cut(stderr, "\n  hint: ")
		if status != exitUsage || stdout != "" || !strings.Contains(problem, test.problem) || !strings.Contains(hint, test.hint) {
			t.Errorf("%q: status %d, %q\n%s", test.args, status, stdout, stderr)
		}
	}
}
