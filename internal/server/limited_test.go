package server

// This file: what package limit says of slow bodies, over the server that
// sites have. Its own tests are with net/http's.

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"millrace/internal/config"
	"millrace/internal/h1"
	"millrace/internal/limit"
)

func TestSlowBodies(t *testing.T) {
	const silent, rate = time.Minute, 10
	for name, tt := range map[string]struct {
		length int
		client func(w io.Writer)
		status int
		close  bool
	}{
		"stalls":      {1000, func(w io.Writer) { io.WriteString(w, "xx") }, http.StatusRequestTimeout, true},
		"drips":       {1000, func(w io.Writer) { drip(w, 1000, 1, 5*time.Second) }, http.StatusRequestTimeout, true},
		"slow, fine":  {60 * 900, func(w io.Writer) { drip(w, 60, 900, 59*time.Second) }, http.StatusOK, false},
		"all at once": {100, func(w io.Writer) { drip(w, 1, 100, 0) }, http.StatusOK, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				handler := limit.Body(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if _, err := io.Copy(io.Discard, r.Body); err != nil {
						w.WriteHeader(http.StatusRequestTimeout)
					}
				}), limit.Limits{Timeout: silent, MinRate: rate})
				s := newServer("http", serverOptions{handler: handler, log: slog.New(slog.DiscardHandler), server: &config.Server{HeaderTimeout: time.Minute, IdleTimeout: time.Minute}}).(*h1.Server)
				near, far := net.Pipe()
				done := make(chan struct{})
				go func() { defer close(done); s.ServeConn(far) }()
				fmt.Fprintf(near, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", tt.length)
				go tt.client(near)
				r := bufio.NewReader(near)
				resp, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Fatal(err)
				}
				if resp.StatusCode != tt.status || resp.Close != tt.close {
					t.Errorf("%s, close %t", resp.Status, resp.Close)
				}
				if !tt.close { // long after the body's deadlines
					time.Sleep(50 * time.Second)
					io.WriteString(near, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
					if resp, err = http.ReadResponse(r, nil); err != nil || resp.StatusCode != http.StatusOK {
						t.Errorf("the next request: %v, %v", resp, err)
					}
				}
				near.Close()
				<-done
				time.Sleep(time.Minute) // of the bubble's clock: the client's goroutine sees it
			})
		})
	}
}

// drip writes size bytes n times, with a pause behind each.
func drip(w io.Writer, n, size int, pause time.Duration) {
	for range n {
		if _, err := io.WriteString(w, strings.Repeat("x", size)); err != nil {
			return
		}
		time.Sleep(pause)
	}
}
