package h1

// This file: what a request costs in this process, without a socket.

import (
	"net"
	"net/http"
	"testing"
	"time"
)

// loop is a connection that asks the same for ever, one request a read.
type loop struct {
	*memory
	socket net.Conn
	wire   []byte
	left   int
}

func (l *loop) Read(b []byte) (int, error) {
	if l.left--; l.left < 0 {
		return 0, net.ErrClosed
	}
	return copy(b, l.wire), nil
}

func (l *loop) NetConn() net.Conn               { return l.socket }
func (l *loop) Write(b []byte) (int, error)     { return len(b), nil }
func (l *loop) SetReadDeadline(time.Time) error { return nil }

// BenchmarkExchange is a request of a browser and a small response, without
// the system's part.
func BenchmarkExchange(b *testing.B) {
	for name, wire := range map[string][]byte{"small": helloRequest, "browser": wires(b, "valid")["browser"]} {
		b.Run(name, func(b *testing.B) {
			s := &Server{Handler: http.HandlerFunc(hello)}
			socket, err := net.Dial("udp", "127.0.0.1:9") // stands for the client, who stays
			if err != nil {
				b.Fatal(err)
			}
			defer socket.Close()
			c := s.newConn(&loop{newMemory(nil), socket, wire, b.N})
			defer s.Close()
			b.ReportAllocs()
			c.serve()
		})
	}
}
