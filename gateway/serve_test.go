package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipeListener gives connections that are pipes, so that time can be made up.
type pipeListener struct {
	conns chan net.Conn
	errs  chan error
	once  sync.Once
	done  chan struct{}
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), errs: make(chan error), done: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case err := <-l.errs:
		return nil, err
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	err := net.ErrClosed
	l.once.Do(func() { close(l.done); err = nil })
	return err
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (l *pipeListener) dial() net.Conn {
	near, far := net.Pipe()
	l.conns <- far
	return near
}

// letters answers each letter by itself, one request after the other, like a
// protocol with kept connections. "!" runs until release is closed.
func letters(release chan struct{}) func(*Conn) {
	return func(c *Conn) {
		b := make([]byte, 1)
		for {
			if _, err := c.Read(b); err != nil {
				return
			}
			if !c.Begin() {
				return
			}
			if b[0] == '!' {
				select {
				case <-release:
				case <-c.Context().Done():
					return
				}
			}
			_, err := c.Write(b)
			if !c.End() || err != nil {
				return
			}
		}
	}
}

// ask sends a letter and reads the answer; "" when the connection is closed.
func ask(c net.Conn, letter string) string {
	if _, err := io.WriteString(c, letter); err != nil {
		return ""
	}
	b := make([]byte, 1)
	n, _ := c.Read(b)
	return string(b[:n])
}

// serving is a Conns under test.
type serving struct {
	Conns
	l       *pipeListener
	release chan struct{}
	ended   chan error // Serve's
}

func startServing() *serving {
	s := &serving{l: newPipeListener(), release: make(chan struct{}), ended: make(chan error, 1)}
	go func() { s.ended <- s.Serve(s.l, slog.New(slog.DiscardHandler), letters(s.release)) }()
	return s
}

func TestShutdownIdleConnectionsLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServing()
		idle, late := s.l.dial(), s.l.dial()
		if ask(idle, "a") != "a" || ask(late, "b") != "b" || s.Len() != 2 {
			t.Fatal("it does not serve")
		}
		synctest.Wait() // their requests are over
		start := time.Now()
		ended := make(chan error, 1)
		go func() { ended <- s.Shutdown(context.Background()) }()
		synctest.Wait()
		if err := <-s.ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve gives %v", err)
		}
		time.Sleep(Linger / 2)
		if got := ask(late, "c"); got != "c" {
			t.Errorf("a request that was on its way gets %q", got)
		}
		if got := ask(late, "d"); got != "" {
			t.Errorf("a request after the connection's last gets %q", got)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != Linger {
			t.Errorf("it took %v, want %v", took, Linger)
		}
		if got := ask(idle, "e"); got != "" || s.Len() != 0 {
			t.Errorf("after the end a request gets %q; %d connections are left", got, s.Len())
		}
	})
}

func TestShutdownWaitsForWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServing()
		busy := s.l.dial()
		io.WriteString(busy, "!")
		synctest.Wait()
		ended := make(chan error, 1)
		go func() { ended <- s.Shutdown(context.Background()) }()
		time.Sleep(100 * Linger)
		synctest.Wait()
		select {
		case err := <-ended:
			t.Fatalf("Shutdown does not wait: %v", err)
		default:
		}
		close(s.release)
		b := make([]byte, 1)
		if _, err := io.ReadFull(busy, b); err != nil || b[0] != '!' {
			t.Errorf("the request that ran gets %q, %v", b, err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if _, err := busy.Read(b); !errors.Is(err, io.EOF) {
			t.Errorf("the connection is not closed: %v", err)
		}
	})
}

func TestShutdownOutOfPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServing()
		busy := s.l.dial()
		io.WriteString(busy, "!")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		start := time.Now()
		if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown gives %v", err)
		}
		if took := time.Since(start); took != time.Minute {
			t.Errorf("it took %v", took)
		}
		if _, err := busy.Read(make([]byte, 1)); err == nil {
			t.Error("the connection is not closed")
		}
		synctest.Wait() // the request that ran ends by itself
		if s.Len() != 0 {
			t.Errorf("%d connections are left", s.Len())
		}
	})
}

func TestCloseCutsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServing()
		busy, idle := s.l.dial(), s.l.dial()
		io.WriteString(busy, "!")
		if ask(idle, "a") != "a" {
			t.Fatal("it does not serve")
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		for _, c := range []net.Conn{busy, idle} {
			if _, err := c.Read(make([]byte, 1)); err == nil {
				t.Error("a connection is open")
			}
		}
		if err := <-s.ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve gives %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("a second Close gives %v", err)
		}
		if err := s.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown after Close gives %v", err)
		}
		l := newPipeListener()
		if err := s.Serve(l, slog.New(slog.DiscardHandler), letters(nil)); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve after Close gives %v", err)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Error("its listener is open")
		}
		near, far := net.Pipe()
		s.ServeConn(far, letters(nil))
		if _, err := near.Read(make([]byte, 1)); err == nil {
			t.Error("a connection after Close is served")
		}
	})
}

// A server that is out of descriptors waits, longer each time, and goes on.
func TestServeAcceptErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		var s Conns
		var log testLog
		ended := make(chan error, 1)
		go func() { ended <- s.Serve(l, log.logger(), letters(nil)) }()
		start := time.Now()
		for range 10 {
			l.errs <- temporary{}
		}
		c := l.dial()
		// 5, 10, 20, … 640 ms, then 1 s, of which the last two have been waited for
		if took := time.Since(start); took != (5+10+20+40+80+160+320+640+1000+1000)*time.Millisecond {
			t.Errorf("it waited for %v", took)
		}
		if ask(c, "a") != "a" {
			t.Error("it does not go on")
		}
		if n := strings.Count(log.String(), "cannot accept"); n != 10 {
			t.Errorf("%d lines in the log, want 10", n)
		}
		start = time.Now()
		l.errs <- temporary{}
		l.dial().Close()
		if took := time.Since(start); took != 5*time.Millisecond {
			t.Errorf("after a connection it waited for %v", took)
		}
		fatal := errors.New("the listener broke")
		l.errs <- fatal
		if err := <-ended; !errors.Is(err, fatal) {
			t.Errorf("Serve gives %v", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
	})
}

type temporary struct{}

func (temporary) Error() string   { return "too many open files" }
func (temporary) Temporary() bool { return true }

func TestConnDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Conns
		near, far := net.Pipe()
		var conn *Conn
		ready, leave := make(chan struct{}), make(chan struct{})
		s.ServeConn(far, func(c *Conn) {
			conn = c
			close(ready)
			<-leave
		})
		<-ready
		if conn.Draining() || !conn.Begin() || !conn.Begin() || !conn.End() {
			t.Error("a connection at work drains")
		}
		ended := make(chan error, 1)
		go func() { ended <- s.Shutdown(context.Background()) }()
		synctest.Wait()
		if !conn.Draining() || !conn.Begin() || !conn.End() { // the other one runs
			t.Error("a connection that drains ends before its last request")
		}
		if conn.End() {
			t.Error("it is kept after its last request")
		}
		time.Sleep(Linger)
		synctest.Wait()
		if conn.Begin() {
			t.Error("a request begins on a connection that is closed")
		}
		if _, err := near.Read(make([]byte, 1)); err == nil {
			t.Error("an idle connection stays open")
		}
		select {
		case <-conn.Context().Done():
			t.Error("the context ends before the connection's handler")
		default:
		}
		close(leave)
		<-conn.Context().Done()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
