package pool

// Programs, spoken to in a protocol of the tests: a line of method and path
// in, a CGI response out, a connection a request.

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/gateway"
	"millrace/internal/supervise"
)

// line is the tests' protocol.
type lineProtocol struct{}

func (lineProtocol) Client(dial func(context.Context) (net.Conn, error)) gateway.RoundTripper {
	return &gateway.Exchange{Protocol: "line", Dial: dial, Encode: func(b []byte, req *gateway.Request) ([]byte, error) {
		return fmt.Appendf(b, "%s %s\n", req.Param("REQUEST_METHOD"), req.Param("REQUEST_URI")), nil
	}}
}

// beProgram is a program of the tests: it answers as MILLRACE_TEST_PROGRAM
// says.
func beProgram(how string) {
	how, argument, _ := strings.Cut(how, " ")
	switch how {
	case "sulk":
		fmt.Fprintln(os.Stderr, "first words")
		fmt.Fprintln(os.Stderr, "I will not")
		os.Exit(3)
	case "sleep":
		fmt.Fprintln(os.Stderr, "good night")
		select {}
	}
	l, err := net.FileListener(os.Stdin)
	if err != nil {
		panic(err)
	}
	left := -1
	if how == "quit" { // after so many requests, right after the answer
		if left, err = strconv.Atoi(argument); err != nil {
			panic(err)
		}
	}
	for ; left != 0; left-- {
		c, err := l.Accept()
		if err != nil {
			panic(err)
		}
		line, err := bufio.NewReader(c).ReadString('\n')
		if err != nil { // the probe
			c.Close()
			left++
			continue
		}
		method, uri, _ := strings.Cut(strings.TrimSpace(line), " ")
		if uri == "/die" {
			os.Exit(1)
		}
		if uri == "/cut" {
			io.WriteString(c, "Content-Length: 100\r\n\r\nsome")
			c.Close()
			continue
		}
		fmt.Fprintf(c, "Content-Type: text/plain\r\n\r\n%s %s %d", method, uri, os.Getpid())
		c.Close()
	}
	os.Exit(0)
}

// programConfig is a pool of programs.
func programConfig(t testing.TB, how string) Config {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(t, "")
	cfg.Python, cfg.Host = "", nil
	cfg.StopTimeout = 5 * time.Second
	cfg.Program = &Program{
		Command: &supervise.Command{
			Name: "app test", Path: self, Args: []string{self}, Whole: true,
			Env: append(os.Environ(), "MILLRACE_TEST_PROGRAM="+how), Dir: t.TempDir(),
		},
		Key: `command = ["` + how + `"]`, Concurrency: 1, Protocol: lineProtocol{},
	}
	return cfg
}

// post sends what nobody may send twice.
func post(url string) (int, string, error) {
	resp, err := http.Post(url, "text/plain", nil)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// TestProgramLeavesNothing: 200 recycled processes leave no descriptor, no
// file, no process.
func TestProgramLeavesNothing(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	cfg := programConfig(t, "answer")
	cfg.MaxRequests = 1
	p, server := startPool(t, cfg)
	transport := &http.Transport{DisableKeepAlives: true}
	client := &http.Client{Transport: transport}
	ask := func(processes uint64) {
		for p.Status().Started < processes {
			resp, err := client.Get(server.URL + "/x")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 {
				t.Fatalf("%s: %v", resp.Status, err)
			}
			resp.Body.Close()
		}
	}
	settled := func() bool {
		s := p.Status()
		p.mu.Lock()
		defer p.mu.Unlock()
		return s.Idle == 1 && len(p.channels) == 1 && len(p.processes) == 1
	}
	ask(5)
	waitUntil(t, "one process is left", settled)
	before := openFiles(t)
	ask(200) // each serves until the next is ready
	waitUntil(t, "one process is left", settled)
	waitUntil(t, fmt.Sprintf("as few descriptors as before, %d", before), func() bool { return openFiles(t) <= before })
	left, err := os.ReadDir(temp)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 1 { // the folder of the process that lives
		t.Errorf("%d folders of sockets are left, such as %s", len(left), left[0].Name())
	}
}

// TestProgramQuits: a program that ends after so many requests, as php-cgi
// does, loses none: what it had not accepted is run by another.
func TestProgramQuits(t *testing.T) {
	cfg := programConfig(t, "quit 3")
	cfg.MinSpare, cfg.MaxSpare, cfg.MaxChildren = 2, 2, 2
	_, server := startPool(t, cfg)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 30 {
				if code, text, err := post(server.URL + "/x"); err != nil || code != 200 {
					t.Errorf("POST: %d %q, %v", code, text, err)
					return
				}
			}
		})
	}
	group.Wait()
}

// TestProgramAnswers: what a program does wrong is one request's alone.
func TestProgramAnswers(t *testing.T) {
	_, server := startPool(t, programConfig(t, "answer"))
	for _, test := range []struct {
		path string
		code int
	}{{"/x", 200}, {"/die", 502}, {"/x", 200}, {"/cut", 0}, {"/x", 200}} {
		code, text, err := post(server.URL + test.path)
		if test.code == 0 {
			if err == nil {
				t.Errorf("%s: a response that was cut short arrives as a whole one: %d %q", test.path, code, text)
			}
		} else if err != nil || code != test.code {
			t.Errorf("%s: %d %q, %v; want %d", test.path, code, text, err, test.code)
		}
	}
}

// TestProgramCannotServe: the error says which key, what, and why.
func TestProgramCannotServe(t *testing.T) {
	good := programConfig(t, "answer")
	p, server := startPool(t, good)
	if code, text, err := post(server.URL + "/x"); code != 200 {
		t.Fatal(code, text, err)
	}
	missing := programConfig(t, "missing")
	missing.Program.Command.Path = "/nowhere/program"
	folder := programConfig(t, "folder")
	folder.Program.Command.Path = t.TempDir()
	sleep := programConfig(t, "sleep")
	sleep.StartupTimeout = 300 * time.Millisecond
	for _, test := range []struct {
		cfg  Config
		want []string
	}{
		{missing, []string{`command = ["missing"] of app test: `, "/nowhere/program", "no such file or directory"}},
		{folder, []string{`command = ["folder"] of app test: `, "permission denied"}},
		{programConfig(t, "sulk"), []string{`command = ["sulk"] of app test: `, "ended before it took a connection", "exited with status 3", `"I will not"`}},
		{sleep, []string{`command = ["sleep"] of app test: `, "took no connection", "startup_timeout (300ms)", `"good night"`}},
	} {
		err := p.Reload(context.Background(), test.cfg)
		for _, want := range test.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: the error is %v; want %q in it", test.cfg.Program.Key, err, want)
			}
		}
		if code, text, err := post(server.URL + "/x"); code != 200 {
			t.Errorf("%s: what served does not serve on: %d %q, %v", test.cfg.Program.Key, code, text, err)
		}
	}
}

// TestProgramFailing: without anything that serves, the pool fails, and serves
// once it can.
func TestProgramFailing(t *testing.T) {
	p, server := startPool(t, programConfig(t, "sulk"))
	waitUntil(t, "the pool fails", func() bool { return p.Status().State == "failing" })
	if f := p.Status().Failure; !strings.Contains(f, "exited with status 3") {
		t.Errorf("the failure is %q", f)
	}
	if code, text, err := post(server.URL + "/x"); code != 503 {
		t.Errorf("%d %q, %v; want 503", code, text, err)
	}
	if err := p.Reload(context.Background(), programConfig(t, "answer")); err != nil {
		t.Fatal(err)
	}
	if code, text, err := post(server.URL + "/x"); code != 200 {
		t.Errorf("%d %q, %v; want 200", code, text, err)
	}
}

// TestProgramAndPython: a reload from one to the other, and back, loses
// nothing, whatever waits.
func TestProgramAndPython(t *testing.T) {
	program, python := programConfig(t, "answer"), testConfig(t, "basic:application")
	p, server := startPool(t, python)
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for ctx.Err() == nil {
				if code, text, err := post(server.URL + "/hello"); err != nil || code != 200 {
					t.Errorf("POST: %d %q, %v", code, text, err)
					return
				}
			}
		})
	}
	for _, cfg := range []Config{program, python, program, python} {
		if err := p.Reload(context.Background(), cfg); err != nil {
			t.Error(err)
		}
	}
	cancel()
	group.Wait()
}

// TestProgramHead: an answer without a body.
func TestProgramHead(t *testing.T) {
	p, _ := startPool(t, programConfig(t, "answer"))
	for range 3 {
		w := httptest.NewRecorder()
		p.Handler("").ServeHTTP(w, httptest.NewRequest("HEAD", "/x", nil))
		if w.Code != 200 || w.Body.Len() != 0 {
			t.Errorf("HEAD: %d %q", w.Code, w.Body)
		}
	}
}

// waitUntil polls.
func waitUntil(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20s: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
