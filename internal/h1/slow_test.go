package h1

// This file: slow clients, in the clock of a synctest bubble. There are no
// sockets in one, so the connections have no seat.

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// inBubble serves one connection by s, and gives client the other end.
func inBubble(t *testing.T, s *Server, client func(c net.Conn, r *bufio.Reader)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server, c := net.Pipe()
		done := make(chan struct{})
		go func() { defer close(done); s.ServeConn(server) }()
		client(c, bufio.NewReader(c))
		c.Close()
		<-done
		time.Sleep(time.Minute) // of the bubble's clock: the client's goroutines see it
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// drip sends a byte each pause until the connection ends, and returns how long
// that was and what was answered.
func drip(c net.Conn, r *bufio.Reader, wire string, pause time.Duration) (time.Duration, string) {
	began := time.Now()
	go func() {
		for i := range len(wire) {
			if _, err := io.WriteString(c, wire[i:i+1]); err != nil {
				return
			}
			time.Sleep(pause)
		}
	}()
	b, _ := io.ReadAll(r)
	return time.Since(began), string(b)
}

// about leaves time for the farewell.
func about(took, want time.Duration) bool { return want <= took && took <= want+farewellTotal }

// TestSlowHead: a head has HeaderTimeout in all, however steadily it drips; on
// a kept connection from its first byte.
func TestSlowHead(t *testing.T) {
	newServer := func() *Server {
		return &Server{Handler: http.HandlerFunc(hello), HeaderTimeout: 30 * time.Second, IdleTimeout: 5 * time.Minute}
	}
	endless := "GET / HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("x", 1000)
	inBubble(t, newServer(), func(c net.Conn, r *bufio.Reader) {
		if took, got := drip(c, r, endless, time.Second); !about(took, 30*time.Second) || !strings.HasPrefix(got, "HTTP/1.1 408 ") {
			t.Errorf("%v, %q", took, got)
		}
	})
	inBubble(t, newServer(), func(c net.Conn, r *bufio.Reader) {
		time.Sleep(20 * time.Second) // of a new connection's time, which counts from its accept
		if took, got := drip(c, r, endless, time.Second); !about(took, 10*time.Second) || !strings.HasPrefix(got, "HTTP/1.1 408 ") {
			t.Errorf("new: %v, %q", took, got)
		}
	})
	inBubble(t, newServer(), func(c net.Conn, r *bufio.Reader) {
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		time.Sleep(4 * time.Minute)
		if took, got := drip(c, r, endless, time.Second); !about(took, 30*time.Second) || !strings.HasPrefix(got, "HTTP/1.1 408 ") {
			t.Errorf("kept: %v, %q", took, got)
		}
	})
	inBubble(t, newServer(), func(c net.Conn, r *bufio.Reader) {
		if took, got := drip(c, r, "", time.Second); took != 30*time.Second || got != "" {
			t.Errorf("silent: %v, %q", took, got)
		}
	})
}

// TestSlowAndHealthy: a request that comes slowly and in time is served, and
// so is one that takes its time over the answer.
func TestSlowAndHealthy(t *testing.T) {
	s := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Hour)
		if r.Context().Err() != nil {
			t.Error("the client is said to have left")
		}
		w.Header().Set("Connection", "close")
		io.WriteString(w, strings.Repeat("y", 10000))
	}), HeaderTimeout: time.Minute, IdleTimeout: time.Minute}
	inBubble(t, s, func(c net.Conn, r *bufio.Reader) {
		wire := "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
		for i := range len(wire) {
			time.Sleep(2 * time.Second)
			io.WriteString(c, wire[i:i+1])
		}
		n := 0
		for {
			time.Sleep(time.Minute)
			step, err := c.Read(make([]byte, 1000))
			if n += step; err != nil {
				break
			}
		}
		if n < 10000 {
			t.Errorf("%d bytes", n)
		}
	})
}

// TestRefusalDoesNotWaitForEver: the connection of a refused client that goes
// on sending ends.
func TestRefusalDoesNotWaitForEver(t *testing.T) {
	inBubble(t, &Server{Handler: http.HandlerFunc(hello)}, func(c net.Conn, r *bufio.Reader) {
		if took, got := drip(c, r, "X\n"+strings.Repeat("x", 1000), 100*time.Millisecond); took > 3*time.Second || !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Errorf("%v, %q", took, got)
		}
	})
}
