package listen

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Over TCP, where the system makes room by large parts: a client that reads less
// than one of them in a time-out is served, unless that is less than the rate;
// one that reads nothing is cut off.
func TestSlowReader(t *testing.T) {
	for _, test := range []struct {
		name     string
		each     int // bytes, every 20 ms
		rate     int64
		survives bool
	}{
		// A client's system tells of room when half of its buffer of 32 KiB is
		// free again: some three times within a time-out, at this rate, and ours of
		// room when a third of its own is: less than once.
		{"slow", 2 << 10, 10_000, true},
		{"too slow", 512, 200_000, false},
		{"not at all", 0, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) { slowReader(t, test.each, test.rate, test.survives) })
	}
}

func slowReader(t *testing.T, each int, rate int64, survives bool) {
	const size, timeout = 400 << 10, 500 * time.Millisecond
	l, err := Open("127.0.0.1:0", Options{WriteTimeout: timeout, MinWriteRate: rate})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 16<<10)
		})
		return errors.Join(err, failed)
	}}
	client, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if err := server.(*tcpConn).SetWriteBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	got := make(chan int64, 1)
	go func() {
		var n int64
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for buf := make([]byte, each); each > 0; {
			<-tick.C
			step, err := client.Read(buf)
			if n += int64(step); err != nil {
				break
			}
		}
		got <- n
	}()
	start := time.Now()
	_, err = io.WriteString(server, strings.Repeat("x", size))
	took := time.Since(start)
	server.Close()
	if !survives {
		if !errors.Is(err, os.ErrDeadlineExceeded) || took < timeout {
			t.Errorf("it is not cut off: %v after %v", err, took)
		}
		return
	}
	if err != nil {
		t.Fatalf("it is cut off after %v: %v", took, err)
	}
	if n := <-got; n != size {
		t.Errorf("it got %d bytes of %d", n, size)
	}
}
