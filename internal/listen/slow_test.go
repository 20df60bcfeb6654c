package listen

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A client that takes something again and again, but less than the rate, is cut
// off after two time-outs; one that takes the rate is not.
func TestMinWriteRate(t *testing.T) {
	for _, test := range []struct {
		name     string
		rate     int64
		own      int64
		each     int // bytes, every 29 s
		survives bool
	}{
		{"any rate", 0, 0, 10, true},
		{"the rate", 240, 0, 30 * 240, true},
		{"less", 240, 0, 100 * 30, false},
		{"the response's own rate", 240, 50, 100 * 30, true},
		{"the response's own rate, less", 0, 500, 100 * 30, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			server, client := net.Pipe()
			g := newGuard(time.Minute)
			g.rate = new(atomic.Int64)
			g.rate.Store(test.rate)
			g.setOwn(0, test.own)
			gone := make(chan struct{})
			go func() {
				defer close(gone)
				buf := make([]byte, test.each)
				for {
					time.Sleep(29 * time.Second) // never at the moment of a deadline
					if _, err := io.ReadFull(client, buf); err != nil {
						return
					}
				}
			}()
			start := time.Now()
			n, err := g.write(server, make([]byte, test.each*20))
			server.Close()
			client.Close()
			took := time.Since(start)
			<-gone
			if test.survives != (err == nil) || err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: %d bytes in %v, %v", test.name, n, took, err)
			}
			if !test.survives && took > 3*time.Minute {
				t.Errorf("%s: it took %v to be cut off", test.name, took)
			}
		})
	}
}

// A response's own time-out holds for it, and the listener's for the next.
func TestOwnTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, step := range []struct{ own, want time.Duration }{
			{time.Second, time.Second}, {0, time.Minute}, {time.Hour, time.Hour}, {0, time.Minute},
		} {
			server, client := net.Pipe()
			g := newGuard(time.Minute)
			go func() { _, _ = io.Copy(io.Discard, io.LimitReader(client, 1)) }()
			if _, err := g.write(server, []byte("x")); err != nil {
				t.Fatal(err)
			}
			g.setOwn(step.own, 0)
			start := time.Now()
			_, err := g.write(server, []byte("abc"))
			if took := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || took != step.want {
				t.Errorf("own %v: %v after %v, want a deadline after %v", step.own, err, took, step.want)
			}
			client.Close()
			server.Close()
		}
	})
}
