package testkit

// Addresses and folders of a test's own.

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
)

// hosts counts the loopback addresses that tests have been given.
var hosts atomic.Int64

// Loopback returns an address of 127.0.0.0/8 that no other test, and no test of
// another run or package, has: its ports are free. Elsewhere than on Linux there
// is only one such address.
func Loopback() string {
	n := hosts.Add(1)
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d", 64+pid>>8&127, pid&255, 1+n%250)
}

// FreePort is one of 127.0.0.1 that nobody listens on, below those that the system
// gives to clients: other tests have many.
func FreePort(t testing.TB) int {
	t.Helper()
	for {
		port := 20_000 + rand.IntN(12_000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			l.Close()
			return port
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			t.Fatal(err)
		}
	}
}

// ShortDir is a folder whose path is short enough for Unix sockets, and that a
// server which gives up its rights can enter.
func ShortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "mt")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
