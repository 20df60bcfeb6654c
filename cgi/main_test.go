package cgi

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/gateway"
)

// programVariable names the program that the test binary is to be.
const programVariable = "CGI_TEST_PROGRAM"

// programs are what the test binary is when a Host has started it.
var programs = map[string]func(){
	// environ writes its whole environment.
	"environ": func() {
		env := os.Environ()
		slices.Sort(env)
		fmt.Print("Content-Type: text/plain\n\n", strings.Join(env, "\n"))
	},
	// args writes its arguments.
	"args": func() { fmt.Printf("Content-Type: text/plain\n\n%q", os.Args[1:]) },
	// cat answers with its input, reading and writing at once.
	"cat": func() {
		fmt.Print("Content-Type: application/octet-stream\r\n\r\n")
		io.Copy(os.Stdout, struct{ io.Reader }{os.Stdin})
	},
	// stdin says what its input is.
	"stdin": func() {
		info, err := os.Stdin.Stat()
		b, _ := io.ReadAll(os.Stdin)
		fmt.Print("Content-Type: text/plain\n\n", info.Mode().Type() == 0, err, " ", len(b))
	},
	// pwd writes its working directory.
	"pwd": func() {
		dir, err := os.Getwd()
		fmt.Print("Content-Type: text/plain\n\n", dir, err)
	},
	// handler is a handler under Serve.
	"handler": func() {
		err := Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s %q %v", r.Method, r.URL, b, err)
		}))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	},
	// drip writes its head byte by byte.
	"drip": func() {
		for _, c := range []byte("Content-Type: text/plain\r\nX-Test: yes\r\n\r\nbody") {
			os.Stdout.Write([]byte{c})
		}
	},
}

func TestMain(m *testing.M) {
	if name := os.Getenv(programVariable); name != "" {
		programs[name]()
		return
	}
	os.Exit(m.Run())
}

// program is a Host of one of programs.
func program(t testing.TB, name string) *Host {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if programs[name] == nil {
		t.Fatalf("no program %q", name)
	}
	env := []string{programVariable + "=" + name, "GORACE=atexit_sleep_ms=0"} // or each takes a second to end under -race
	return closed(t, &Host{Path: self, Env: env})
}

// closed has a host's end checked: no process may be left.
func closed(t testing.TB, h *Host) *Host {
	t.Helper()
	if h.Grace == 0 {
		h.Grace = 10 * time.Second
	}
	if h.Log == nil {
		h.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if n := h.Running(); n != 0 {
			t.Errorf("%d processes are left", n)
		}
	})
	return h
}

// get is a request without a body.
func get(params ...gateway.Param) *gateway.Request {
	return &gateway.Request{Params: append([]gateway.Param{{Name: "REQUEST_METHOD", Value: "GET"}}, params...)}
}

// post is a request with a body of a known length.
func post(body io.Reader, n int64) *gateway.Request {
	return &gateway.Request{
		Params: []gateway.Param{
			{Name: "REQUEST_METHOD", Value: "POST"},
			{Name: "CONTENT_LENGTH", Value: fmt.Sprint(n)},
		},
		Body:          body,
		ContentLength: n,
	}
}

// text is the whole body of a request's response.
func text(t testing.TB, h *Host, req *gateway.Request) string {
	t.Helper()
	resp, err := h.RoundTrip(context.Background(), req)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	return string(b)
}

// record is a logger and the lines that it writes.
func record(t testing.TB) (*slog.Logger, *journal) {
	t.Helper()
	j := &journal{changed: make(chan struct{})}
	return slog.New(slog.NewTextHandler(j, nil)), j
}

// journal is a log in memory.
type journal struct {
	mu      sync.Mutex
	b       []byte
	changed chan struct{} // closed and made anew at each write
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.b = append(j.b, b...)
	close(j.changed)
	j.changed = make(chan struct{})
	return len(b), nil
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return string(j.b)
}

// wait waits until the log holds a text.
func (j *journal) wait(t testing.TB, want string) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		j.mu.Lock()
		got, changed := string(j.b), j.changed
		j.mu.Unlock()
		if strings.Contains(got, want) {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("the log has no %q:\n%s", want, got)
		}
	}
}
