package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// waitFor polls until what is true. For conditions that no channel tells.
func waitFor(t *testing.T, what func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !what(); {
		if time.Now().After(deadline) {
			t.Fatal("it did not come true within 10 s")
		}
		time.Sleep(time.Millisecond)
	}
}

// Whatever the bounds and the sizes of pieces, the bytes arrive in order, and
// the file stays within its bound.
func TestPipeCarriesEverything(t *testing.T) {
	body := pattern(1 << 20)
	for _, o := range []PipeOptions{
		{},
		{Memory: 1},
		{Memory: 1000},
		{Memory: 1, Disk: 1},
		{Memory: 100, Disk: 777},
		{Memory: 5000, Disk: 70_001},
		{Memory: 1000, Disk: 4 << 20},
		{Memory: 4 << 20, Disk: 4 << 20},
	} {
		for _, way := range []string{"Read", "WriteTo"} {
			t.Run(fmt.Sprintf("%d+%d/%s", o.Memory, o.Disk, way), func(t *testing.T) {
				t.Parallel()
				size := min(len(body), 40*max(o.Memory, 5000)+2*int(o.Disk))
				if o.Memory == 1 {
					size = 3000
				}
				s := newTestSpool(t, 1<<30)
				p := s.NewPipe(o)
				var wg sync.WaitGroup
				wg.Go(func() {
					rnd := rand.New(rand.NewPCG(1, 2))
					for rest := body[:size]; len(rest) > 0; {
						n := min(len(rest), rnd.IntN(1+rnd.IntN(9000)))
						if got, err := p.Write(rest[:n]); err != nil || got != n {
							t.Errorf("Write says %d, %v", got, err)
						}
						if used := s.Used(); used > o.Disk {
							t.Errorf("the file has %d bytes, allowed are %d", used, o.Disk)
						}
						rest = rest[n:]
					}
					p.CloseWrite(nil)
				})
				var got bytes.Buffer
				if way == "Read" {
					rnd := rand.New(rand.NewPCG(3, 4))
					for {
						piece := make([]byte, 1+rnd.IntN(9000))
						n, err := p.Read(piece)
						got.Write(piece[:n])
						if err == io.EOF {
							break
						} else if err != nil {
							t.Fatal(err)
						}
					}
				} else if n, err := p.WriteTo(&got); err != nil || n != int64(size) {
					t.Errorf("WriteTo says %d, %v", n, err)
				}
				wg.Wait()
				p.CloseRead()
				if !bytes.Equal(got.Bytes(), body[:size]) {
					t.Errorf("%d bytes arrived of %d, or others", got.Len(), size)
				}
			})
		}
	}
}

// A consumer that never quite catches up must not let the file grow.
func TestPipeEndlessStreamTakesBoundedSpace(t *testing.T) {
	s := newTestSpool(t, 1<<30)
	const disk = 100_000
	p := s.NewPipe(PipeOptions{Memory: 1000, Disk: disk})
	defer p.CloseRead()
	stream := pattern(50 * disk)
	if _, err := p.Write(stream[:2000]); err != nil { // now in the file, for good
		t.Fatal(err)
	}
	piece := make([]byte, 997)
	for w, r := 2000, 0; w+997 <= len(stream); w, r = w+997, r+997 {
		if _, err := p.Write(stream[w : w+997]); err != nil {
			t.Fatal(err)
		}
		for got := 0; got < 997; {
			n, err := p.Read(piece[got:])
			if err != nil {
				t.Fatal(err)
			}
			got += n
		}
		if !bytes.Equal(piece, stream[r:r+997]) {
			t.Fatalf("other bytes at %d", r)
		}
		if p.ring.file == nil {
			t.Fatal("the pipe left its file: the test tests nothing")
		}
	}
	info, err := p.ring.file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > disk || s.Used() > disk {
		t.Errorf("the file has %d bytes and %d are taken, allowed are %d", info.Size(), s.Used(), disk)
	}
}

func TestPipeWriteBlocksAtTheBound(t *testing.T) {
	for _, o := range []PipeOptions{{Memory: 1000}, {Memory: 1000, Disk: 5000}} {
		s := newTestSpool(t, 1<<20)
		synctest.Test(t, func(t *testing.T) {
			bound := o.Memory + int(o.Disk)
			p := s.NewPipe(o)
			defer p.CloseRead()
			body := pattern(bound + 1)
			if n, err := p.Write(body[:bound]); n != bound || err != nil {
				t.Fatalf("Write says %d, %v up to the bound", n, err)
			}
			if s.Used() != o.Disk {
				t.Errorf("%d bytes on disk, want %d", s.Used(), o.Disk)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				if _, err := p.Write(body[bound:]); err != nil {
					t.Error(err)
				}
				p.CloseWrite(nil)
			}()
			synctest.Wait()
			select {
			case <-done:
				t.Fatal("Write did not wait")
			default:
			}
			got, err := io.ReadAll(p)
			if err != nil || !bytes.Equal(got, body) {
				t.Errorf("%d bytes arrived, %v", len(got), err)
			}
			<-done
		})
	}
}

func TestPipeReadWaits(t *testing.T) {
	s := newTestSpool(t, 0)
	synctest.Test(t, func(t *testing.T) {
		p := s.NewPipe(PipeOptions{})
		defer p.CloseRead()
		got := make(chan string, 1)
		go func() {
			b := make([]byte, 10)
			n, err := p.Read(b)
			got <- fmt.Sprint(string(b[:n]), err)
		}()
		synctest.Wait()
		if len(got) != 0 {
			t.Fatal("Read did not wait")
		}
		p.Write([]byte("hello"))
		if g := <-got; g != "hello<nil>" {
			t.Errorf("got %s", g)
		}
	})
}

func TestPipeCaughtUpLeavesTheFile(t *testing.T) {
	s := newTestSpool(t, 1<<20)
	p := s.NewPipe(PipeOptions{Memory: 100, Disk: 10_000})
	defer p.CloseRead()
	body := pattern(5000)
	for range 3 {
		p.Write(body)
		if s.Used() != 4900 || p.ring.file == nil {
			t.Fatalf("%d bytes on disk, want 4900", s.Used())
		}
		got := make([]byte, 5000)
		if _, err := io.ReadFull(p, got); err != nil || !bytes.Equal(got, body) {
			t.Fatalf("other bytes, %v", err)
		}
		checkEmpty(t, s)
		p.Write(body[:100])
		checkEmpty(t, s) // in memory again
		io.ReadFull(p, got[:100])
	}
}

func TestPipeCloseWrite(t *testing.T) {
	cut := errors.New("the worker died")
	for _, size := range []int{0, 50, 5000} {
		s := newTestSpool(t, 1<<20)
		p := s.NewPipe(PipeOptions{Memory: 100, Disk: 10_000})
		p.Write(pattern(size))
		p.CloseWrite(cut)
		p.CloseWrite(nil) // the first counts
		if _, err := p.Write([]byte("x")); err != io.ErrClosedPipe {
			t.Errorf("Write after the end says %v", err)
		}
		var got bytes.Buffer
		n, err := p.CopyTo(&got, nil)
		if err != cut || n != int64(size) || !bytes.Equal(got.Bytes(), pattern(size)) {
			t.Errorf("got %d bytes, %v; want the producer's error after %d", n, err, size)
		}
		if _, err := p.Read(make([]byte, 1)); err != cut {
			t.Errorf("Read says %v, want the producer's error", err)
		}
		p.CloseRead()
	}
}

// An end that the producer calls io.EOF is not a complete body.
func TestPipeCloseWriteEOF(t *testing.T) {
	p := newTestSpool(t, 0).NewPipe(PipeOptions{})
	defer p.CloseRead()
	p.CloseWrite(io.EOF)
	if _, err := p.WriteTo(io.Discard); err != io.EOF {
		t.Errorf("got %v, want io.EOF", err)
	}
}

func TestPipeCloseRead(t *testing.T) {
	s := newTestSpool(t, 1<<20)
	synctest.Test(t, func(t *testing.T) {
		p := s.NewPipe(PipeOptions{Memory: 100, Disk: 1000})
		var n int
		var err error
		done := make(chan struct{})
		go func() {
			defer close(done)
			n, err = p.Write(pattern(5000))
		}()
		synctest.Wait()
		p.CloseRead()
		p.CloseRead()
		<-done
		if n != 1100 || err != io.ErrClosedPipe {
			t.Errorf("the Write that waited says %d, %v", n, err)
		}
		checkEmpty(t, s)
		if n, err := p.Write([]byte("x")); n != 0 || err != io.ErrClosedPipe {
			t.Errorf("a later Write says %d, %v", n, err)
		}
		if _, err := p.Read(make([]byte, 1)); err != io.ErrClosedPipe {
			t.Errorf("Read says %v", err)
		}
	})
}

func TestPipeCloseReadFromElsewhere(t *testing.T) {
	s := newTestSpool(t, 1<<20)
	synctest.Test(t, func(t *testing.T) {
		p := s.NewPipe(PipeOptions{})
		done := make(chan error)
		go func() { _, err := p.CopyTo(io.Discard, nil); done <- err }()
		synctest.Wait()
		p.CloseRead()
		if err := <-done; err != io.ErrClosedPipe {
			t.Errorf("CopyTo says %v", err)
		}
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// Memory that a slow writer still uses is not given to others by CloseRead.
func TestPipeCloseReadWhileLent(t *testing.T) {
	for _, memory := range []int{10_000, 1} { // from memory, from the file
		s := newTestSpool(t, 1<<20)
		p := s.NewPipe(PipeOptions{Memory: memory, Disk: 10_000})
		body := pattern(5000)
		p.Write(body)
		off := 0
		_, err := p.CopyTo(writerFunc(func(b []byte) (int, error) {
			if len(b) == 1 {
				off++
				return 1, nil
			}
			p.CloseRead()
			for range 10 {
				other := s.NewBuffer(1 << 20)
				other.Write(make([]byte, 5000)) // as large as the pipe's
				defer other.Close()
				other = s.NewBuffer(1 << 20)
				other.Write(make([]byte, 60_000))
				defer other.Close()
			}
			if !bytes.Equal(b, body[off:off+len(b)]) {
				t.Error("the memory was given to someone else")
			}
			return len(b), nil
		}), nil)
		if err != io.ErrClosedPipe {
			t.Errorf("CopyTo says %v", err)
		}
		checkEmpty(t, s)
	}
}

func TestPipeWriterFails(t *testing.T) {
	gone := errors.New("the client is gone")
	for name, c := range map[string]struct {
		write writerFunc
		want  error
	}{
		"error":    {func(b []byte) (int, error) { return 10, gone }, gone},
		"short":    {func(b []byte) (int, error) { return 10, nil }, io.ErrShortWrite},
		"too much": {func(b []byte) (int, error) { return len(b) + 1, nil }, errInvalidWrite},
	} {
		for _, memory := range []int{10_000, 1} {
			p := newTestSpool(t, 1<<20).NewPipe(PipeOptions{Memory: memory, Disk: 10_000})
			p.Write(pattern(5000))
			if memory == 1 {
				p.Read(make([]byte, 1))
			}
			n, err := p.CopyTo(c.write, nil)
			if err != c.want || n > 10 {
				t.Errorf("%s: got %d, %v; want %v", name, n, err, c.want)
			}
			p.CloseRead()
		}
	}
}

// A handler may be left by a panic in the writer, with the pipe in order.
func TestPipePanicsPass(t *testing.T) {
	panics := func(b []byte) (int, error) { panic("abort") }
	s := newTestSpool(t, 1<<20)
	for name, consume := range map[string]func(*Pipe){
		"write":    func(p *Pipe) { p.CopyTo(writerFunc(panics), nil) },
		"caughtUp": func(p *Pipe) { p.CopyTo(io.Discard, func() error { panic("abort") }) },
	} {
		p := s.NewPipe(PipeOptions{})
		p.Write([]byte("x"))
		func() {
			defer func() {
				if recover() != "abort" {
					t.Errorf("%s: the panic did not come through", name)
				}
			}()
			consume(p)
		}()
		p.CloseRead()
	}
}

func TestPipeCaughtUp(t *testing.T) {
	s := newTestSpool(t, 1<<20)
	synctest.Test(t, func(t *testing.T) {
		p := s.NewPipe(PipeOptions{Memory: 100, Disk: 10_000})
		defer p.CloseRead()
		var log []string
		p.Write(pattern(5000))
		done := make(chan error)
		var size int
		go func() {
			_, err := p.CopyTo(writerFunc(func(b []byte) (int, error) {
				size += len(b)
				return len(b), nil
			}), func() error {
				log = append(log, fmt.Sprint(size))
				return nil
			})
			done <- err
		}()
		synctest.Wait()
		p.Write(pattern(70))
		synctest.Wait()
		p.Write(pattern(7))
		p.CloseWrite(nil)
		if err := <-done; err != nil {
			t.Error(err)
		}
		// Once when it first waits, once for the second piece; what comes with
		// the end needs none.
		if got := fmt.Sprint(log); got != "[5000 5070]" && got != "[5000 5070 5077]" {
			t.Errorf("flushed after %s", got)
		}
		if size != 5077 {
			t.Errorf("%d bytes arrived", size)
		}
	})
}

func TestPipeCaughtUpFails(t *testing.T) {
	gone := errors.New("the client is gone")
	p := newTestSpool(t, 0).NewPipe(PipeOptions{})
	defer p.CloseRead()
	p.Write([]byte("x"))
	if n, err := p.CopyTo(io.Discard, func() error { return gone }); n != 1 || err != gone {
		t.Errorf("got %d, %v", n, err)
	}
}

// Without a usable file the pipe goes on with less, and says so once.
func TestPipeDegrades(t *testing.T) {
	full := newTestSpool(t, 10)
	missing := New(filepath.Join(t.TempDir(), "missing"), 1<<20)
	for name, c := range map[string]struct {
		spool *Spool
		want  error
	}{
		"full":    {full, ErrFull},
		"no file": {missing, os.ErrNotExist},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told []error
				p := c.spool.NewPipe(PipeOptions{Memory: 100, Disk: 10_000, OnDegrade: func(err error) { told = append(told, err) }})
				defer p.CloseRead()
				body := pattern(3000)
				go func() {
					if _, err := p.Write(body); err != nil {
						t.Error(err)
					}
					p.CloseWrite(nil)
				}()
				synctest.Wait()
				if len(told) != 1 || !errors.Is(told[0], c.want) {
					t.Fatalf("told %v, want %v once", told, c.want)
				}
				if p.memLen != 100 {
					t.Errorf("%d bytes in memory, want 100 and a producer that waits", p.memLen)
				}
				got, err := io.ReadAll(p)
				if err != nil || !bytes.Equal(got, body) {
					t.Errorf("%d bytes arrived, %v", len(got), err)
				}
				if len(told) != 1 {
					t.Errorf("told %d times", len(told))
				}
				if c.spool.Used() != 0 {
					t.Errorf("%d bytes are taken", c.spool.Used())
				}
			})
		})
	}
}

// A spool that has room again is used again once the consumer has caught up.
func TestPipeRecovers(t *testing.T) {
	s := newTestSpool(t, 1000)
	synctest.Test(t, func(t *testing.T) {
		p := s.NewPipe(PipeOptions{Memory: 100, Disk: 1000})
		defer p.CloseRead()
		if err := s.take(1000); err != nil {
			t.Fatal(err)
		}
		go p.Write(pattern(300))
		synctest.Wait()
		s.give(1000)
		if _, err := io.ReadFull(p, make([]byte, 300)); err != nil {
			t.Fatal(err)
		}
		p.Write(pattern(600))
		if s.Used() != 500 {
			t.Errorf("%d bytes on disk, want 500", s.Used())
		}
	})
}

// The same when part of the body did go to the file before it failed.
func TestPipeRecoversFromHalf(t *testing.T) {
	s := newTestSpool(t, 1000)
	synctest.Test(t, func(t *testing.T) {
		p := s.NewPipe(PipeOptions{Memory: 100, Disk: 1000})
		defer p.CloseRead()
		if err := s.take(900); err != nil {
			t.Fatal(err)
		}
		body := pattern(600)
		p.Write(body[:200]) // half of it in the file, which is full now
		go p.Write(body[200:])
		synctest.Wait()
		if !p.degraded {
			t.Fatal("the pipe is not degraded: the test tests nothing")
		}
		s.give(900)
		got := make([]byte, 600)
		if _, err := io.ReadFull(p, got[:200]); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if s.Used() != 300 {
			t.Errorf("%d bytes on disk, want 300 beside 100 in memory", s.Used())
		}
		if _, err := io.ReadFull(p, got[200:]); err != nil || !bytes.Equal(got, body) {
			t.Errorf("other bytes, %v", err)
		}
	})
}

// The end reaches a consumer that waits, and a Write that waits elsewhere.
func TestPipeCloseWriteWakes(t *testing.T) {
	s := newTestSpool(t, 0)
	cut := errors.New("the worker died")
	synctest.Test(t, func(t *testing.T) {
		p := s.NewPipe(PipeOptions{})
		done := make(chan error)
		go func() { _, err := p.WriteTo(io.Discard); done <- err }()
		synctest.Wait()
		p.CloseWrite(cut)
		if err := <-done; err != cut {
			t.Errorf("the consumer got %v", err)
		}
		p.CloseRead()

		p = s.NewPipe(PipeOptions{Memory: 1})
		go func() { _, err := p.Write([]byte("xx")); done <- err }()
		synctest.Wait()
		p.CloseWrite(cut)
		if err := <-done; err != io.ErrClosedPipe {
			t.Errorf("the Write got %v", err)
		}
		p.CloseRead()
	})
}

// A body with a hole must never look complete.
func TestPipeReadError(t *testing.T) {
	s := newTestSpool(t, 1<<20)
	synctest.Test(t, func(t *testing.T) {
		p := s.NewPipe(PipeOptions{Memory: 100, Disk: 1000})
		done := make(chan error)
		go func() { _, err := p.Write(pattern(2000)); done <- err }()
		synctest.Wait()
		if _, err := io.ReadFull(p, make([]byte, 100)); err != nil { // what is in memory
			t.Fatal(err)
		}
		synctest.Wait()
		p.ring.file.Truncate(500)
		n, err := p.WriteTo(io.Discard)
		var disk *DiskError
		if !errors.As(err, &disk) || disk.Op != "read" || n > 600 {
			t.Errorf("got %d, %v; want a DiskError of reading", n, err)
		}
		if err := <-done; err != io.ErrClosedPipe {
			t.Errorf("the producer got %v", err)
		}
		if _, err := p.Read(make([]byte, 1)); !errors.As(err, &disk) {
			t.Errorf("a second read says %v", err)
		}
		checkEmpty(t, s)
		p.CloseRead()
	})
}

func TestPipeAllocs(t *testing.T) {
	s := newTestSpool(t, 0)
	body := pattern(2000)
	p := s.NewPipe(PipeOptions{})
	defer p.CloseRead()
	got := make([]byte, 2000)
	allocs := testing.AllocsPerRun(1000, func() {
		p.Write(body)
		if _, err := io.ReadFull(p, got); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > allocsAllowed {
		t.Errorf("%v allocations for a small piece", allocs)
	}
}

func BenchmarkPipe(b *testing.B) {
	for _, o := range []PipeOptions{{Memory: 1 << 20}, {Memory: 64 << 10, Disk: 16 << 20}} {
		for _, size := range []int{2000, 64 << 10} {
			b.Run(fmt.Sprintf("%d+%d/%d", o.Memory, o.Disk, size), func(b *testing.B) {
				s := newTestSpool(b, 1<<30)
				p := s.NewPipe(o)
				done := make(chan struct{})
				go func() {
					defer close(done)
					p.WriteTo(io.Discard)
					p.CloseRead()
				}()
				body := pattern(size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					p.Write(body)
				}
				p.CloseWrite(nil)
				<-done
			})
		}
	}
}
