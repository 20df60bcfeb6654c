package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// oneshotLog is what a server has logged.
type oneshotLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *oneshotLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

// lines are the lines that hold text.
func (l *oneshotLog) lines(text string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.b.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

func (l *oneshotLog) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// frontEnd serves o and returns a function that connects to it.
func frontEnd(t testing.TB, network string, o *Oneshot) (dial func() net.Conn, conns *Conns, logged *oneshotLog) {
	t.Helper()
	at := "127.0.0.1:0"
	if network == "unix" {
		at = t.TempDir() + "/s"
	}
	l, err := net.Listen(network, at)
	if err != nil {
		t.Fatal(err)
	}
	logged = &oneshotLog{}
	o.Protocol, o.Parse, o.Log = "lines", parseLines, logged.logger()
	conns = &Conns{}
	served := make(chan error, 1)
	go func() { served <- conns.Serve(l, o.Log, o.Serve) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := conns.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		<-served
	})
	return func() net.Conn {
		c, err := net.Dial(network, l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		return c
	}, conns, logged
}

// lines is the head of a request with a body of some length.
func lines(method string, length int64) string {
	return fmt.Sprintf("REQUEST_METHOD=%s\nPATH_INFO=/\nCONTENT_LENGTH=%d\n\n", method, length)
}

func send(t testing.TB, c net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal(err)
	}
}

func receive(t testing.TB, c net.Conn) string {
	t.Helper()
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("after %.80q: %v", b, err)
	}
	return string(b)
}

// want waits for something that another goroutine brings about.
func want(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func TestOneshotAnswers(t *testing.T) {
	noLeaks(t)
	echo := func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(w, r.Body)
		if n, again := r.Body.Read(make([]byte, 1)); err != nil || n != 0 || again != io.EOF {
			t.Errorf("the body: %v; behind its end: %d %v", err, n, again)
		}
	}
	quiet := func(http.ResponseWriter, *http.Request) {}
	flush := func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "a")
		w.(http.Flusher).Flush()
		_, _ = io.WriteString(w, "b")
	}
	file := func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.Copy(w, strings.NewReader(strings.Repeat("x", 1<<20)))
	}
	tests := []struct {
		name    string
		handler http.HandlerFunc
		parts   []string
		body    string
	}{
		{"nothing to read", quiet, []string{lines("GET", 0)}, ""},
		{"a body in the same packet", echo, []string{lines("POST", 5) + "hello"}, "hello"},
		{"a body behind it", echo, []string{lines("POST", 5), "hel", "lo"}, "hello"},
		{"byte by byte", echo, strings.Split(lines("POST", 5)+"hello", ""), "hello"},
		{"a large head", echo, []string{"A=" + strings.Repeat("x", 100_000) + "\n" + lines("POST", 5) + "hello"}, "hello"},
		{"flushed", flush, []string{lines("GET", 0)}, "ab"},
		{"copied", file, []string{lines("GET", 0)}, strings.Repeat("x", 1<<20)},
		{"HEAD", flush, []string{lines("HEAD", 0)}, ""},
		{"a small body unread", quiet, []string{lines("POST", 5) + "hello"}, ""},
		{"a body partly unread", func(w http.ResponseWriter, r *http.Request) {
			b := make([]byte, 2)
			_, _ = io.ReadFull(r.Body, b)
			_, _ = w.Write(b)
		}, []string{lines("POST", 5) + "hel", "lo"}, "he"},
	}
	for _, network := range []string{"tcp", "unix"} {
		for _, test := range tests {
			t.Run(network+" "+test.name, func(t *testing.T) {
				dial, _, logged := frontEnd(t, network, &Oneshot{Handler: test.handler})
				c := dial()
				for _, part := range test.parts {
					send(t, c, part)
				}
				if got := receive(t, c); got != "Status: 200 OK\r\n\r\n"+test.body {
					t.Errorf("%.80q; want an empty head and %.80q", got, test.body)
				}
				if logged.lines("") != 0 {
					t.Errorf("logged: %s", &logged.b)
				}
			})
		}
	}
}

// TestOneshotForm is the other form of the head.
func TestOneshotForm(t *testing.T) {
	dial, _, _ := frontEnd(t, "tcp", &Oneshot{Form: FormHTTP, Handler: http.NotFoundHandler()})
	c := dial()
	send(t, c, lines("GET", 0))
	if got := receive(t, c); !strings.HasPrefix(got, "HTTP/1.1 404 Not Found\r\n") {
		t.Errorf("%q", got)
	}
}

// TestOneshotRefuses has what gets no answer, is logged once with the peer's
// address, and reaches no handler.
func TestOneshotRefuses(t *testing.T) {
	noLeaks(t)
	nobody := func(net.Addr) bool { return false }
	tests := []struct {
		name    string
		oneshot Oneshot
		send    string
		end     bool // of the peer's direction, then
		logged  string
	}{
		{"what cannot be parsed", Oneshot{}, "!", false, "an exclamation mark"},
		{"a part of a head", Oneshot{}, "A=b\n", true, "it ends within the parameters, after 4 bytes"},
		{"a slow head", Oneshot{HeadTimeout: time.Millisecond}, "A=b\n", false, "no whole request within 1ms"},
		{"nothing, for too long", Oneshot{HeadTimeout: time.Millisecond}, "", false, "no whole request within 1ms"},
		{"more than the body", Oneshot{}, lines("POST", 4) + "hello", false, "1 bytes follow the body's 4"},
		{"more than nothing", Oneshot{}, lines("GET", 0) + "x", false, "1 bytes follow the body's 0"},
		{"another's address", Oneshot{Allow: nobody}, "", false, "not among those that may connect"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := test.oneshot
			o.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler is called") })
			dial, _, logged := frontEnd(t, "tcp", &o)
			c := dial()
			send(t, c, test.send)
			if test.end {
				_ = c.(*net.TCPConn).CloseWrite()
			}
			if b, err := io.ReadAll(c); len(b) != 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%q, %v; want nothing", b, err)
			}
			want(t, "a line in the log", func() bool { return logged.lines("") > 0 })
			if logged.lines(test.logged) != 1 || logged.lines("") != 1 || logged.lines("peer="+c.LocalAddr().String()) != 1 {
				t.Errorf("logged %s; want one line with %q and the peer", &logged.b, test.logged)
			}
		})
	}
}

// TestOneshotPortCheck is somebody who looks whether the port is open.
func TestOneshotPortCheck(t *testing.T) {
	dial, _, logged := frontEnd(t, "tcp", &Oneshot{})
	c := dial()
	_ = c.(*net.TCPConn).CloseWrite()
	if got := receive(t, c); got != "" || logged.lines("") != 0 {
		t.Errorf("%q; logged: %s", got, &logged.b)
	}
}

func TestOneshotBadRequest(t *testing.T) {
	noLeaks(t)
	dial, _, logged := frontEnd(t, "tcp", &Oneshot{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler is called") })})
	c := dial()
	send(t, c, lines("PO ST", 5)+"hello")
	if got := receive(t, c); !strings.HasPrefix(got, "Status: 400 Bad Request\r\n") || logged.lines(c.LocalAddr().String()) != 1 {
		t.Errorf("%q; logged: %s", got, &logged.b)
	}
}

// TestOneshotUnread is a peer that reads only when it has written everything,
// as Apache does, to a handler that does not read: it must neither hang nor
// lose the response to a reset.
func TestOneshotUnread(t *testing.T) {
	noLeaks(t)
	const size = 10 << 20
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			dial, _, _ := frontEnd(t, network, &Oneshot{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				http.Error(w, "too large", http.StatusRequestEntityTooLarge)
			})})
			c := dial()
			send(t, c, lines("POST", size)+strings.Repeat("x", size))
			if got := receive(t, c); !strings.HasPrefix(got, "Status: 413 ") || !strings.HasSuffix(got, "too large\n") {
				t.Errorf("%q; want the whole 413", got)
			}
		})
	}
}

// abortable answers when its request's context is done.
func abortable(started chan<- struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if started != nil {
			close(started)
		}
		<-r.Context().Done()
		_, _ = io.WriteString(w, "too late")
	})
}

func TestOneshotAbort(t *testing.T) {
	noLeaks(t)
	tests := []struct {
		name string
		end  func(c net.Conn)
	}{
		{"the end", func(c net.Conn) { c.Close() }},
		{"a reset", reset},
		{"more bytes than announced", func(c net.Conn) { _, _ = io.WriteString(c, "x") }},
	}
	for _, body := range []string{"", "hello"} {
		for _, test := range tests {
			t.Run(test.name+body, func(t *testing.T) {
				started, done := make(chan struct{}), make(chan struct{})
				h := abortable(started)
				dial, _, _ := frontEnd(t, "tcp", &Oneshot{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					h.ServeHTTP(w, r)
					close(done)
				})})
				c := dial()
				send(t, c, lines("POST", int64(len(body)))+body)
				<-started
				test.end(c)
				select {
				case <-done:
				case <-time.After(10 * time.Second):
					t.Fatal("the context is not done")
				}
			})
		}
	}
}

// TestOneshotLateGarbage is logged, and its connection closed, while the
// handler runs.
func TestOneshotLateGarbage(t *testing.T) {
	noLeaks(t)
	started := make(chan struct{})
	dial, _, logged := frontEnd(t, "tcp", &Oneshot{Handler: abortable(started)})
	c := dial()
	send(t, c, lines("GET", 0))
	<-started
	send(t, c, "xx")
	if b, err := io.ReadAll(c); len(b) != 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%q, %v; want nothing", b, err)
	}
	if logged.lines("more bytes follow") != 1 || logged.lines("") != 1 {
		t.Errorf("logged: %s", &logged.b)
	}
}

// TestOneshotHalfClosed is a peer that ends its direction and waits: it is
// answered either way, and with HalfClose the handler sees nothing of it.
func TestOneshotHalfClosed(t *testing.T) {
	noLeaks(t)
	t.Run("an abort", func(t *testing.T) {
		dial, _, _ := frontEnd(t, "tcp", &Oneshot{Handler: abortable(nil)})
		c := dial()
		send(t, c, lines("GET", 0))
		_ = c.(*net.TCPConn).CloseWrite()
		if got := receive(t, c); got != "Status: 200 OK\r\n\r\ntoo late" {
			t.Errorf("%q", got)
		}
	})
	t.Run("none", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			near, far := duplex()
			done := false
			conns := &Conns{}
			o := &Oneshot{Protocol: "lines", Parse: parseLines, HalfClose: true, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				synctest.Wait() // the end has been seen
				done = r.Context().Err() != nil
			})}
			conns.ServeConn(far, o.Serve)
			send(t, near, lines("GET", 0))
			_ = near.CloseWrite()
			if got := receive(t, near); got != "Status: 200 OK\r\n\r\n" || done {
				t.Errorf("%q; the context is done: %v", got, done)
			}
		})
	})
}

// half is a connection in memory whose directions end one by one, for a
// synctest bubble.
type half struct {
	net.Conn          // in
	out      net.Conn // out
}

func (h half) Write(b []byte) (int, error) { return h.out.Write(b) }
func (h half) CloseWrite() error           { return h.out.Close() }
func (h half) Close() error                { h.out.Close(); return h.Conn.Close() }

func duplex() (near, far half) {
	a, b := net.Pipe()
	c, d := net.Pipe()
	return half{a, c}, half{d, b}
}

// TestOneshotLingers has peers that never send what they announced: a response
// is not kept back for them, and neither is the server.
func TestOneshotLingers(t *testing.T) {
	tests := []struct {
		name  string
		pause time.Duration // between two bytes
		after time.Duration
	}{
		{"silence", time.Hour, lingerIdle},
		{"a drip", time.Second, lingerTotal},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := duplex()
				conns := &Conns{}
				o := &Oneshot{Protocol: "lines", Parse: parseLines, Handler: http.NotFoundHandler()}
				conns.ServeConn(far, o.Serve)
				ended := make(chan struct{})
				defer close(ended)
				start := time.Now()
				send(t, near, lines("POST", 1<<40))
				if got := receive(t, near); !strings.HasPrefix(got, "Status: 404") || time.Since(start) != 0 {
					t.Errorf("after %v: %q; want the answer at once", time.Since(start), got)
				}
				go func() {
					for {
						select {
						case <-time.After(test.pause):
						case <-ended:
							return
						}
						if _, err := near.Write([]byte("x")); err != nil {
							return
						}
					}
				}()
				if err := conns.Shutdown(t.Context()); err != nil || time.Since(start) != test.after {
					t.Errorf("ended after %v, %v; want %v", time.Since(start), err, test.after)
				}
			})
		})
	}
}

// TestOneshotCutShort is a response that does not end as it should: over TCP
// that shows.
func TestOneshotCutShort(t *testing.T) {
	noLeaks(t)
	tests := []struct {
		name    string
		handler http.HandlerFunc
	}{
		{"a panic behind the head", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "a")
			w.(http.Flusher).Flush()
			panic("on purpose")
		}},
		{"ErrAbortHandler", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
		{"shorter than its length", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "2")
			_, _ = io.WriteString(w, "a")
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dial, _, _ := frontEnd(t, "tcp", &Oneshot{Handler: test.handler})
			c := dial()
			send(t, c, lines("GET", 0))
			if b, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%q %v; want a reset", b, err)
			}
		})
	}
}

func TestOneshotPanic(t *testing.T) {
	dial, _, logged := frontEnd(t, "tcp", &Oneshot{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("on purpose") })})
	c := dial()
	send(t, c, lines("GET", 0))
	if got := receive(t, c); !strings.HasPrefix(got, "Status: 500 ") || logged.lines("on purpose") != 1 {
		t.Errorf("%q; logged: %s", got, &logged.b)
	}
}

// TestOneshotBodyCut is a peer that goes away within the body.
func TestOneshotBodyCut(t *testing.T) {
	noLeaks(t)
	read := make(chan error, 2)
	dial, _, logged := frontEnd(t, "tcp", &Oneshot{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range 2 {
			_, err := io.Copy(io.Discard, r.Body)
			read <- err
		}
		<-r.Context().Done()
	})})
	c := dial()
	send(t, c, lines("POST", 5)+"hell")
	c.Close()
	for range 2 {
		if err := <-read; !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%v; want io.ErrUnexpectedEOF", err)
		}
	}
	want(t, "a line in the log", func() bool { return logged.lines("cut short") == 1 })
}

// TestOneshotDeadline is a handler's deadline for the body: it may read on
// behind it, and an abort is still seen when the whole body is there.
func TestOneshotDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := duplex()
		aborted := make(chan struct{})
		conns := &Conns{}
		o := &Oneshot{Protocol: "lines", Parse: parseLines, Log: slog.New(slog.DiscardHandler), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rc := http.NewResponseController(w)
			_ = rc.SetReadDeadline(time.Now().Add(time.Second))
			if _, err := io.Copy(io.Discard, r.Body); err == nil {
				t.Error("no error behind the deadline")
			}
			_ = rc.SetReadDeadline(time.Now().Add(time.Minute))
			if b, err := io.ReadAll(r.Body); string(b) != "hello" || err != nil {
				t.Errorf("%q %v; want the body", b, err)
			}
			_ = rc.SetReadDeadline(time.Now().Add(time.Second))
			<-r.Context().Done()
			close(aborted)
		})}
		conns.ServeConn(far, o.Serve)
		send(t, near, lines("POST", 5))
		time.Sleep(2 * time.Second)
		send(t, near, "hello")
		time.Sleep(time.Hour)
		select {
		case <-aborted:
			t.Error("a deadline was taken for an abort")
		default:
		}
		near.Close()
		<-aborted
		_ = conns.Shutdown(t.Context())
	})
}

// TestOneshotSlowBody is a body that comes later than a head may.
func TestOneshotSlowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := duplex()
		conns := &Conns{}
		o := &Oneshot{Protocol: "lines", Parse: parseLines, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			_, _ = w.Write(b)
		})}
		conns.ServeConn(far, o.Serve)
		send(t, near, lines("POST", 5))
		time.Sleep(2 * DefaultHeadTimeout)
		send(t, near, "hello")
		if got := receive(t, near); !strings.HasSuffix(got, "hello") {
			t.Errorf("%q", got)
		}
		near.Close()
		_ = conns.Shutdown(t.Context())
	})
}

// TestOneshotLeftBehind is a handler that leaves goroutines with its body and
// its writer: neither reaches what comes after.
func TestOneshotLeftBehind(t *testing.T) {
	noLeaks(t)
	read, write := make(chan error, 1), make(chan error, 1)
	returned := make(chan struct{})
	dial, _, _ := frontEnd(t, "tcp", &Oneshot{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reading := make(chan struct{})
		go func() {
			close(reading)
			_, err := io.Copy(io.Discard, r.Body)
			read <- err
		}()
		<-reading
		go func() {
			<-returned
			_, err := io.WriteString(w, "behind the end")
			write <- err
			_, err = r.Body.Read(make([]byte, 1))
			read <- err
		}()
	})})
	c := dial()
	send(t, c, lines("POST", 5)+"he")
	if got := receive(t, c); got != "Status: 200 OK\r\n\r\n" {
		t.Errorf("%q", got)
	}
	c.Close()
	if err := <-read; err == nil {
		t.Error("a body that did not come has ended as if it were whole")
	}
	close(returned)
	if err := <-write; err == nil {
		t.Error("a Write behind the handler's return has no error")
	}
	if err := <-read; !errors.Is(err, http.ErrBodyReadAfterClose) {
		t.Errorf("a Read behind the handler's return: %v", err)
	}
}

func TestOneshotShutdown(t *testing.T) {
	noLeaks(t)
	started, end := make(chan struct{}), make(chan struct{})
	dial, conns, _ := frontEnd(t, "tcp", &Oneshot{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(started)
		<-end
		_, _ = io.WriteString(w, "to the end")
	})})
	c := dial()
	send(t, c, lines("GET", 0))
	<-started
	shut := make(chan error, 1)
	go func() { shut <- conns.Shutdown(t.Context()) }()
	want(t, "no new connection", func() bool {
		late, err := net.Dial("tcp", c.RemoteAddr().String())
		if err == nil {
			late.Close()
		}
		return err != nil
	})
	close(end)
	if got := receive(t, c); !strings.HasSuffix(got, "to the end") {
		t.Errorf("%q; a request that ran was not let end", got)
	}
	if err := <-shut; err != nil {
		t.Error(err)
	}
}

func TestOneshotAllow(t *testing.T) {
	loopback := func(a net.Addr) bool {
		ap, err := netip.ParseAddrPort(a.String())
		return err == nil && ap.Addr().IsLoopback()
	}
	dial, _, _ := frontEnd(t, "tcp", &Oneshot{Allow: loopback, Handler: http.NotFoundHandler()})
	c := dial()
	send(t, c, lines("GET", 0))
	if got := receive(t, c); !strings.HasPrefix(got, "Status: 404") {
		t.Errorf("%q", got)
	}
}
