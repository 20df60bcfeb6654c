//go:build unix

package listen

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// descriptor is a duplicate of what f is about, as a process would inherit it.
func descriptor(t *testing.T, f syscall.Conn) int {
	t.Helper()
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	fd := -1
	if err := raw.Control(func(n uintptr) { fd, err = unix.FcntlInt(n, unix.F_DUPFD, 3) }); err != nil || fd < 0 {
		t.Fatalf("descriptor %d, %v", fd, err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

func TestInherited(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	for _, address := range []string{"127.0.0.1:0", "unix:" + path} {
		first := open(t, address, Options{})
		fd := descriptor(t, first.inner.(syscall.Conn))
		given := fmt.Sprintf("fd:%d", fd)
		dial := func() net.Conn {
			t.Helper()
			c, err := net.Dial(first.Addr().Network(), first.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			return c
		}
		for range 2 { // it can be opened again after a Close
			l := open(t, given, Options{})
			if l.Address() != given || l.Addr().String() != first.Addr().String() {
				t.Errorf("%s at %s, want %s", l.Address(), l.Addr(), first.Addr())
			}
			c := dial()
			s, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(s, "hello")
			s.Close()
			if b, err := io.ReadAll(c); err != nil || string(b) != "hello" {
				t.Errorf("%q, %v", b, err)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("flags %#x, %v: other processes would get the socket as well", flags, err)
		}
		dial() // neither the socket nor its file is gone
	}
}

func TestNotInherited(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	l := open(t, "127.0.0.1:0", Options{})
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	bare, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(bare)
	for want, fd := range map[string]int{
		"is a file":              descriptor(t, file),
		"is a pipe":              descriptor(t, r),
		"is a device":            int(null.Fd()),
		"is a connection":        descriptor(t, c.(syscall.Conn)),
		"is a socket of datagra": descriptor(t, udp.(syscall.Conn)),
		"neither listens nor is": bare,
		"is not open":            60000, // no test has so many
	} {
		l, err := Open(fmt.Sprintf("fd:%d", fd), Options{})
		if err == nil {
			l.Close()
		}
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) || e.Hint() == "" {
			t.Errorf("%v, want %q and a hint", err, want)
		}
	}
	for _, bad := range []string{"fd:", "fd:-1", "fd:x"} {
		if l, err := Open(bad, Options{}); err == nil {
			l.Close()
			t.Errorf("%s was opened", bad)
		}
	}
}
