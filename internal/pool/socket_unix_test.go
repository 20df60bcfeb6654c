//go:build unix

package pool

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// TestEndReading: what has arrived is still read, then the stream ends, and
// nobody waits to write to it, though its other end is open.
func TestEndReading(t *testing.T) {
	ours, theirs, err := streamPair()
	if err != nil {
		t.Fatal(err)
	}
	defer closeFD(ours)
	defer closeFD(theirs)
	if _, err := unix.Write(theirs, []byte("arrived")); err != nil {
		t.Fatal(err)
	}
	full := make([]byte, 64<<10)
	for err == nil {
		_, err = sendWith(ours, full)
	}
	if !wouldBlock(err) {
		t.Fatal(err)
	}
	endReading(ours)
	if _, err := sendWith(ours, full); !errors.Is(err, unix.EPIPE) {
		t.Errorf("a write after the end: %v", err)
	}
	b := make([]byte, 16)
	if n, err := unix.Read(ours, b); err != nil || string(b[:n]) != "arrived" {
		t.Errorf("%q, %v", b[:n], err)
	}
	if n, err := unix.Read(ours, b); n != 0 || err != nil {
		t.Errorf("%d bytes after the end, %v", n, err)
	}
}
