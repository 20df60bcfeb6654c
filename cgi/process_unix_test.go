//go:build unix

package cgi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"millrace/gateway"
)

// script is a Host of a shell script.
func script(t testing.TB, text string) *Host {
	t.Helper()
	name := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return closed(t, &Host{Path: "/bin/sh", Args: []string{name}})
}

// lifeline is a pipe that every process that a host starts, and what those
// start, holds open as its descriptor 3.
type lifeline struct{ r, w *os.File }

func newLifeline(t testing.TB, h *Host) *lifeline {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	h.Prepare = func(cmd *exec.Cmd) error {
		cmd.ExtraFiles = []*os.File{w}
		return nil
	}
	return &lifeline{r, w}
}

// await waits until none of those processes is left.
func (l *lifeline) await(t testing.TB) {
	t.Helper()
	l.w.Close()
	if err := l.r.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := l.r.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Fatalf("processes are left: %v", err)
	}
}

// pipes gives the program that a host starts the descriptors 3, to read from,
// and 4, to write to, and returns their other ends.
func pipes(t testing.TB, h *Host) (to, from *os.File) {
	t.Helper()
	r3, w3, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r4, w4, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	h.Prepare = func(cmd *exec.Cmd) error {
		cmd.ExtraFiles = []*os.File{r3, w4}
		return nil
	}
	t.Cleanup(func() {
		for _, f := range []*os.File{r3, w3, r4, w4} {
			f.Close()
		}
	})
	return w3, r4
}

// says reads what a program writes to descriptor 4, up to the length of want.
func says(t testing.TB, from *os.File, want string) {
	t.Helper()
	if err := from.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, len(want))
	if n, err := io.ReadFull(from, b); err != nil || string(b) != want {
		t.Fatalf("the program says %q, %v; want %q", b[:n], err, want)
	}
}

func TestHeads(t *testing.T) {
	for _, tt := range []struct {
		name, script string
		status       int
		body         string
	}{
		{"LF", `printf 'Content-Type: text/plain\n\nbody'`, 200, "body"},
		{"CRLF", `printf 'Status: 404 Not Found\r\nContent-Type: text/plain\r\n\r\nbody'`, 404, "body"},
		{"nph", `printf 'HTTP/1.1 201 Created\r\nServer: x\r\n\r\nbody'`, 201, "body"},
		{"redirect", `printf 'Location: http://example.org/\n\n'`, 302, ""},
		{"length", `printf 'Content-Length: 4\n\nbody'`, 200, "body"},
		{"more than the length", `printf 'Content-Length: 4\n\nbody and more'`, 200, "body"},
		{"no content", `printf 'Status: 204\n\nbody all the same'`, 204, ""},
		{"status not 0", `printf 'X-Test: a\n\nbody'; exit 3`, 200, "body"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp, err := script(t, tt.script).RoundTrip(context.Background(), get())
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			if resp.Status != tt.status || string(b) != tt.body || err != nil {
				t.Errorf("got %d %q %v, want %d %q", resp.Status, b, err, tt.status, tt.body)
			}
			if _, err := resp.Body.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("a second Read at the end gives %v", err)
			}
		})
	}
}

func TestBadResponses(t *testing.T) {
	for _, tt := range []struct{ name, script, says string }{
		{"nothing", `exit 0`, "exit status 0 without a response"},
		{"status", `echo 'no such table' >&2; exit 3`, `exit status 3 without a response; it said "no such table"`},
		{"signal", `printf 'A: b\n'; kill -9 $$`, "signal: killed within its head, after 5 bytes"},
		{"cut head", `printf 'Content-Type: text/plain\n'`, "within its head, after 25 bytes"},
		{"closed", `exec >&-; read x <&3`, "closed its output without a response"},
		{"no head", `echo 'Hello, world'; echo`, "without a colon"},
		{"endless head", `while printf 'A: b\n'; do :; done`, "more than 1000 bytes"},
		{"endless line", `while printf 'aaaaaaaaaaaaaaaaaaaaaaaaa'; do :; done`, "more than 1000 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := script(t, tt.script)
			h.MaxHead = 1000
			pipes(t, h)
			_, err := h.RoundTrip(context.Background(), get())
			if !errors.Is(err, gateway.ErrBadResponse) || !strings.Contains(fmt.Sprint(err), tt.says) {
				t.Errorf("got %v, want ErrBadResponse that says %q", err, tt.says)
			}
		})
	}
}

func TestCutResponses(t *testing.T) {
	for _, tt := range []struct {
		name, script string
		want         error
	}{
		{"signal", `printf 'A: b\n\nbody'; kill -9 $$`, gateway.ErrBadResponse},
		{"length", `printf 'Content-Length: 5\n\nbody'`, io.ErrUnexpectedEOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp, err := script(t, tt.script).RoundTrip(context.Background(), get())
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			if string(b) != "body" || !errors.Is(err, tt.want) {
				t.Errorf("got %q and %v, want all that came and %v", b, err, tt.want)
			}
		})
	}
}

func TestHEAD(t *testing.T) {
	h := script(t, `printf 'Content-Length: 4\n\nbody'`)
	resp, err := h.RoundTrip(context.Background(), &gateway.Request{Params: []gateway.Param{{Name: "REQUEST_METHOD", Value: "HEAD"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); len(b) != 0 || err != nil || resp.ContentLength != 4 {
		t.Errorf("got %q, %v and a length of %d, want nothing of 4", b, err, resp.ContentLength)
	}
}

// A program may answer without reading its input, or before.
func TestInputIsNotRead(t *testing.T) {
	const size = 10 << 20
	h := script(t, `printf 'A: b\n\nbody'`)
	if got := text(t, h, post(onlyReader{bytes.NewReader(make([]byte, size))}, size)); got != "body" {
		t.Errorf("without: got %q", got)
	}
	h = script(t, `printf 'A: b\n\nbody'; wc -c`)
	if got := strings.Join(strings.Fields(text(t, h, post(onlyReader{bytes.NewReader(make([]byte, size))}, size))), " "); got != fmt.Sprint("body", size) && got != fmt.Sprint("body ", size) {
		t.Errorf("before: got %q", got)
	}
	h = script(t, `exec <&-; printf 'A: b\n\nbody'`)
	if got := text(t, h, post(onlyReader{bytes.NewReader(make([]byte, size))}, size)); got != "body" {
		t.Errorf("closed: got %q", got)
	}
}

// A program that neither reads nor writes is ended, and what it has started
// with it, whatever they think of SIGTERM (CVE-2014-0231).
func TestStuck(t *testing.T) {
	const size = 10 << 20
	for _, tt := range []struct{ name, script string }{
		{"before the head", `sleep 1000`},
		{"in the head", `printf 'A: b\n'; sleep 1000`},
		{"head that drips", `while printf 'A: b\n'; do sleep 0.02; done`},
		{"in the body", `printf 'A: b\n\n'; sleep 1000`},
		{"deaf", `trap '' TERM; sleep 1000`},
		{"deaf child", `(trap '' TERM; sleep 1000) & sleep 1000`},
	} {
		for _, withBody := range []bool{false, true} {
			t.Run(fmt.Sprint(tt.name, withBody), func(t *testing.T) {
				t.Parallel()
				h := script(t, tt.script)
				h.Timeout = 200 * time.Millisecond
				h.Grace = 100 * time.Millisecond
				line := newLifeline(t, h)
				req := get()
				if withBody {
					req = post(onlyReader{bytes.NewReader(make([]byte, size))}, size)
				}
				resp, err := h.RoundTrip(context.Background(), req)
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				if !errors.Is(err, gateway.ErrTimeout) {
					t.Errorf("got %v, want ErrTimeout", err)
				}
				line.await(t)
			})
		}
	}
}

// slowBody gives its line when a program has written a byte to descriptor 4.
type slowBody struct {
	from *os.File
	rest io.Reader
}

func (b *slowBody) Read(p []byte) (int, error) {
	if b.from != nil {
		b.from.Read(make([]byte, 1))
		b.from = nil
	}
	return b.rest.Read(p)
}

// Time does not run while the request's body is awaited, nor while nobody
// reads the response. The barriers of both are three times as late as the
// program may be.
func TestTimeRunsForTheProgramAlone(t *testing.T) {
	h := script(t, `(sleep 0.3; printf x >&4) & read line
		(sleep 0.3; printf x >&4) & printf 'A: b\n\n%s' "$line"; head -c 200000 /dev/zero`)
	h.Timeout = 100 * time.Millisecond
	_, from := pipes(t, h)
	resp, err := h.RoundTrip(context.Background(), post(&slowBody{from, strings.NewReader("hello\n")}, 6))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	says(t, from, "x")
	if b, err := io.ReadAll(resp.Body); len(b) != 200005 || err != nil {
		t.Errorf("got %d bytes and %v", len(b), err)
	}
}

func TestMaxTime(t *testing.T) {
	h := script(t, `printf 'A: b\n\n'; while printf x; do sleep 0.01; done`)
	h.MaxTime = 200 * time.Millisecond
	line := newLifeline(t, h)
	resp, err := h.RoundTrip(context.Background(), get())
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(resp.Body); len(b) == 0 || !errors.Is(err, gateway.ErrTimeout) {
		t.Errorf("got %d bytes and %v, want some and ErrTimeout", len(b), err)
	}
	resp.Body.Close()
	line.await(t)
}

func TestGivenUp(t *testing.T) {
	t.Run("before the head", func(t *testing.T) {
		h := script(t, `printf x >&4; sleep 1000`)
		ctx, cancel := context.WithCancel(context.Background())
		_, from := pipes(t, h)
		go func() {
			from.Read(make([]byte, 1))
			cancel()
		}()
		if _, err := h.RoundTrip(ctx, get()); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	})
	t.Run("in the body", func(t *testing.T) {
		h := script(t, `printf 'A: b\n\nbody'; sleep 1000`)
		line := newLifeline(t, h)
		ctx, cancel := context.WithCancel(context.Background())
		resp, err := h.RoundTrip(ctx, get())
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b := make([]byte, 4)
		if _, err := io.ReadFull(resp.Body, b); err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err := resp.Body.Read(b); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
		line.await(t)
	})
	t.Run("by Close, while another reads", func(t *testing.T) {
		h := script(t, `printf 'A: b\n\nbody'; sleep 1000`)
		line := newLifeline(t, h)
		resp, err := h.RoundTrip(context.Background(), get())
		if err != nil {
			t.Fatal(err)
		}
		read := make(chan error)
		go func() {
			_, err := io.Copy(io.Discard, resp.Body)
			read <- err
		}()
		resp.Body.Close()
		if err := <-read; !errors.Is(err, http.ErrBodyReadAfterClose) {
			t.Errorf("got %v, want ErrBodyReadAfterClose", err)
		}
		line.await(t)
	})
}

// A program is asked to end before it is made to.
func TestSIGTERMComesFirst(t *testing.T) {
	h := script(t, `trap 'printf bye >&4; exit' TERM; printf 'A: b\n\n'; sleep 1000 & wait`)
	_, from := pipes(t, h)
	resp, err := h.RoundTrip(context.Background(), get())
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	says(t, from, "bye")
}

// A process that has the program's output open does not keep the response from
// ending when the program has; it is left alone.
func TestWhatOutlivesTheProgram(t *testing.T) {
	t.Parallel()
	h := script(t, `(read x <&3; printf done >&4) & printf 'A: b\n\nbody'`)
	to, from := pipes(t, h)
	if got := text(t, h, get()); got != "body" {
		t.Errorf("got %q", got)
	}
	if _, err := to.WriteString("go on\n"); err != nil {
		t.Fatal(err)
	}
	says(t, from, "done")
}

// A program may go on after its response, for Grace.
func TestProgramGoesOn(t *testing.T) {
	h := script(t, `printf 'A: b\n\nbody'; exec >&- 2>&-; read x <&3; printf done >&4`)
	to, from := pipes(t, h)
	if got := text(t, h, get()); got != "body" {
		t.Errorf("got %q", got)
	}
	to.WriteString("go on\n")
	says(t, from, "done")

	h = script(t, `printf 'A: b\n\nbody'; exec >&- 2>&-; sleep 1000`)
	h.Grace = 50 * time.Millisecond
	var log *journal
	h.Log, log = record(t)
	line := newLifeline(t, h)
	if got := text(t, h, get()); got != "body" {
		t.Errorf("got %q", got)
	}
	line.await(t)
	log.wait(t, "does not end after its response")
}

func TestLocalRedirectLetsTheProgramEnd(t *testing.T) {
	h := script(t, `printf 'Location: /there?a=b\n\n'; read x <&3; printf done >&4`)
	to, from := pipes(t, h)
	resp, err := h.RoundTrip(context.Background(), get())
	if err != nil {
		t.Fatal(err)
	}
	if resp.LocalRedirect != "/there?a=b" {
		t.Errorf("the redirect is to %q", resp.LocalRedirect)
	}
	resp.Body.Close()
	to.WriteString("go on\n")
	says(t, from, "done")
}

func TestStderr(t *testing.T) {
	t.Run("to the request's", func(t *testing.T) {
		h := script(t, `echo one >&2; printf 'A: b\n\nbody'; printf two >&2`)
		req := get()
		var b bytes.Buffer
		req.Stderr = &b
		if got := text(t, h, req); got != "body" {
			t.Errorf("got %q", got)
		}
		if b.String() != "one\ntwo" {
			t.Errorf("it said %q", b.String())
		}
	})
	t.Run("to the log", func(t *testing.T) {
		h := script(t, `printf 'one\r\n\n\033[31mtwo\n' >&2; printf 'A: b\n\nbody'; printf three >&2`)
		var log *journal
		h.Log, log = record(t)
		text(t, h, get(gateway.Param{Name: "REQUEST_URI", Value: "/uri"}))
		log.wait(t, "three")
		if n := strings.Count(log.String(), "\n"); n != 3 || !strings.Contains(log.String(), `\\x1b[31mtwo`) || !strings.Contains(log.String(), "uri=/uri") {
			t.Errorf("want three records without control characters:\n%s", log)
		}
	})
	t.Run("after the request", func(t *testing.T) {
		h := script(t, `printf 'A: b\n\nbody'; exec >&-; read x <&3; echo late >&2`)
		var log *journal
		h.Log, log = record(t)
		to, _ := pipes(t, h)
		req := get()
		var b bytes.Buffer
		req.Stderr = &b
		text(t, h, req)
		to.WriteString("go on\n")
		log.wait(t, "late")
		if b.Len() != 0 {
			t.Errorf("the request's Stderr was used after its end: %q", b.String())
		}
	})
	t.Run("a bad end", func(t *testing.T) {
		h := script(t, `printf 'A: b\n\nbody'; exit 7`)
		var log *journal
		h.Log, log = record(t)
		text(t, h, get())
		log.wait(t, `status="exit status 7"`)
	})
	t.Run("full", func(t *testing.T) { // more than a pipe holds
		h := script(t, `head -c 300000 /dev/zero | tr '\0' 'x' >&2; printf 'A: b\n\nbody'`)
		if got := text(t, h, get()); got != "body" {
			t.Errorf("got %q", got)
		}
	})
}

func TestMaxProcesses(t *testing.T) {
	h := script(t, `printf 'A: b\n\n'; read x <&3`)
	h.MaxProcesses = 2
	to, _ := pipes(t, h)
	var bodies []io.ReadCloser
	for range 2 {
		resp, err := h.RoundTrip(context.Background(), get())
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, resp.Body)
	}
	if _, err := h.RoundTrip(context.Background(), get()); !errors.Is(err, gateway.ErrOverloaded) {
		t.Errorf("got %v, want ErrOverloaded", err)
	}
	to.Close()
	for _, body := range bodies {
		body.Close()
	}
}

func TestClose(t *testing.T) {
	h := script(t, `printf 'A: b\n\n'; sleep 1000`)
	line := newLifeline(t, h)
	resp, err := h.RoundTrip(context.Background(), get())
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	line.await(t)
	if _, err := io.ReadAll(resp.Body); !errors.Is(err, errClosed) {
		t.Errorf("Read gives %v after Close", err)
	}
	resp.Body.Close()
	if _, err := h.RoundTrip(context.Background(), get()); !errors.Is(err, errClosed) {
		t.Errorf("RoundTrip gives %v after Close", err)
	}
}

func TestPrepare(t *testing.T) {
	h := script(t, `printf 'A: b\n\n'; pwd`)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	h.Prepare = func(cmd *exec.Cmd) error {
		if cmd.SysProcAttr == nil || !cmd.SysProcAttr.Setpgid {
			t.Error("SysProcAttr is not there to be changed")
		}
		cmd.Dir = dir
		return nil
	}
	if got := strings.TrimSpace(text(t, h, get())); got != dir {
		t.Errorf("the program runs in %q, want %q", got, dir)
	}
	want := errors.New("not now")
	h.Prepare = func(*exec.Cmd) error { return want }
	if _, err := h.RoundTrip(context.Background(), get()); !errors.Is(err, want) {
		t.Errorf("got %v, want Prepare's error", err)
	}
}

// Nothing is left of a hundred runs with every kind of end.
func TestNothingIsLeft(t *testing.T) {
	open := func() int {
		t.Helper()
		for _, dir := range []string{"/proc/self/fd", "/dev/fd"} {
			if names, err := os.ReadDir(dir); err == nil {
				return len(names)
			}
		}
		t.Fatal("cannot count descriptors")
		return 0
	}
	h := script(t, `case $QUERY_STRING in
		q=good) printf 'A: b\n\nbody';;
		q=bad) exit 1;;
		q=stuck) sleep 1000;;
		esac`)
	h.Timeout = 50 * time.Millisecond
	text(t, h, get(gateway.Param{Name: "QUERY_STRING", Value: "q=good"})) // whatever is opened once is open now
	before := open()
	for _, q := range []string{"q=good", "q=bad", "q=stuck"} {
		for i := range 10 {
			req := get(gateway.Param{Name: "QUERY_STRING", Value: q})
			if i%2 == 0 {
				req.Body, req.ContentLength = onlyReader{strings.NewReader("abc")}, 3
			}
			resp, err := h.RoundTrip(context.Background(), req)
			if (err == nil) != (q == "q=good") {
				t.Fatalf("%s: %v", q, err)
			}
			if err == nil {
				resp.Body.Close()
			}
		}
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if after := open(); after > before {
		t.Errorf("%d descriptors are open, %d were", after, before)
	}
	if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid != 0 && !errors.Is(err, syscall.ECHILD) {
		t.Errorf("a process was not reaped: %d, %v", pid, err)
	}
}

// noted is a Process that somebody else has started.
type noted struct {
	Process
	waited *int
}

func (n noted) Wait() Exit {
	*n.waited++
	return n.Process.Wait()
}

// Whoever has others start processes is asked to, and told of all that the
// program is to have.
func TestStartByAnother(t *testing.T) {
	h := program(t, "environ")
	started, waited := 0, 0
	h.Start = func(cmd *exec.Cmd) (Process, error) {
		started++
		if cmd.Stdout == nil || cmd.Stderr == nil || cmd.Path != h.Path {
			t.Errorf("it is to start %+v", cmd)
		}
		p, err := startChild(cmd)
		return noted{p, &waited}, err
	}
	if got := text(t, h, get()); !strings.Contains(got, "GATEWAY_INTERFACE=CGI/1.1") {
		t.Errorf("the response is %q", got)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if started != 1 || waited != 1 {
		t.Errorf("started %d times, waited for %d times; want once each", started, waited)
	}
	h = program(t, "environ")
	h.Start = func(*exec.Cmd) (Process, error) { return nil, os.ErrPermission }
	if _, err := h.RoundTrip(t.Context(), get()); !errors.Is(err, os.ErrPermission) || !errors.Is(err, gateway.ErrUnreachable) {
		t.Errorf("the error is %v", err)
	}
}
