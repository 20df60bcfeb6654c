package spool

import (
	"bytes"
	"errors"
	"os"
	"syscall"
	"testing"
)

// creators are the ways to make a file on this system.
var creators = map[string]func(string) (*os.File, error){
	"O_TMPFILE": createUnnamed,
	"removed":   createAndRemove,
}

// fullDisk returns a spool with room for about one MiB: a filesystem of that
// size, or where we may not mount one, a cap.
func fullDisk(t *testing.T) (s *Spool, disk bool) {
	dir := t.TempDir()
	if err := syscall.Mount("millrace-test", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Logf("cannot mount a small filesystem (%v): the spool's cap stands in", err)
		return New(dir, 1<<20), false
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("cannot unmount, a descriptor is open: %v", err)
		}
	})
	return New(dir, 1<<40), true
}

func checkFull(t *testing.T, err error, disk bool) {
	t.Helper()
	var de *DiskError
	switch {
	case disk && !(errors.As(err, &de) && de.Op == "write" && errors.Is(err, syscall.ENOSPC)):
		t.Fatalf("got %v, want a DiskError with ENOSPC", err)
	case !disk && !errors.Is(err, ErrFull):
		t.Fatalf("got %v, want ErrFull", err)
	}
}

func TestBufferOnFullDisk(t *testing.T) {
	s, disk := fullDisk(t)
	body := pattern(3 << 20)

	b := s.NewBuffer(64 << 10)
	n, err := b.ReadFrom(bytes.NewReader(body))
	checkFull(t, err, disk)
	if n < 64<<10 || n > 1<<20 || b.Len() != n {
		t.Errorf("%d bytes were taken, Len says %d; want about one MiB", n, b.Len())
	}
	if s.Used() != b.Len() {
		t.Errorf("%d bytes of the cap are taken for %d on disk", s.Used(), b.Len())
	}
	if _, again := b.Write([]byte("x")); !errors.Is(again, err) {
		t.Errorf("the next write says %v, want %v again", again, err)
	}
	b.Close()
	checkEmpty(t, s)

	// One write that does not fit, from memory and beyond it.
	b = s.NewBuffer(2 << 20)
	if _, err := b.Write(body[:2<<20]); err != nil {
		t.Fatal(err)
	}
	_, err = b.Write(body[2<<20:])
	checkFull(t, err, disk)
	if s.Used() != 0 || !bytes.Equal(b.Bytes(), body[:2<<20]) {
		t.Errorf("a body that could not move is not as it was; %d bytes taken", s.Used())
	}
	b.Close()
	checkEmpty(t, s)

	// There is room again.
	b = s.NewBuffer(0)
	if _, err := b.Write(body[:512<<10]); err != nil {
		t.Error(err)
	}
	b.Close()
	checkEmpty(t, s)
}

func TestPipeOnFullDisk(t *testing.T) {
	s, disk := fullDisk(t)
	body := pattern(5 << 20)
	var told []error
	p := s.NewPipe(PipeOptions{Memory: 32 << 10, Disk: 4 << 20, OnDegrade: func(err error) { told = append(told, err) }})
	go func() {
		p.Write(body)
		p.CloseWrite(nil)
	}()
	var got bytes.Buffer
	// A consumer that starts when the disk is full.
	waitFor(t, func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.degraded })
	if _, err := p.WriteTo(&got); err != nil {
		t.Fatal(err)
	}
	p.CloseRead()
	if !bytes.Equal(got.Bytes(), body) {
		t.Errorf("%d bytes arrived, and not those that were sent", got.Len())
	}
	if len(told) != 1 {
		t.Fatalf("told %d times: %v", len(told), told)
	}
	checkFull(t, told[0], disk)
	checkEmpty(t, s)
}
