package h1

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// resetting is a connection whose client resets it once it was written to.
type resetting struct {
	*net.TCPConn
	reset func()
}

func (c *resetting) Write(b []byte) (int, error) {
	n, err := c.TCPConn.Write(b)
	c.reset()
	return n, err
}

// TestSwitchedAndReset: who has taken a connection over is told that its
// client resets it, and not that it has said all.
func TestSwitchedAndReset(t *testing.T) {
	for range 20 {
		read := make(chan error, 1)
		r := start(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusSwitchingProtocols)
			c, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			_, err = rw.ReadByte()
			read <- err
		}, func(s *Server) { s.ParkAfter = time.Millisecond })
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		r.addr = l.Addr().String()
		c := r.dial()
		rwc, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan struct{})
		go func() {
			defer close(served)
			r.ServeConn(&resetting{rwc.(*net.TCPConn), func() {
				tcp := c.Conn.(*net.TCPConn)
				_ = tcp.SetLinger(0)
				_ = tcp.Close()
				eventually(t, "the server has heard of it", func() bool { return r.count(func(c *conn) bool { return c.left.Load() }) == 1 })
			}})
		}()
		c.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		if err := <-read; err == nil || err == io.EOF {
			t.Errorf("the client's reset is told as %v", err)
		}
		<-served
	}
}
