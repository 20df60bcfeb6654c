package listen

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestAddressInUse(t *testing.T) {
	l := open(t, "127.0.0.1:0", Options{})
	address := l.Addr().String()
	_, err := Open(address, Options{})
	var e *Error
	if !errors.As(err, &e) || !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("error %v", err)
	}
	want := fmt.Sprintf("cannot listen on %s: address already in use, by ", address)
	if got := err.Error(); !strings.HasPrefix(got, want) || !strings.Contains(got, fmt.Sprintf("(pid %d)", os.Getpid())) {
		t.Errorf("%q, want %q and this process", got, want)
	}
	if e.Hint() == "" {
		t.Error("no hint")
	}
	l.Close()
	open(t, address, Options{}) // free again at once
}

func TestBadAddresses(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		"8000":                             "missing port",
		"127.0.0.1:http-nonsense":          "unknown port",
		"203.0.113.77:0":                   "cannot assign requested address",
		"unix:":                            "invalid argument",
		"unix:" + plain:                    "is no socket",
		"unix:" + dir:                      "is no socket",
		"unix:" + dir + "/missing/s":       "no such file or directory",
		"unix:" + strings.Repeat("x", 200): "invalid argument",
	} {
		l, err := Open(address, Options{})
		if err == nil {
			l.Close()
		}
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), address) {
			t.Errorf("%s: %v; want %q", address, err, want)
		} else if e.Hint() == "" {
			t.Errorf("%s: no hint", address)
		}
	}
	if b, err := os.ReadFile(plain); err != nil || string(b) != "precious" {
		t.Errorf("the file in the way: %q, %v", b, err)
	}
}

func TestUnixSocketLife(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	for want, given := range map[fs.FileMode]fs.FileMode{0o666: 0, 0o600: 0o600, 0o660: 0o660} {
		l := open(t, "unix:"+path, Options{Mode: given})
		fi, err := os.Lstat(path)
		if err != nil || fi.Mode().Perm() != want {
			t.Errorf("mode %v, %v; want %v", fi.Mode(), err, want)
		}
		if _, err := Open("unix:"+path, Options{}); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("a second listener on a live socket: %v", err)
		}
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatalf("after the second one's attempt: %v", err)
		}
		c.Close()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after Close: %v", err)
		}
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	dead, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	dead.Close()
	open(t, "unix:"+path, Options{})
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestCloseLeavesAnothersSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	first := open(t, "unix:"+path, Options{})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	open(t, "unix:"+path, Options{})
	first.Close()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("the second one's socket went with the first: %v", err)
	}
	c.Close()
}
