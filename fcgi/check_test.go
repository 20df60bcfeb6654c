package fcgi

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"millrace/gateway"
)

// listening is a listener that ends with the test; each connection is given to
// serve, which closes it.
func listening(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return l.Addr().String()
}

func TestCheck(t *testing.T) {
	srv := &Server{Handler: http.NotFoundHandler(), Log: slog.New(slog.DiscardHandler)}
	t.Cleanup(func() { srv.Close() })
	good := listening(t, srv.ServeConn)
	silent := listening(t, func(c net.Conn) { io.Copy(io.Discard, c); c.Close() })
	garbage := listening(t, func(c net.Conn) { io.WriteString(c, strings.Repeat("HTTP/1.1 200 OK\r\n", 9)); c.Close() })
	hangsUp := listening(t, func(c net.Conn) { c.Read(make([]byte, 512)); c.Close() })
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	if err := (&Client{Address: good}).Check(t.Context()); err != nil {
		t.Errorf("one that serves: %v", err)
	}
	for address, want := range map[string]error{silent: context.DeadlineExceeded, garbage: ErrProtocol, hangsUp: nil, gone.Addr().String(): gateway.ErrUnreachable} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		c := &Client{Address: address}
		err := c.Check(ctx)
		if cancel(); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
		if c.pool.open != 0 {
			t.Error("the check counts as a connection")
		}
	}
}

// TestCapacity: what a program says that it takes is what it is given room for.
func TestCapacity(t *testing.T) {
	srv := &Server{Handler: http.NotFoundHandler(), Log: slog.New(slog.DiscardHandler), MaxRequests: 5}
	t.Cleanup(func() { srv.Close() })
	address := listening(t, srv.ServeConn)
	for _, tt := range []struct {
		client        *Client
		before, after int
	}{
		{&Client{Address: address}, 0, 5 * defaultMaxConns},
		{&Client{Address: address, MaxConns: 3}, 3, 15},
		{&Client{Address: address, MaxConns: 3, Reuse: ReuseNever}, 3, 3},
	} {
		if n := tt.client.Capacity(); n != tt.before {
			t.Errorf("%d before anything is known, want %d", n, tt.before)
		}
		if err := tt.client.learn(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := tt.client.Capacity(); n != tt.after {
			t.Errorf("%d, want %d", n, tt.after)
		}
		tt.client.Close()
	}
}
