package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"testing/iotest"
)

// content returns what b holds, wherever it is.
func content(t *testing.T, b *Buffer) []byte {
	t.Helper()
	if b.File() == nil {
		return b.Bytes()
	}
	if b.Bytes() != nil {
		t.Error("the body is in a file and in memory")
	}
	got, err := io.ReadAll(io.NewSectionReader(b.File(), 0, b.Len()+1))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestBuffer(t *testing.T) {
	fills := map[string]func(*Buffer, []byte) error{
		"one write": func(b *Buffer, p []byte) error { _, err := b.Write(p); return err },
		"small writes": func(b *Buffer, p []byte) error {
			for len(p) > 0 {
				n, err := b.Write(p[:min(777, len(p))])
				if err != nil {
					return err
				}
				p = p[n:]
			}
			return nil
		},
		"read":           func(b *Buffer, p []byte) error { return readAll(b, bytes.NewReader(p), len(p)) },
		"read with EOF":  func(b *Buffer, p []byte) error { return readAll(b, iotest.DataErrReader(bytes.NewReader(p)), len(p)) },
		"read by halves": func(b *Buffer, p []byte) error { return readAll(b, iotest.HalfReader(bytes.NewReader(p)), len(p)) },
		"read after write": func(b *Buffer, p []byte) error {
			if _, err := b.Write(p[:len(p)/2]); err != nil {
				return err
			}
			return readAll(b, bytes.NewReader(p[len(p)/2:]), len(p)-len(p)/2)
		},
	}
	bodies := map[int][]byte{}
	for name, fill := range fills {
		for _, memory := range []int{-1, 0, 1, 4095, 4096, 4097, 65536, 100_000, 3 << 20} {
			for _, size := range []int{0, 1, 4095, 4096, 4097, 65536, 65537, 100_000, 100_001, 2<<20 + 1} {
				t.Run(fmt.Sprintf("%s/%d in %d", name, size, memory), func(t *testing.T) {
					s := newTestSpool(t, 4<<20)
					b := s.NewBuffer(memory)
					if bodies[size] == nil {
						bodies[size] = pattern(size)
					}
					body := bodies[size]
					if err := fill(b, body); err != nil {
						t.Fatal(err)
					}
					if b.Len() != int64(size) {
						t.Errorf("Len is %d", b.Len())
					}
					if !bytes.Equal(content(t, b), body) {
						t.Error("the content is another")
					}
					inFile := size > max(memory, 0)
					if (b.File() != nil) != inFile {
						t.Errorf("in a file: %t, want %t", b.File() != nil, inFile)
					}
					want := int64(0)
					if inFile {
						want = int64(size)
					}
					if s.Used() != want {
						t.Errorf("%d bytes of the cap are taken, want %d", s.Used(), want)
					}
					for range 2 {
						if err := b.Close(); err != nil {
							t.Error(err)
						}
					}
				})
			}
		}
	}
}

func readAll(b *Buffer, r io.Reader, want int) error {
	n, err := b.ReadFrom(r)
	if err == nil && n != int64(want) {
		return fmt.Errorf("ReadFrom says %d bytes, want %d", n, want)
	}
	return err
}

func TestBufferClosed(t *testing.T) {
	b := newTestSpool(t, 1<<20).NewBuffer(10)
	b.Write(pattern(100))
	b.Close()
	if _, err := b.Write([]byte("x")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Write says %v", err)
	}
	if _, err := b.ReadFrom(bytes.NewReader([]byte("x"))); !errors.Is(err, os.ErrClosed) {
		t.Errorf("ReadFrom says %v", err)
	}
	if b.Len() != 0 || b.Bytes() != nil || b.File() != nil {
		t.Error("a closed buffer still holds something")
	}
}

// A slice of a closed buffer's memory must not be given out twice.
func TestBufferMemoryIsGivenBackOnce(t *testing.T) {
	s := newTestSpool(t, 1<<20)
	b := s.NewBuffer(4096)
	b.Write([]byte("x"))
	b.Close()
	b.Close()
	one, two := s.NewBuffer(4096), s.NewBuffer(4096)
	defer one.Close()
	defer two.Close()
	one.Write([]byte("one"))
	two.Write([]byte("two"))
	if string(one.Bytes()) != "one" || string(two.Bytes()) != "two" {
		t.Errorf("two bodies share memory: %q, %q", one.Bytes(), two.Bytes())
	}
}

func TestBufferCap(t *testing.T) {
	s := newTestSpool(t, 100_000)
	first := s.NewBuffer(0)
	if _, err := first.Write(pattern(60_000)); err != nil {
		t.Fatal(err)
	}
	second := s.NewBuffer(1000)
	n, err := second.ReadFrom(bytes.NewReader(pattern(50_000)))
	if !errors.Is(err, ErrFull) {
		t.Fatalf("got %d, %v; want ErrFull", n, err)
	}
	if s.Used() != 60_000 {
		t.Errorf("%d bytes are taken, want those of the first body alone", s.Used())
	}
	second.Close()
	first.Close()
	third := s.NewBuffer(0)
	defer third.Close()
	if _, err := third.Write(pattern(100_000)); err != nil {
		t.Errorf("there should be room again: %v", err)
	}
	if _, err := third.Write([]byte("x")); !errors.Is(err, ErrFull) {
		t.Errorf("one byte beyond the cap: %v, want ErrFull", err)
	}
}

func TestBufferReadErrors(t *testing.T) {
	gone := errors.New("the client is gone")
	for _, memory := range []int{0, 1 << 20} {
		b := newTestSpool(t, 1<<20).NewBuffer(memory)
		n, err := b.ReadFrom(io.MultiReader(bytes.NewReader(pattern(10_000)), iotest.ErrReader(gone)))
		if err != gone || n != 10_000 || b.Len() != 10_000 {
			t.Errorf("memory %d: got %d, %v; want the reader's own error after 10000", memory, n, err)
		}
		// The reader failed, not the buffer.
		if _, err := b.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		b.Close()
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func TestBufferHostileReaders(t *testing.T) {
	for _, memory := range []int{0, 100} {
		for name, r := range map[string]struct {
			read readerFunc
			want error
		}{
			"nothing for ever": {func([]byte) (int, error) { return 0, nil }, io.ErrNoProgress},
			"negative":         {func([]byte) (int, error) { return -1, nil }, errInvalidRead},
			"too many":         {func(b []byte) (int, error) { return len(b) + 1, nil }, errInvalidRead},
		} {
			b := newTestSpool(t, 1<<20).NewBuffer(memory)
			if _, err := b.ReadFrom(r.read); err != r.want {
				t.Errorf("%s: got %v, want %v", name, err, r.want)
			}
			b.Close()
		}
	}
}

// Between pieces, a descriptor that was handed on may move the file's offset.
func TestBufferOffsetMayMove(t *testing.T) {
	b := newTestSpool(t, 1<<20).NewBuffer(0)
	defer b.Close()
	body := pattern(3000)
	for i := 0; i < len(body); i += 1000 {
		if _, err := b.Write(body[i : i+1000]); err != nil {
			t.Fatal(err)
		}
		if _, err := b.File().Seek(int64(i/2), io.SeekStart); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(content(t, b), body) {
		t.Error("the content is another")
	}
}

func TestBufferAllocs(t *testing.T) {
	s := newTestSpool(t, 0)
	body := pattern(2000)
	r := bytes.NewReader(nil)
	allocs := testing.AllocsPerRun(1000, func() {
		r.Reset(body)
		b := s.NewBuffer(64 << 10)
		if _, err := b.ReadFrom(r); err != nil {
			t.Fatal(err)
		}
		b.Close()
	})
	if allocs > allocsAllowed+1 { // the Buffer itself, where it escapes
		t.Errorf("%v allocations for a small body", allocs)
	}
}

func BenchmarkBuffer(b *testing.B) {
	for _, size := range []int{500, 10_000, 60_000, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := newTestSpool(b, 1<<30)
			body := pattern(size)
			r := bytes.NewReader(nil)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				r.Reset(body)
				buf := s.NewBuffer(64 << 10)
				if _, err := buf.ReadFrom(r); err != nil {
					b.Fatal(err)
				}
				buf.Close()
			}
		})
	}
}

// TestBody: bodies beyond their own memory borrow the spool's, go to a file
// when it has lent all, and give back what they had.
func TestBody(t *testing.T) {
	const own = 4096
	s := newTestSpool(t, 64<<20)
	fill := func(b *Buffer, size int) {
		t.Helper()
		p := pattern(size)
		if n, err := b.ReadFrom(bytes.NewReader(p)); n != int64(size) || err != nil {
			t.Fatalf("ReadFrom: %d, %v", n, err)
		}
		if !bytes.Equal(content(t, b), p) {
			t.Error("the body is another")
		}
	}
	small, large := s.NewBody(own), s.NewBody(own)
	fill(small, own-1)
	if got := s.memory.Load(); got != 0 {
		t.Errorf("a small body borrowed %d bytes", got)
	}
	fill(large, bodyMost)
	if large.File() != nil {
		t.Error("a body of what may be in memory is in a file")
	}
	if _, err := large.Write([]byte{1}); err != nil || large.File() == nil {
		t.Errorf("a byte more is in memory: %v", err)
	}
	if got := s.memory.Load(); got != 0 {
		t.Errorf("%d bytes are lent to a body in a file", got)
	}
	var many []*Buffer
	for s.memory.Load()+bodyMost-own <= lendable {
		b := s.NewBody(own)
		fill(b, own+1)
		if b.File() != nil {
			t.Fatal("there is memory to lend, and a body is in a file")
		}
		many = append(many, b)
	}
	next := s.NewBody(own)
	fill(next, own+1)
	if next.File() == nil {
		t.Error("a body borrowed more than there is")
	}
	for _, b := range append(many, small, large, next) {
		b.Close()
		b.Close()
	}
	if got := s.memory.Load(); got != 0 {
		t.Errorf("%d bytes were not given back", got)
	}
}
