package upstream

// A connection that speaks another protocol than HTTP: bytes, both ways.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// duplex is one side of a tunnel. One that can end its own direction alone has
// CloseWrite() error as well.
type duplex = io.ReadWriteCloser

// tunnel carries bytes between a client and a back end until both have said
// all, or one of them is gone.
type tunnel struct {
	client, back duplex
	early        []byte // what the client has sent already

	idle time.Duration // without a byte of either; then it is cut. 0: never
	half time.Duration // the same once one side has said all. 0: never

	last   atomic.Int64 // when a byte was last seen, since base
	base   time.Time
	halved atomic.Bool
	timer  *time.Timer

	once  sync.Once
	cause error // why it was cut; set by once
}

const never = 1 << 62

var (
	errIdle  = errors.New("neither side has sent a byte")
	errEnded = errors.New("the server ends, or the back ends are configured otherwise")
)

// run carries, and returns when nothing runs any more: with the bytes that went
// to the client, and why the tunnel was cut, if it was by us.
func (t *tunnel) run() (sent int64, err error) {
	t.base = time.Now()
	if t.idle > 0 {
		t.timer = time.AfterFunc(never, t.look) // which uses the timer
		t.timer.Reset(t.idle)
		defer t.timer.Stop()
	}
	var up sync.WaitGroup
	up.Go(func() {
		if len(t.early) > 0 {
			if _, err := t.back.Write(t.early); err != nil {
				t.cut(nil)
				return
			}
		}
		t.carry(t.back, t.client)
	})
	sent = t.carry(t.client, t.back)
	up.Wait()
	t.cut(nil)
	return sent, t.cause
}

// cut ends the tunnel at once; only the first cause counts.
func (t *tunnel) cut(cause error) {
	t.once.Do(func() {
		t.cause = cause
		_ = t.client.Close() // there is nobody to tell
		_ = t.back.Close()
	})
}

// look is the timer's.
func (t *tunnel) look() {
	limit := t.idle
	if t.halved.Load() && t.half > 0 {
		limit = min(limit, t.half)
	}
	silent := time.Since(t.base) - time.Duration(t.last.Load())
	if silent >= limit {
		t.cut(fmt.Errorf("%w for %v", errIdle, limit))
		return
	}
	t.timer.Reset(limit - silent)
}

func (t *tunnel) seen() { t.last.Store(int64(time.Since(t.base))) }

// firstPiece is what a direction reads into while little comes: there may be
// thousands of connections that wait.
const firstPiece = 2 << 10

// carry copies one direction to its end. A reader that has said all ends that
// direction alone; any failure ends both.
func (t *tunnel) carry(to, from duplex) (n int64) {
	var small [firstPiece]byte
	var large *[pieceSize]byte
	defer func() {
		if large != nil {
			pieces.Put(large)
		}
	}()
	for {
		b := small[:]
		if large != nil {
			b = large[:]
		}
		got, err := from.Read(b)
		if got > 0 {
			t.seen()
			put, werr := to.Write(b[:got])
			n += int64(put)
			if werr != nil {
				t.cut(nil)
				return n
			}
			t.seen()
		}
		switch {
		case errors.Is(err, io.EOF):
			t.end(to)
			return n
		case err != nil:
			t.cut(nil)
			return n
		case got == len(b) && large == nil:
			large = pieces.Get().(*[pieceSize]byte)
		case got < firstPiece && large != nil:
			pieces.Put(large)
			large = nil
		}
	}
}

// end tells a side that the other one has said all.
func (t *tunnel) end(to duplex) {
	half, ok := to.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		t.cut(nil)
		return
	}
	t.seen()
	t.halved.Store(true)
	if t.timer != nil && t.half > 0 && t.half < t.idle {
		t.timer.Reset(t.half)
	}
}

// tunnels are those of a group.
type tunnels struct {
	mu     sync.Mutex
	open   map[*tunnel]struct{}
	closed bool
	empty  chan struct{} // closed when none is open; nil: nobody waits
}

// run carries a tunnel, or cuts it at once when the group is closed.
func (ts *tunnels) run(t *tunnel) (int64, error) {
	ts.mu.Lock()
	if ts.closed {
		t.cut(errEnded)
	} else {
		if ts.open == nil {
			ts.open = map[*tunnel]struct{}{}
		}
		ts.open[t] = struct{}{}
	}
	ts.mu.Unlock()
	defer func() {
		ts.mu.Lock()
		defer ts.mu.Unlock()
		delete(ts.open, t)
		if len(ts.open) == 0 && ts.empty != nil {
			close(ts.empty)
			ts.empty = nil
		}
	}()
	return t.run()
}

func (ts *tunnels) count() int {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return len(ts.open)
}

// drain waits until none is open. When ctx is done it cuts those that are, and
// those that still come; it returns how many they were, once they have ended.
func (ts *tunnels) drain(ctx context.Context) (cut int) {
	select {
	case <-ts.gone():
		return 0
	case <-ctx.Done():
	}
	return ts.close()
}

// gone is closed when none is open.
func (ts *tunnels) gone() <-chan struct{} {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if len(ts.open) == 0 {
		none := make(chan struct{})
		close(none)
		return none
	}
	if ts.empty == nil {
		ts.empty = make(chan struct{})
	}
	return ts.empty
}

// close cuts all, also those that are yet to come.
func (ts *tunnels) close() (cut int) {
	ts.mu.Lock()
	ts.closed = true
	all := make([]*tunnel, 0, len(ts.open))
	for t := range ts.open {
		all = append(all, t)
	}
	ts.mu.Unlock()
	for _, t := range all {
		t.cut(errEnded)
	}
	<-ts.gone()
	return len(all)
}
