//go:build unix

package listen

import (
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// inBacklog is n clients that wait in the backlog of l, having sent a byte.
func inBacklog(t *testing.T, l *Listener, n int) []net.Conn {
	t.Helper()
	var all []net.Conn
	for range n {
		c, err := net.Dial(l.Addr().Network(), l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprint(c, "a")
		all = append(all, c)
	}
	return all
}

// echo serves until l ends: it sends each client its byte back.
func echo(l net.Listener) error {
	var clients sync.WaitGroup
	defer clients.Wait()
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		clients.Go(func() {
			defer c.Close()
			_, _ = io.CopyN(c, c, 1)
		})
	}
}

// TestCloseServesBacklog: who is connected when Close is called is answered,
// whether or not Accept was called by then, and after a Detach.
func TestCloseServesBacklog(t *testing.T) {
	const clients = 100
	for _, address := range []string{"127.0.0.1:0", "unix:" + filepath.Join(t.TempDir(), "s.sock")} {
		for round := range 20 {
			var open, fresh, accepted atomic.Int64
			count := func(n, f int) {
				open.Add(int64(n))
				fresh.Add(int64(f))
				accepted.Add(int64(max(n, 0)))
			}
			l, err := Open(address, Options{Count: count, WriteTimeout: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			waiting := inBacklog(t, l, clients)
			if round%2 == 1 {
				l = l.Detach(count)
			}
			start, served := make(chan struct{}), make(chan error, 1)
			go func() { <-start; served <- echo(l) }()
			close(start)
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			if err := <-served; !errors.Is(err, net.ErrClosed) {
				t.Errorf("Accept: %v", err)
			}
			for _, c := range waiting {
				if b, err := io.ReadAll(c); err != nil || string(b) != "a" {
					t.Fatalf("%s, round %d: %q, %v", address, round, b, err)
				}
			}
			if n, f, a := open.Load(), fresh.Load(), accepted.Load(); n != 0 || f != 0 || a != clients {
				t.Errorf("%d connections counted, of which %d open and %d new", a, n, f)
			}
		}
	}
}

// TestCloseWakesAccept: with one in Accept and nobody waiting, Close is quick.
func TestCloseWakesAccept(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "unix:" + filepath.Join(t.TempDir(), "s.sock")} {
		l := open(t, address, Options{})
		c := inBacklog(t, l, 1)[0]
		served := make(chan error, 1)
		go func() { served <- echo(l) }()
		if _, err := io.ReadAll(c); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept: %v", err)
		}
	}
}

// TestCloseUnserved: Close ends, and the connections with it, where nobody
// accepts.
func TestCloseUnserved(t *testing.T) {
	l := open(t, "127.0.0.1:0", Options{})
	waiting := inBacklog(t, l, 3)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	for _, c := range waiting {
		if _, err := io.ReadAll(c); errors.Is(err, syscall.ETIMEDOUT) || isTimeout(err) {
			t.Errorf("a client is left waiting: %v", err)
		}
	}
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// TestCloseLeavesInherited: who waits at a shared socket waits for the others.
func TestCloseLeavesInherited(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "unix:" + filepath.Join(t.TempDir(), "s.sock")} {
		first := open(t, address, Options{})
		ours := open(t, fmt.Sprintf("fd:%d", descriptor(t, first.inner.(syscall.Conn))), Options{})
		waiting := inBacklog(t, first, 10)
		if err := ours.Close(); err != nil {
			t.Error(err)
		}
		if c, err := ours.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept: %v, %v", c, err)
		}
		waiting = append(waiting, inBacklog(t, first, 1)...) // it still takes new ones
		served := make(chan error, 1)
		go func() { served <- echo(first) }()
		for _, c := range waiting {
			if b, err := io.ReadAll(c); err != nil || string(b) != "a" {
				t.Errorf("%q, %v", b, err)
			}
		}
		first.Close()
		<-served
	}
}
