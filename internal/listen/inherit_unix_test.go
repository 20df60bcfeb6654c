//go:build unix

package listen

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
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

// A socket that systemd passed is shared with it: neither Close nor the Close
// of a Listener that another process was Given may end it.
func TestPassedBySystemd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	for _, address := range []string{"127.0.0.1:0", "unix:" + path} {
		first := open(t, address, Options{})
		fd := descriptor(t, first.inner.(syscall.Conn))
		asked := ""
		o := Options{Systemd: func(name string) (int, error) { asked = name; return fd, nil }}
		serves := func(l *Listener, what string) {
			t.Helper()
			c, err := net.Dial(first.Addr().Network(), first.Addr().String())
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			defer c.Close()
			s, err := l.Accept()
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			s.Close()
		}
		l := open(t, "systemd:web", o)
		if asked != "web" || l.Addr().String() != first.Addr().String() {
			t.Errorf("asked for %q, %s; want %s", asked, l.Addr(), first.Addr())
		}
		serves(l, "opened")
		f, err := l.File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		released := 0
		given, err := Given("systemd:web", f, &counter{&released}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		serves(given, "given")
		if err := given.Close(); err != nil || released != 1 {
			t.Errorf("Close: %v, released %d times", err, released)
		}
		serves(open(t, "systemd:web", o), "opened again")
		first.Close()
	}
}

// counter is an Owner that counts.
type counter struct{ released *int }

func (c *counter) Release() (bool, error)    { *c.released++; return true, nil }
func (c *counter) SetMode(fs.FileMode) error { return nil }

func TestPassedBySystemdFails(t *testing.T) {
	for _, test := range []struct {
		systemd func(string) (int, error)
		want    string
	}{
		{nil, "cannot listen on systemd:web: systemd passed no sockets"},
		{func(string) (int, error) { return 0, errors.New("there is none") }, "cannot listen on systemd:web: there is none"},
		{func(string) (int, error) { return 60000, nil }, "cannot listen on systemd:web: descriptor 60000 is not open"},
	} {
		l, err := Open("systemd:web", Options{Systemd: test.systemd})
		if err == nil {
			l.Close()
		}
		var at *Error
		if !errors.As(err, &at) || err.Error() != test.want || at.Hint() == "" {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}
