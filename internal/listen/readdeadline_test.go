package listen

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// countingConn counts how often the deadline really moves.
type countingConn struct {
	net.Conn
	moves int
}

func (c *countingConn) SetReadDeadline(t time.Time) error {
	c.moves++
	return c.Conn.SetReadDeadline(t)
}

func connected(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	far, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	near, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

// TestReadDeadlineStays: the deadlines of many requests move the timer once.
func TestReadDeadlineStays(t *testing.T) {
	near, _ := connected(t)
	c := &countingConn{Conn: near}
	var d readDeadline
	for range 100 {
		for _, at := range []time.Time{time.Now().Add(time.Minute), {}, time.Now().Add(2 * time.Minute)} {
			if err := d.set(c, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	if c.moves != 1 {
		t.Errorf("the deadline moved %d times, want 1", c.moves)
	}
}

// TestReadDeadlineMeaning: a read ends at the deadline that was set last,
// whatever was set before it, and not at an earlier one.
func TestReadDeadlineMeaning(t *testing.T) {
	const short, long = 30 * time.Millisecond, 150 * time.Millisecond
	for _, tt := range []struct {
		name   string
		before []time.Duration // 0: none
		last   time.Duration
		ends   bool // with a deadline; else a byte comes after long
	}{
		{"short", nil, short, true},
		{"long, then short", []time.Duration{time.Hour}, short, true},
		{"short, then long", []time.Duration{short}, long, true},
		{"short, then none", []time.Duration{short}, 0, false},
		{"none, then none", []time.Duration{0}, 0, false},
		{"past, then none", []time.Duration{-time.Hour}, 0, false},
		{"past, then long", []time.Duration{-time.Hour}, long, true},
		{"short, then past", []time.Duration{short}, -time.Hour, true},
	} {
		near, far := connected(t)
		var d readDeadline
		begin := time.Now()
		for _, after := range append(tt.before, tt.last) {
			var at time.Time
			if after != 0 {
				at = begin.Add(after)
			}
			if err := d.set(near, at); err != nil {
				t.Fatal(err)
			}
		}
		if !tt.ends {
			time.AfterFunc(long, func() { _, _ = far.Write([]byte("x")) })
		}
		_, err := d.read(near, make([]byte, 1))
		took := time.Since(begin)
		if tt.ends != errors.Is(err, os.ErrDeadlineExceeded) || !tt.ends && err != nil {
			t.Errorf("%s: the read ends with %v", tt.name, err)
		}
		if tt.ends && took < tt.last {
			t.Errorf("%s: the read ended after %v", tt.name, took)
		}
	}
}

// TestReadDeadlineInterrupts: a deadline in the past ends a read that waits,
// as net/http does it to stop its own.
func TestReadDeadlineInterrupts(t *testing.T) {
	near, _ := connected(t)
	var d readDeadline
	if err := d.set(near, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := d.read(near, make([]byte, 1))
		ended <- err
	}()
	if err := d.set(near, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the read ends with %v", err)
	}
}
