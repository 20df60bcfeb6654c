package h3

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
)

// A connection that ends while it is entered is not kept.
func TestEnteredAtItsEnd(t *testing.T) {
	c := udp(t)
	serve(t, c, ok)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	conn, err := quic.DialAddr(ctx, c.LocalAddr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h3"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.CloseWithError(0, "")
	<-conn.Context().Done()
	var left sync.WaitGroup
	for range 2000 {
		left.Add(1)
		s := &Server{conns: map[*quic.Conn]bool{}, Admit: func(net.Addr) func() { return left.Done }}
		s.enter(conn)
		left.Wait()
		s.mu.Lock()
		n := len(s.conns)
		s.mu.Unlock()
		if n > 0 {
			t.Fatal("a connection is kept that is at its end")
		}
	}
}
