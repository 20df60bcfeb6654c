package listen

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// answer says x to whoever connects, until l ends.
func answer(t *testing.T, l net.Listener) (done chan struct{}) {
	done = make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					t.Errorf("Accept: %v", err)
				}
				return
			}
			fmt.Fprint(c, "x")
			c.Close()
		}
	}()
	return done
}

// TestDetach: while clients connect, a socket goes through many hands, and
// every client is answered.
func TestDetach(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "unix:" + filepath.Join(t.TempDir(), "s.sock")} {
		var open, fresh atomic.Int64
		count := func(n, f int) { open.Add(int64(n)); fresh.Add(int64(f)) }
		l, err := Open(address, Options{Count: count})
		if err != nil {
			t.Fatal(err)
		}
		at := l.Addr()
		done := answer(t, l)
		stop := make(chan struct{})
		var clients sync.WaitGroup
		for range 2 {
			clients.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					c, err := net.Dial(at.Network(), at.String())
					if err != nil {
						t.Error(err)
						return
					}
					if b, err := io.ReadAll(c); err != nil || string(b) != "x" {
						t.Errorf("%q, %v", b, err)
					}
					c.Close()
				}
			})
		}
		for range 200 {
			next := l.Detach(count)
			<-done
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Accept of a detached listener: %v", err)
			}
			done, l = answer(t, next), next
		}
		close(stop)
		clients.Wait()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		<-done
		if n, f := open.Load(), fresh.Load(); n != 0 || f != 0 {
			t.Errorf("%d connections are said to be open, and %d new", n, f)
		}
		if path := l.path; path != "" {
			if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("after the last one's Close: %v", err)
			}
		}
	}
}

// TestDetachAtRest: without any client the one that accepts is told as well.
func TestDetachAtRest(t *testing.T) {
	l := open(t, "127.0.0.1:0", Options{})
	for range 50 { // most of them find it waiting
		done := answer(t, l)
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(c); err != nil {
			t.Error(err)
		}
		c.Close()
		next := l.Detach(nil)
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Fatal("Accept goes on")
		}
		l = next
	}
	l.Close()
}

func TestCount(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "unix:" + filepath.Join(t.TempDir(), "s.sock")} {
		var steps []string
		l := open(t, address, Options{Count: func(conns, fresh int) { steps = append(steps, fmt.Sprint(conns, fresh)) }})
		for text, want := range map[string]string{"ab": "1 1, 0 -1, -1 0", "": "1 1, -1 -1"} {
			steps = nil
			c, err := net.Dial(l.Addr().Network(), l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(c, text)
			c.Close()
			s, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			for range 3 { // a byte a time, then the end
				_, _ = s.Read(make([]byte, 1))
			}
			s.Close()
			s.Close()
			if got := strings.Join(steps, ", "); got != want {
				t.Errorf("%q: counted %s, want %s", text, got, want)
			}
		}
	}
}

func TestSetMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	l := open(t, "unix:"+path, Options{Mode: 0o600})
	for given, want := range map[fs.FileMode]fs.FileMode{0o660: 0o660, 0: 0o666} {
		if err := l.SetMode(given); err != nil {
			t.Error(err)
		}
		if fi, err := os.Lstat(path); err != nil || fi.Mode().Perm() != want {
			t.Errorf("mode %v, %v; want %v", fi.Mode(), err, want)
		}
	}
	if err := open(t, "127.0.0.1:0", Options{}).SetMode(0o600); err != nil {
		t.Error(err)
	}
}
