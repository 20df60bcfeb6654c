package pool

// Requests over their limits: the traceback, the answer, the end of the worker.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"millrace/internal/supervise"
)

// python has the app run on another interpreter, with more in its environment.
func (cfg *Config) python(path string, env ...string) {
	cfg.Python = path
	env = append(append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1"), env...)
	cfg.Host = HostCommand(cfg.Name, path, cfg.Dir, env, supervise.Rights{})
}

// eachWorker runs a test on the oldest Python and the newest, with workers that are
// processes and workers that are threads.
func eachWorker(t *testing.T, test func(t *testing.T, cfg Config)) {
	for version, path := range ends(t) {
		for _, method := range []string{"prefork", "threaded"} {
			t.Run(version+"/"+method, func(t *testing.T) {
				t.Parallel()
				cfg := testConfig(t, "late:application")
				cfg.fixed(2)
				if method == "threaded" {
					cfg.Threads = 2
				}
				cfg.python(path)
				test(t, cfg)
			})
		}
	}
}

// lineOf is where a frame of late.py that runs is.
func lineOf(t testing.TB, function string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/apps/late.py")
	if err != nil {
		t.Fatal(err)
	}
	before, _, ok := bytes.Cut(b, []byte("# the line: "+function+"\n"))
	if !ok {
		t.Fatal("no line of ", function)
	}
	return fmt.Sprintf(`late.py\", line %d in %s"`, bytes.Count(before, []byte("\n"))+1, function)
}

func TestTracebackOfLateRequest(t *testing.T) {
	eachWorker(t, func(t *testing.T, cfg Config) {
		cfg.RequestTimeout = time.Second // in which a view comes to its line
		log := logged(&cfg)
		p, server := startPool(t, cfg)
		p.waitServing(t, 2)
		late := 0
		for _, view := range []string{"loops", "waits_for_a_socket", "holds_the_lock", "sleeps_in_c"} {
			note := filepath.Join(t.TempDir(), "note")
			start := time.Now()
			code, _ := get(t, server.URL+"/"+view+"?"+note)
			took := time.Since(start)
			if code != 504 || took < cfg.RequestTimeout {
				t.Errorf("%s: %d after %s, want 504 after %s", view, code, took, cfg.RequestTimeout)
			}
			late++
			if view != "sleeps_in_c" { // which may be in pause() still
				log.wait(t, lineOf(t, view), "request=", "pid=")
			} else {
				log.wait(t, "in sleeps_in_c", "request=")
			}
			log.wait(t, "longer than request_timeout", "uri=/"+view)
			// What runs Python is asked by the interpreter alone: faulthandler,
			// which says which thread is the current one, can crash it.
			switch view {
			case "loops":
				if strings.Contains(log.String(), "Current thread") {
					t.Errorf("faulthandler was asked:\n%s", log)
				}
			case "holds_the_lock":
				log.wait(t, "Current thread") // which may be the last one of the dump
			}
			// A thread that is not the main one is reached when it runs Python.
			if view == "loops" || view == "waits_for_a_socket" && cfg.Threads == 0 {
				eventually(t, func() error {
					b, err := os.ReadFile(note)
					if err != nil {
						return err
					}
					if string(b) != "finally: RequestEnded" {
						return fmt.Errorf("the note says %q", b)
					}
					return nil
				})
			}
			p.waitAtRest(t, 2)
			if s := p.Status(); s.Timeouts != uint64(late) {
				t.Errorf("%s: %d timeouts, want %d", view, s.Timeouts, late)
			}
		}
		if strings.Contains(log.String(), "gave no traceback") {
			t.Errorf("a worker gave no traceback:\n%s", log)
		}
		_ = p
	})
}

// TestSlowRequest: one traceback, in the slow log, and the request goes on.
func TestSlowRequest(t *testing.T) {
	eachWorker(t, func(t *testing.T, cfg Config) {
		cfg.SlowRequest = 750 * time.Millisecond
		slow := &logBuffer{}
		cfg.SlowLog = slow
		log := logged(&cfg)
		p, server := startPool(t, cfg)
		if code, body := get(t, server.URL+"/sleep?1.5"); code != 200 || body != "slept" {
			t.Errorf("a slow request: %d %q", code, body)
		}
		if code, _ := get(t, server.URL+"/sleep?0.01"); code != 200 {
			t.Errorf("a fast request: %d", code)
		}
		eventually(t, func() error { // it was written while the request ran
			if !strings.HasSuffix(slow.String(), "\n\n") {
				return fmt.Errorf("the slow log: %q", slow)
			}
			return nil
		})
		text := slow.String()
		where := strings.NewReplacer(`\"`, `"`).Replace(strings.TrimSuffix(lineOf(t, "sleep"), `"`))
		if strings.Count(text, where+"\n") != 1 || strings.Count(text, `GET "/sleep?1.5"`) != 1 ||
			strings.Count(text, "runs request ") != 1 || strings.Contains(text, "0.01") {
			t.Errorf("want one traceback that has %q; the slow log:\n%s", where, text)
		}
		if strings.Contains(log.String(), "late.py") {
			t.Errorf("the error log has it too:\n%s", log)
		}
		if s := p.Status(); s.Slow != 1 || s.Timeouts != 0 || s.Answered != 2 {
			t.Errorf("slow %d, timeouts %d, answered %d; want 1, 0, 2", s.Slow, s.Timeouts, s.Answered)
		}
	})
}

// TestSlowRequestsAtOnce: without a slow log the tracebacks are in the error
// log; several requests of one process share one.
func TestSlowRequestsAtOnce(t *testing.T) {
	cfg := testConfig(t, "late:application")
	cfg.fixed(4)
	cfg.Threads = 4
	cfg.SlowRequest = 200 * time.Millisecond
	log := logged(&cfg)
	p, server := startPool(t, cfg)
	p.waitServing(t, 4)
	codes := inBackground(t, server, "/deep?0.8", 4)
	if got := counted(t, codes, 4); got[200] != 4 {
		t.Errorf("answers: %v, want four times 200", got)
	}
	if s := p.Status(); s.Slow != 4 {
		t.Errorf("slow: %d, want 4", s.Slow)
	}
	eventually(t, func() error {
		if n := strings.Count(log.String(), `msg="request is slow"`); n != 4 {
			return fmt.Errorf("%d requests are named slow, want 4", n)
		}
		return nil
	})
	log.wait(t, "late.py", "in deep")
}

// TestStubbornView: what catches everything is killed half a second later.
func TestStubbornView(t *testing.T) {
	for _, view := range []string{"stubborn", "own_handler"} {
		t.Run(view, func(t *testing.T) {
			cfg := testConfig(t, "late:application")
			cfg.RequestTimeout = 200 * time.Millisecond
			log := logged(&cfg)
			p, server := startPool(t, cfg)
			victim := pidOf(t, server)
			start := time.Now()
			if code, _ := get(t, server.URL+"/"+view); code != 504 {
				t.Errorf("%s: %d, want 504", view, code)
			}
			gone(t, victim)
			if took := time.Since(start); took < cfg.RequestTimeout+termGrace {
				t.Errorf("it was killed after %s, before its time to clean up", took)
			}
			if view == "own_handler" {
				log.wait(t, "the app's own handler")
				if strings.Contains(log.String(), "RequestEnded") {
					t.Error("our handler ran as well")
				}
			} else {
				log.wait(t, "msg=stubborn")
			}
			p.waitAtRest(t, 1)
			if by := p.Status().RecycledBy; by["timeout"] != 1 || len(by) != 1 {
				t.Errorf("recycled by %v, want one timeout", by)
			}
		})
	}
}

// TestTracebackOfClose: the client has its answer, and close() does not end.
func TestTracebackOfClose(t *testing.T) {
	cfg := testConfig(t, "late:application")
	cfg.RequestTimeout = 200 * time.Millisecond
	log := logged(&cfg)
	p, server := startPool(t, cfg)
	victim := pidOf(t, server)
	if code, body := get(t, server.URL+"/closes"); code != 200 || body != "answered" {
		t.Errorf("closes: %d %q", code, body)
	}
	// Only a request behind it makes the close() late.
	if code, body := get(t, server.URL+"/pid"); code != 200 || body == strconv.Itoa(victim) {
		t.Errorf("behind it: %d %q", code, body)
	}
	// close is a method of the view's class.
	log.wait(t, `late.py\", line`, "in close", "request=")
	gone(t, victim)
	p.waitAtRest(t, 1)
}

// TestNoTraceback: a stopped worker gives none, and that is said.
func TestNoTraceback(t *testing.T) {
	cfg := testConfig(t, "late:application")
	cfg.RequestTimeout = 500 * time.Millisecond
	log := logged(&cfg)
	p, server := startPool(t, cfg)
	victim := pidOf(t, server)
	codes := inBackground(t, server, "/sleep?3600", 1)
	p.waitActive(t, 1, 0)
	if err := syscall.Kill(victim, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if got := counted(t, codes, 1); got[504] != 1 {
		t.Errorf("answers: %v, want one 504", got)
	}
	log.wait(t, "worker gave no traceback", "stopped", fmt.Sprintf("pid=%d", victim))
	gone(t, victim)
	p.waitAtRest(t, 1)
}

// TestTracebackWithoutFaulthandler: as on a build of Python whose threads run
// in parallel, where a thread of the worker's writes them.
func TestTracebackWithoutFaulthandler(t *testing.T) {
	for version, path := range ends(t) {
		for _, threads := range []int{0, 2} {
			t.Run(fmt.Sprint(version, "/", threads), func(t *testing.T) {
				dir := t.TempDir()
				site := "import sys\nsys._is_gil_enabled = lambda: False\n"
				if err := os.WriteFile(filepath.Join(dir, "sitecustomize.py"), []byte(site), 0o600); err != nil {
					t.Fatal(err)
				}
				cfg := testConfig(t, "late:application")
				cfg.fixed(2)
				cfg.Threads = threads
				cfg.python(path, "PYTHONPATH="+dir)
				cfg.RequestTimeout = 300 * time.Millisecond
				log := logged(&cfg)
				p, server := startPool(t, cfg)
				for _, view := range []string{"loops", "waits_for_a_socket"} {
					if code, _ := get(t, server.URL+"/"+view); code != 504 {
						t.Errorf("%s: %d, want 504", view, code)
					}
					log.wait(t, lineOf(t, view), "request=")
				}
				log.wait(t, "runs request ")
				p.waitAtRest(t, 2)
			})
		}
	}
}

// TestReadTrace: what a process may write instead of a traceback.
func TestReadTrace(t *testing.T) {
	frame := strings.Repeat("x", 1000) + "\n"
	for name, tt := range map[string]struct {
		write string
		close bool
		want  string // prefix
		tail  string
		fails string
	}{
		"whole":      {write: "Thread\n" + string(traceEnd), want: "Thread\n" + string(traceEnd), tail: string(traceEnd)},
		"no end":     {write: "Thread\n", want: "Thread\n"},
		"cut":        {write: "Thread\n", close: true, want: "Thread\n"},
		"nothing":    {close: true, fails: "it has ended"},
		"silence":    {fails: "i/o timeout"},
		"very large": {write: strings.Repeat(frame, 600), close: true, want: frame, tail: "bytes more\n"},
	} {
		t.Run(name, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			defer w.Close()
			var wg sync.WaitGroup
			wg.Go(func() {
				if _, err := io.WriteString(w, tt.write); err != nil {
					t.Error(err)
				}
				if tt.close {
					w.Close()
				}
			})
			text, err := readTrace(r, make([]byte, 4096), 200*time.Millisecond)
			wg.Wait()
			if tt.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fails) {
					t.Errorf("%q, %v; want an error with %q", text, err, tt.fails)
				}
				return
			}
			if err != nil || !strings.HasPrefix(string(text), tt.want) || !strings.HasSuffix(string(text), tt.tail) || len(text) > maxTrace+100 {
				t.Errorf("%d bytes %.80q, %v", len(text), text, err)
			}
		})
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("no space") }

// TestSlowLogFails: the entry goes to the error log instead.
func TestSlowLogFails(t *testing.T) {
	log := &logBuffer{}
	cfg := Config{Name: "test", Log: slog.New(slog.NewTextHandler(log, nil)), SlowLog: failingWriter{}}
	p := New(cfg)
	proc := &process{host: &host{pool: p}}
	p.logTraces(proc, []wantedTrace{{request: "1-2", method: "GET", uri: "/slow", slow: true}}, nil, []byte("a frame\n"), nil)
	log.wait(t, "cannot write the slow log", "no space")
	log.wait(t, "request is slow", "uri=/slow")
	log.wait(t, `msg="a frame"`, "request=1-2")
}

func TestSlowEntry(t *testing.T) {
	batch := []wantedTrace{
		{request: "3-4", method: "GET", uri: "/a b\x1b[2J", slow: true, ran: 1500 * time.Millisecond},
		{request: "5-6", method: "GET", uri: "/late"},
	}
	got := string(slowEntry("main", 7, batch, []byte("Thread 0x0000000000000010 (most recent call first):\n  a \x1b[2J frame\n"), nil,
		map[string]string{"hread 0x0000000000000010 ": "3-4"}))
	_, got, _ = strings.Cut(got, " ") // the time
	want := "app=main pid=7 request=3-4 ran=1.5s GET \"/a b\\x1b[2J\"\n" +
		"Thread 0x0000000000000010 (most recent call first), runs request 3-4:\n  a ?[2J frame\n\n"
	if got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if slowEntry("main", 7, batch[1:], nil, nil, nil) != nil {
		t.Error("an entry without a slow request")
	}
}
