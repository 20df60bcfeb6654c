package listen

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// purse lends one buffer, and knows whether it is lent.
type purse struct {
	b     [8]byte
	lent  atomic.Bool
	times atomic.Int32
}

func (p *purse) Lend() []byte {
	if p.lent.Swap(true) {
		panic("it is lent already")
	}
	p.times.Add(1)
	return p.b[:]
}

func (p *purse) TakeBack() { p.lent.Store(false) }

// TestReadLate: nothing is lent while a read waits, over TCP and a Unix
// socket, and a deadline or the peer's end leaves nothing lent.
func TestReadLate(t *testing.T) {
	for name, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": "unix:" + filepath.Join(t.TempDir(), "s")} {
		t.Run(name, func(t *testing.T) {
			near, far := pair(t, open(t, address, Options{}))
			late := near.(interface {
				net.Conn
				ReadLate(l lender) (int, error)
			})
			type got struct {
				n   int
				err error
			}
			p, read := new(purse), make(chan got)
			readOne := func() {
				n, err := late.ReadLate(p)
				read <- got{n, err}
			}
			go readOne()
			if runtime.GOOS == "linux" {
				deadline := time.Now().Add(10 * time.Second)
				for p.times.Load() == 0 || p.lent.Load() {
					if time.Now().After(deadline) {
						t.Fatalf("lent %d times; now: %v", p.times.Load(), p.lent.Load())
					}
					runtime.Gosched()
				}
			}
			if _, err := far.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			if g := <-read; g.n != 5 || g.err != nil || string(p.b[:5]) != "hello" || !p.lent.Load() {
				t.Fatalf("read %d bytes, %v: %q; lent: %v", g.n, g.err, p.b[:5], p.lent.Load())
			}
			p.TakeBack()

			if err := near.SetReadDeadline(time.Now()); err != nil {
				t.Fatal(err)
			}
			go readOne()
			if g := <-read; !errors.Is(g.err, os.ErrDeadlineExceeded) || p.lent.Load() {
				t.Fatalf("at its deadline: %v; lent: %v", g.err, p.lent.Load())
			}

			if err := errors.Join(near.SetReadDeadline(time.Time{}), far.Close()); err != nil {
				t.Fatal(err)
			}
			go readOne()
			if g := <-read; g.err != io.EOF || p.lent.Load() {
				t.Fatalf("at the end: %v; lent: %v", g.err, p.lent.Load())
			}
		})
	}
}
