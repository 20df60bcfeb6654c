package fcgi

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

func newPipe(file int64, hurry bool) *pipe {
	p := &pipe{}
	p.init()
	p.fileMost, p.hurry = file, hurry
	return p
}

// sequence is n bytes that show where they belong.
func sequence(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7 / 5)
	}
	return b
}

// TestPipeFile has a reader that follows a writer at a distance, so that the
// file goes round many times.
func TestPipeFile(t *testing.T) {
	const size = 100_000
	all := sequence(8 * pipeMemory)
	p := newPipe(size, true)
	got := make([]byte, 0, len(all))
	b := make([]byte, 7_001)
	for at := 0; at < len(all); {
		n := min(9_973, len(all)-at)
		for p.to-p.from > size-9_973 { // the file would be full
			n, err := p.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, b[:n]...)
		}
		if err := p.write(all[at : at+n]); err != nil {
			t.Fatal(err)
		}
		at += n
	}
	if p.file == nil {
		t.Fatal("nothing went to the file")
	}
	if info, err := p.file.Stat(); err != nil || info.Size() > size {
		t.Errorf("the file has %d bytes, %v", info.Size(), err)
	}
	p.finish(io.EOF)
	rest, err := io.ReadAll(p)
	if got = append(got, rest...); err != nil || !bytes.Equal(got, all) {
		t.Errorf("%d bytes of %d, %v", len(got), len(all), err)
	}
	p.close()
}

func TestPipeIsFull(t *testing.T) {
	p := newPipe(1000, true)
	defer p.close()
	_ = p.write(make([]byte, pipeMemory+1))
	if err := p.write(make([]byte, 1000)); err != nil {
		t.Error(err)
	}
	if err := p.write([]byte{1}); err == nil || !strings.Contains(err.Error(), "nobody reads a stream of which 1000 bytes wait") {
		t.Errorf("%v", err)
	}
	// Nobody else waits: the writer can, until somebody reads.
	q := newPipe(1000, false)
	done := make(chan error, 1)
	go func() {
		done <- errors.Join(q.write(make([]byte, pipeMemory+1)), q.write(make([]byte, 5000)))
		q.finish(io.EOF)
	}()
	eventually(t, "a full file", func() bool {
		q.mu.Lock()
		defer q.mu.Unlock()
		return q.to-q.from == q.fileMost
	})
	if n, err := io.Copy(io.Discard, q); n != pipeMemory+1+5000 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	q.close()
}

// TestPipeBackPressure has a reader that is slow and does read: its writer
// waits, and no file is filled.
func TestPipeBackPressure(t *testing.T) {
	p := newPipe(pipeFile, false)
	defer p.close()
	go func() {
		for range 16 {
			_ = p.write(make([]byte, pipeMemory/4))
		}
		p.finish(io.EOF)
	}()
	b := make([]byte, pipeMemory/4)
	for total := 0; total < 4*pipeMemory; {
		n, err := p.Read(b)
		if total += n; err != nil {
			t.Fatal(err)
		}
		<-time.After(pipePatience / 25)
	}
	if p.file != nil {
		t.Error("the bytes of a stream that is read went to a file")
	}
}

func TestPipeEnds(t *testing.T) {
	why := errors.New("why")
	p := newPipe(pipeFile, false)
	_ = p.write([]byte("ab"))
	p.finish(why)
	p.finish(io.EOF) // the first word counts
	b := make([]byte, 8)
	if n, err := p.Read(b); n != 2 || err != nil {
		t.Error(n, err)
	}
	if _, err := p.Read(b); err != why {
		t.Error(err)
	}
	p.close()
	if _, err := p.Read(b); !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
	for name, free := range map[string]func(*pipe){"finish": func(p *pipe) { p.finish(why) }, "close": (*pipe).close, "hasten": (*pipe).hasten} {
		p := newPipe(pipeFile, false)
		_ = p.write(make([]byte, pipeMemory+1))
		begin := time.Now()
		done := make(chan error, 1)
		go func() { done <- p.write([]byte("waits")) }()
		free(p)
		if err := receive(t, name, done); err != nil || time.Since(begin) > pipePatience {
			t.Errorf("%s: %v after %v", name, err, time.Since(begin))
		}
		p.close()
	}
	q := newPipe(pipeFile, false)
	_ = q.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
	for range 2 {
		if _, err := q.Read(b); !isTimeout(err) {
			t.Error(err)
		}
	}
	_ = q.SetReadDeadline(time.Time{})
	go func() { _ = q.write([]byte("x")) }()
	if n, err := q.Read(b); n != 1 || err != nil {
		t.Error(n, err)
	}
}
