package ajp

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"millrace/gateway"
)

func TestCheck(t *testing.T) {
	srv := &Server{Handler: http.NotFoundHandler(), Log: slog.New(slog.DiscardHandler)}
	t.Cleanup(func() { srv.Close() })
	listening := func(serve func(net.Conn)) string {
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
	good := listening(srv.ServeConn)
	silent := listening(func(c net.Conn) { io.Copy(io.Discard, c); c.Close() })
	garbage := listening(func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n"); c.Close() })
	other := listening(func(c net.Conn) { c.Write([]byte{'A', 'B', 0, 2, 5, 1}); io.Copy(io.Discard, c); c.Close() })
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	if err := (&Client{Address: good, MaxConns: 1}).Check(t.Context()); err != nil {
		t.Errorf("one that serves: %v", err)
	}
	for address, want := range map[string]error{silent: context.DeadlineExceeded, garbage: gateway.ErrBadResponse, other: errNoPong, gone.Addr().String(): gateway.ErrUnreachable} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		c := &Client{Address: address}
		if err := c.Check(ctx); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
		cancel()
		if len(c.pool.conns) != 0 {
			t.Error("the connection of the check is kept")
		}
	}
}
