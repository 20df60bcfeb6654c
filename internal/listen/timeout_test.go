package listen

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// counted counts how often its write deadline moves.
type counted struct {
	net.Conn
	moves int
}

func (c *counted) SetWriteDeadline(t time.Time) error {
	c.moves++
	return c.Conn.SetWriteDeadline(t)
}

func newGuard(timeout time.Duration) *guard {
	limit := new(atomic.Int64)
	limit.Store(int64(timeout))
	return &guard{limit: limit}
}

func TestSlowClientIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		defer client.Close()
		g := newGuard(time.Minute)
		want := bytes.Repeat([]byte("0123456789"), 100)
		got := make(chan []byte)
		go func() {
			var all []byte
			buf := make([]byte, 7)
			for {
				time.Sleep(59 * time.Second) // of the bubble's clock
				n, err := client.Read(buf)
				all = append(all, buf[:n]...)
				if err != nil {
					got <- all
					return
				}
			}
		}()
		if n, err := g.write(server, want); err != nil || n != len(want) {
			t.Errorf("write: %d, %v; want %d", n, err, len(want))
		}
		server.Close()
		if all := <-got; !bytes.Equal(all, want) {
			t.Errorf("the client got %d bytes, want %d", len(all), len(want))
		}
	})
}

func TestStalledClientIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, before := range []time.Duration{0, 20 * time.Second, 31 * time.Second, time.Hour} {
			server, client := net.Pipe()
			g := newGuard(time.Minute)
			go client.Read(make([]byte, 1))
			if _, err := g.write(server, []byte("x")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(before)
			start := time.Now()
			go client.Read(make([]byte, 4)) // takes 4 bytes and then no more
			n, err := g.write(server, []byte("abcdefgh"))
			took := time.Since(start)
			if n != 4 || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("after %v: wrote %d, %v; want 4 and a time-out", before, n, err)
			}
			if took < time.Minute || took > 2*time.Minute {
				t.Errorf("after %v: cut after %v, want between one and two minutes", before, took)
			}
			client.Close()
			server.Close()
		}
	})
}

func TestDeadlineMovesSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		go io.Copy(io.Discard, client)
		c := &counted{Conn: server}
		g := newGuard(time.Minute)
		for range 1000 {
			if _, err := g.write(c, []byte("response")); err != nil {
				t.Fatal(err)
			}
			if err := g.set(c, time.Time{}); err != nil { // as net/http does
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if c.moves != 1 {
			t.Errorf("the deadline moved %d times in 10 s, want once", c.moves)
		}
		time.Sleep(10 * time.Minute) // idle, far past the deadline
		if _, err := g.write(c, []byte("response")); err != nil {
			t.Errorf("after idling: %v", err)
		}
		server.Close()
	})
}

func TestHandlersOwnDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		g := newGuard(time.Minute)
		if err := g.set(server, time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := g.write(server, []byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("its own deadline of 1s: %v after %v", err, time.Since(start))
		}
		if err := g.set(server, time.Time{}); err != nil {
			t.Fatal(err)
		}
		start = time.Now()
		if _, err := g.write(server, []byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("given back: %v after %v, want a time-out after a minute", err, time.Since(start))
		}
		client.Close()
	})
}

func TestNoTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		g := newGuard(0)
		go func() {
			time.Sleep(1000 * time.Hour)
			client.Read(make([]byte, 1))
		}()
		if _, err := g.write(server, []byte("x")); err != nil {
			t.Error(err)
		}
	})
}

// spy is a file that counts what is read from it other than by sendfile.
type spy struct {
	*os.File
	read atomic.Int64
}

func (s *spy) Read(b []byte) (int, error) {
	n, err := s.File.Read(b)
	s.read.Add(int64(n))
	return n, err
}

func (s *spy) WriteTo(w io.Writer) (int64, error) { panic("not used by io.CopyN") }

func randomFile(t *testing.T, size int) (path string, content []byte) {
	t.Helper()
	content = make([]byte, size)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range content {
		content[i] = byte(r.Uint32())
	}
	path = filepath.Join(t.TempDir(), "big.bin")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, content
}

func open(t *testing.T, address string, o Options) *Listener {
	t.Helper()
	l, err := Open(address, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// pair is a connection of l and its client, with small buffers, so that a
// client that does not read is soon felt.
func pair(t *testing.T, l *Listener) (server net.Conn, client net.Conn) {
	t.Helper()
	client, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	if tcp, ok := client.(*net.TCPConn); ok {
		tcp.SetReadBuffer(16 << 10)
		server.(*tcpConn).SetWriteBuffer(16 << 10)
	}
	return server, client
}

// TestSlowDownload sends a file to a client that takes several time-outs for
// it, reading a little at a time, from each kind of source.
func TestSlowDownload(t *testing.T) {
	const timeout, size = 400 * time.Millisecond, 3 << 20
	path, content := randomFile(t, size)
	for name, source := range map[string]func(*spy) io.Reader{
		"file":          func(f *spy) io.Reader { return f },
		"limited file":  func(f *spy) io.Reader { return io.LimitReader(f, size-1) },
		"limit too big": func(f *spy) io.Reader { return io.LimitReader(f, size+5) },
		"reader":        func(f *spy) io.Reader { return struct{ io.Reader }{f} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := open(t, "127.0.0.1:0", Options{WriteTimeout: timeout})
			server, client := pair(t, l)
			file, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			f := &spy{File: file}
			src := source(f)

			type result struct {
				body []byte
				took time.Duration
			}
			done := make(chan result, 1)
			go func() {
				start := time.Now()
				tick := time.NewTicker(20 * time.Millisecond)
				defer tick.Stop()
				var body []byte
				buf := make([]byte, 40<<10)
				for {
					n, err := io.ReadFull(client, buf)
					body = append(body, buf[:n]...)
					if err != nil {
						done <- result{body, time.Since(start)}
						return
					}
					<-tick.C
				}
			}()
			n, err := server.(io.ReaderFrom).ReadFrom(src)
			server.Close()
			r := <-done
			want := content
			if name == "limited file" {
				want = content[:size-1]
			}
			if err != nil || n != int64(len(want)) || !bytes.Equal(r.body, want) {
				t.Errorf("sent %d, %v; the client got %d, want %d", n, err, len(r.body), len(want))
			}
			if r.took < 2*timeout {
				t.Errorf("took %v: too fast to show anything", r.took)
			}
			if bySendfile := f.read.Load() == 0; bySendfile != (name != "reader") {
				t.Errorf("%d bytes passed through this process", f.read.Load())
			}
			if limited, ok := src.(*io.LimitedReader); ok && limited.N != map[string]int64{"limited file": 0, "limit too big": 5}[name] {
				t.Errorf("%d bytes left in the LimitedReader", limited.N)
			}
		})
	}
}

func TestStalledDownload(t *testing.T) {
	const timeout = 100 * time.Millisecond
	path, _ := randomFile(t, 8<<20)
	for _, address := range []string{"127.0.0.1:0", "unix:" + filepath.Join(t.TempDir(), "s")} {
		l := open(t, address, Options{WriteTimeout: timeout})
		server, _ := pair(t, l)
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		start := time.Now()
		n, err := io.Copy(server, f)
		if took := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || took < timeout {
			t.Errorf("%s: sent %d, %v after %v; want a time-out after %v", address, n, err, took, timeout)
		}
	}
}

// TestSendfileThroughNetHTTP proves that net/http finds the connection's
// ReadFrom: of a file of 4 MiB no more than the sniffed start is read here.
func TestSendfileThroughNetHTTP(t *testing.T) {
	path, content := randomFile(t, 4<<20)
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	f := &spy{File: file}
	l := open(t, "127.0.0.1:0", Options{WriteTimeout: 10 * time.Second})
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "big.bin", time.Time{}, f)
	})}
	go srv.Serve(l)
	defer srv.Close()
	res, err := http.Get("http://" + l.Addr().String() + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || !bytes.Equal(body, content) {
		t.Errorf("got %d bytes, %v; want %d", len(body), err, len(content))
	}
	if n := f.read.Load(); n > 512 {
		t.Errorf("%d bytes passed through this process", n)
	}
}

func TestCloseWriteIsVisible(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "unix:" + filepath.Join(t.TempDir(), "s")} {
		server, client := pair(t, open(t, address, Options{}))
		half, ok := server.(interface{ CloseWrite() error })
		if !ok {
			t.Fatalf("%s: net/http could not linger: no CloseWrite", address)
		}
		if _, err := io.Copy(server, strings.NewReader("bye")); err != nil {
			t.Fatal(err)
		}
		if err := half.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(client); string(got) != "bye" || err != nil {
			t.Errorf("%s: %q, %v", address, got, err)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	server, client := net.Pipe()
	go io.Copy(io.Discard, client)
	c := sink{server}
	g := newGuard(time.Minute)
	b.ReportAllocs()
	for b.Loop() {
		g.write(c, nil)
		g.set(c, time.Time{})
	}
}

// sink takes everything at no cost.
type sink struct{ net.Conn }

func (sink) Write(b []byte) (int, error) { return len(b), nil }
